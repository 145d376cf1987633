// How the value of an option is written as text and read from it, and which
// values are allowed: one struct for each kind of option. option_table.h has
// the options.
//
// Each has
//
//   bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
//     Sets the option. False if the text is no value of this kind; whether it
//     is allowed Holds() says.
//   std::string Print(const RingLogSinkOptions& o) const;
//     What Parse() reads back.
//   bool Holds(const RingLogSinkOptions& o) const;
//     True if the value is allowed.
//   std::string Allowed() const;
//     What is, in words that continue "allowed is ".

#ifndef RINGLOG_LOGSINK_INTERNAL_OPTION_KIND_H_
#define RINGLOG_LOGSINK_INTERNAL_OPTION_KIND_H_

#include <sys/types.h>

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "ringlog/logsink/options.h"

namespace ringlog {

// Where in RingLogSinkOptions the value is; made by Field().
template <typename T>
struct OptionField {
  const T& (*get)(const RingLogSinkOptions&);
  T& (*get_mutable)(RingLogSinkOptions&);
};

// Of a member, or of a member's member:
//
//   Field<&RingLogSinkOptions::sync>()
template <auto... kPath>
constexpr auto Field() {
  using T =
      std::decay_t<decltype((std::declval<RingLogSinkOptions&>().*....*kPath))>;
  return OptionField<T>{
      [](const RingLogSinkOptions& o) -> const T& { return (o.*....*kPath); },
      [](RingLogSinkOptions& o) -> T& { return (o.*....*kPath); }};
}

// A path.
struct PathOption {
  OptionField<std::string> field;
  bool may_be_empty;

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool Holds(const RingLogSinkOptions& o) const;
  std::string Allowed() const;
};

// "true" or "false"; also 1, 0, yes, no, and their like.
struct BoolOption {
  OptionField<bool> field;

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool Holds(const RingLogSinkOptions& o) const;
  std::string Allowed() const;
};

// A number, both bounds included.
struct NumberOption {
  OptionField<int> field;
  int least;
  int most;

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool Holds(const RingLogSinkOptions& o) const;
  std::string Allowed() const;
};

// A number of things, of which 0 means that there is no limit.
struct CountOption {
  OptionField<uint64_t> field;

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool Holds(const RingLogSinkOptions& o) const;
  std::string Allowed() const;
};

// Permission bits, as chmod(1) has them: "0640". Those of `needed` are in all.
struct ModeOption {
  OptionField<mode_t> field;
  mode_t needed;

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool Holds(const RingLogSinkOptions& o) const;
  std::string Allowed() const;
};

inline constexpr uint64_t kNoMost = std::numeric_limits<uint64_t>::max();

// A size: "65536", "64KiB", "8MiB", "1GiB".
struct BytesOption {
  OptionField<uint64_t> field;
  uint64_t least;
  uint64_t most;
  // What 0 means, where it is allowed below `least`: "for no limit".
  absl::string_view zero_means = {};

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool Holds(const RingLogSinkOptions& o) const;
  std::string Allowed() const;
};

// "200ms", "1m30s": as absl::ParseDuration() has it.
struct DurationOption {
  OptionField<absl::Duration> field;
  absl::Duration least;
  absl::Duration most;
  absl::string_view zero_means = {};

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool Holds(const RingLogSinkOptions& o) const;
  std::string Allowed() const;
};

struct NamedValue {
  absl::string_view name;
  int value;
};

// One of several names, in any case of letters.
struct ChoiceOption {
  int (*get)(const RingLogSinkOptions&);
  void (*set)(RingLogSinkOptions&, int);
  absl::Span<const NamedValue> names;

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool Holds(const RingLogSinkOptions& o) const;
  std::string Allowed() const;
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_OPTION_KIND_H_
