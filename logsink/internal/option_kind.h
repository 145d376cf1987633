// Kinds of options: one struct for each kind, which reads a value from text,
// writes it as text, and checks it. option_table.h has the options.
//
// Each kind has these functions, which are thread-safe for different options
// objects:
//
//   bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
//     Sets the option. Returns false if `text` is no value of this kind. Does
//     not check that the value is valid.
//   std::string Print(const RingLogSinkOptions& o) const;
//     Returns the value as Parse() reads it.
//   bool IsValid(const RingLogSinkOptions& o) const;
//     Returns true if the value is valid.
//   std::string ValidValues() const;
//     Returns the valid values, in words that continue "must be ".

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

// The member of RingLogSinkOptions that has the value; made by Field().
template <typename T>
struct OptionField {
  const T& (*get)(const RingLogSinkOptions&);
  T& (*get_mutable)(RingLogSinkOptions&);
};

// Returns the OptionField of a member, or of a member of a member:
//
//   Field<&RingLogSinkOptions::sync>()
//   Field<&RingLogSinkOptions::rotation, &RotationOptions::interval>()
template <auto... kPath>
constexpr auto Field() {
  using T =
      std::decay_t<decltype((std::declval<RingLogSinkOptions&>().*....*kPath))>;
  return OptionField<T>{
      [](const RingLogSinkOptions& o) -> const T& { return (o.*....*kPath); },
      [](RingLogSinkOptions& o) -> T& { return (o.*....*kPath); }};
}

// A path: any text, or any text that is not empty.
struct PathOption {
  OptionField<std::string> field;
  bool may_be_empty;

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool IsValid(const RingLogSinkOptions& o) const;
  std::string ValidValues() const;
};

// "true" or "false", or another text that absl::SimpleAtob() accepts.
struct BoolOption {
  OptionField<bool> field;

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool IsValid(const RingLogSinkOptions& o) const;
  std::string ValidValues() const;
};

// A number from `min` to `max`.
struct NumberOption {
  OptionField<int> field;
  int min;
  int max;

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool IsValid(const RingLogSinkOptions& o) const;
  std::string ValidValues() const;
};

// A limit on a number of things. 0 means no limit.
struct CountOption {
  OptionField<uint64_t> field;

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool IsValid(const RingLogSinkOptions& o) const;
  std::string ValidValues() const;
};

// Permission bits in octal, as for chmod(1): "0640". A valid value contains the
// bits of `required`.
struct ModeOption {
  OptionField<mode_t> field;
  mode_t required;

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool IsValid(const RingLogSinkOptions& o) const;
  std::string ValidValues() const;
};

inline constexpr uint64_t kNoMaxBytes = std::numeric_limits<uint64_t>::max();

// A size from `min` to `max`: "65536", "64KiB", "8MiB", "1GiB".
struct BytesOption {
  OptionField<uint64_t> field;
  uint64_t min;
  uint64_t max;  // kNoMaxBytes: none
  // Meaning of 0, such as "for no limit", if 0 is valid in addition to the
  // range; otherwise empty.
  absl::string_view zero_meaning = {};

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool IsValid(const RingLogSinkOptions& o) const;
  std::string ValidValues() const;
};

// A duration from `min` to `max`, as for absl::ParseDuration(): "200ms",
// "1m30s".
struct DurationOption {
  OptionField<absl::Duration> field;
  absl::Duration min;
  absl::Duration max;                   // absl::InfiniteDuration(): none
  absl::string_view zero_meaning = {};  // as in BytesOption

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool IsValid(const RingLogSinkOptions& o) const;
  std::string ValidValues() const;
};

struct NamedValue {
  absl::string_view name;
  int value;
};

// One of at least two names. Case is ignored.
struct ChoiceOption {
  int (*get)(const RingLogSinkOptions&);
  void (*set)(RingLogSinkOptions&, int);
  absl::Span<const NamedValue> names;

  bool Parse(absl::string_view text, RingLogSinkOptions* o) const;
  std::string Print(const RingLogSinkOptions& o) const;
  bool IsValid(const RingLogSinkOptions& o) const;
  std::string ValidValues() const;
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_OPTION_KIND_H_
