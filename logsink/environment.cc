#include "ringlog/logsink/environment.h"

#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ringlog/logsink/internal/option_table.h"

namespace ringlog {

namespace {

// Null if it is not set.
const char* ValueOf(const std::string& variable) {
  const char* const value = std::getenv(variable.c_str());
  return value == nullptr || *value == '\0' ? nullptr : value;
}

std::string Name(const OptionRow& row) {
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
    if (absl::Status s = row.Set(value, Name(row), &defaults); !s.ok()) {
      return s;
    }
  }
  if (absl::Status s = CheckRelations(defaults, Name); !s.ok()) return s;
  return defaults;
}

}  // namespace ringlog
