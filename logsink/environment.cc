#include "ringlog/logsink/environment.h"

#include <stdlib.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ringlog/logsink/internal/option_table.h"

namespace ringlog {
namespace {

// Returns null if the variable is empty or not set, and in a program with other
// rights than the user who has set it.
const char* ValueOf(const std::string& variable) {
  const char* const value = secure_getenv(variable.c_str());
  return value == nullptr || *value == '\0' ? nullptr : value;
}

// Returns the name of the option for messages: that of its variable if it is
// set.
std::string NameOf(const OptionRow& row) {
  const std::string variable = row.VariableName();
  return ValueOf(variable) == nullptr
             ? OptionName(row)
             : absl::StrCat("environment variable ", variable);
}

}  // namespace

absl::StatusOr<RingLogSinkOptions> OptionsFromEnvironment(
    RingLogSinkOptions defaults) {
  for (const OptionRow& row : OptionTable()) {
    const char* const value = ValueOf(row.VariableName());
    if (value == nullptr) continue;
    if (absl::Status s = row.Set(value, NameOf(row), &defaults); !s.ok()) {
      return s;
    }
  }
  if (absl::Status s = CheckRelations(defaults, NameOf); !s.ok()) return s;
  return defaults;
}

}  // namespace ringlog
