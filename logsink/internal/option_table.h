// The table of options that can be written as text. Flags, environment
// variables, help texts and error messages are all made from its rows, so they
// cannot differ.
//
// A new option needs
//
//   - a member in options.h,
//   - a row in option_table.cc, and
//   - a name in the list in flags.cc.
//
// Tests find a missing one.

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

  absl::string_view name;  // of the member, with a dot in "rotation.offset"
  absl::string_view help;  // meaning, as a noun phrase or a sentence
  Change change;           // whether RingLogSink::Reconfigure() may change it
  std::variant<PathOption, BoolOption, NumberOption, CountOption, ModeOption,
               BytesOption, DurationOption, ChoiceOption>
      kind;

  std::string FlagName() const;      // "ringlog_ring_bytes"
  std::string VariableName() const;  // "RINGLOG_RING_BYTES"

  // Returns the value of the option, as Set() reads it.
  std::string Print(const RingLogSinkOptions& options) const;

  // Returns the valid values, in words that continue "must be ".
  std::string ValidValues() const;

  // Returns ValidValues() for a message about the invalid value `text`. If
  // `text` is no value of this kind at all, adds the syntax of values.
  std::string ValidValuesFor(absl::string_view text) const;

  // Sets the option to the value `text`. `option` begins the error message:
  // "flag --ringlog_ring_bytes".
  //   InvalidArgument: `text` is not a valid value; `options` has not changed
  absl::Status Set(absl::string_view text, absl::string_view option,
                   RingLogSinkOptions* options) const;

  // Returns InvalidArgument if the value of the option in `options` is not
  // valid. `option` begins the error message, as in Set().
  absl::Status Check(absl::string_view option,
                     const RingLogSinkOptions& options) const;
};

// Returns all rows, in the order of options.h.
absl::Span<const OptionRow> OptionTable();

// Return the row with this name, or with this flag. Requires: there is one.
const OptionRow& OptionRowOf(absl::string_view name);
const OptionRow& OptionRowOfFlag(absl::string_view flag_name);

// A function that returns the name of an option for error messages. The name
// depends on the place where the option was set: code, flag or variable.
using OptionNaming = absl::FunctionRef<std::string(const OptionRow& row)>;

// Returns "ringlog option rotation.offset".
std::string OptionName(const OptionRow& row);

// Check all options. Return InvalidArgument for the first invalid one, named by
// `naming`, or by OptionName().
absl::Status CheckOptions(const RingLogSinkOptions& options);
absl::Status CheckOptions(const RingLogSinkOptions& options,
                          OptionNaming naming);

// Checks only the options whose valid values depend on other options. Part of
// CheckOptions().
absl::Status CheckRelations(const RingLogSinkOptions& options,
                            OptionNaming naming);

// Returns InvalidArgument if an option that cannot change while a sink runs
// differs between `from` and `to`; the message has both values. Requires: both
// are results of Resolved().
absl::Status CheckChange(const RingLogSinkOptions& from,
                         const RingLogSinkOptions& to);

// Returns InvalidArgument with "<option> is <value>; must be <valid_values>".
absl::Status InvalidOption(absl::string_view option, absl::string_view value,
                           absl::string_view valid_values);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_OPTION_TABLE_H_
