#include "ringlog/logsink/options.h"

#include "absl/strings/str_cat.h"
#include "ringlog/logsink/option_table.h"

namespace ringlog {

absl::Status CheckOptions(const RingLogSinkOptions& options) {
  for (const OptionRow& row : OptionTable()) {
    absl::Status status =
        row.Check(absl::StrCat("ringlog option ", row.name), options);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace ringlog
