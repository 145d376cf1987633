#include "ringlog/logsink/environment.h"

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "ringlog/logsink/option_table.h"

namespace ringlog {

absl::StatusOr<RingLogSinkOptions> OptionsFromEnvironment(
    RingLogSinkOptions defaults) {
  for (const OptionRow& row : OptionTable()) {
    const std::string variable = row.VariableName();
    const char* const value = std::getenv(variable.c_str());
    if (value == nullptr || *value == '\0') continue;
    absl::Status status = row.Set(
        value, absl::StrCat("environment variable ", variable), &defaults);
    if (!status.ok()) return status;
  }
  return defaults;
}

}  // namespace ringlog
