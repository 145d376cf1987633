// The options of a sink that can be written as text: a row for each, from which
// flags, environment variables, help and messages are made, so that they cannot
// differ.
//
// A new option gets a member in options.h, a row in option_table.cc, and a name
// in the list of flags.cc; tests find what was forgotten.

#ifndef RINGLOG_LOGSINK_INTERNAL_OPTION_TABLE_H_
#define RINGLOG_LOGSINK_INTERNAL_OPTION_TABLE_H_

#include <string>
#include <variant>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/logsink/internal/option_kind.h"
#include "ringlog/logsink/options.h"

namespace ringlog {

struct OptionRow {
  enum class Change { kNever, kAtRunTime };

  absl::string_view name;  // of the member
  absl::string_view help;  // what it is for, in words that follow its name
  Change change;
  std::variant<PathOption, BoolOption, NumberOption, CountOption, ModeOption,
               BytesOption, DurationOption, ChoiceOption>
      kind;

  std::string FlagName() const;      // "ringlog_ring_bytes"
  std::string VariableName() const;  // "RINGLOG_RING_BYTES"
  // The value, as Set() reads it.
  std::string Print(const RingLogSinkOptions& options) const;
  // In words that continue "allowed is ".
  std::string Allowed() const;
  // The same to who has written `text`: if that is no value at all, also how
  // one is written.
  std::string AllowedInsteadOf(absl::string_view text) const;

  // Sets the option to what `text` says. `whose` is what the message of an
  // error begins with: "flag --ringlog_ring_bytes".
  //   InvalidArgument: not a value, or one that is not allowed; `options` is as
  //   it was
  absl::Status Set(absl::string_view text, absl::string_view whose,
                   RingLogSinkOptions* options) const;
  // InvalidArgument: the value is not allowed.
  absl::Status Check(absl::string_view whose,
                     const RingLogSinkOptions& options) const;
};

// All of them, in the order of options.h.
absl::Span<const OptionRow> OptionTable();

// The row of that name, and that of the flag. Requires: there is one.
const OptionRow& OptionRowOf(absl::string_view name);
const OptionRow& OptionRowOfFlag(absl::string_view flag_name);

// What an option is called by who has set it.
using OptionNaming = absl::FunctionRef<std::string(const OptionRow& row)>;

// InvalidArgument: an option, named with its value and what is allowed. Without
// `naming` by its name in options.h.
absl::Status CheckOptions(const RingLogSinkOptions& options);
absl::Status CheckOptions(const RingLogSinkOptions& options,
                          OptionNaming naming);

// The part of CheckOptions() that says that what one option allows depends on
// another.
absl::Status CheckRelations(const RingLogSinkOptions& options,
                            OptionNaming naming);

// "ringlog option rotation.offset"
std::string OptionName(const OptionRow& row);

// InvalidArgument: an option, named with both values, that cannot change while
// a sink runs. Requires: Resolved() has made both.
absl::Status CheckChange(const RingLogSinkOptions& from,
                         const RingLogSinkOptions& to);

// "<whose> is <value>; allowed is <allowed>"
absl::Status InvalidOption(absl::string_view whose, absl::string_view value,
                           absl::string_view allowed);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_OPTION_TABLE_H_
