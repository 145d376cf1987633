#include "ringlog/testing/explorer/expected_record.h"

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

int FindRecord(const std::vector<ExpectedRecord>& records,
               absl::string_view body) {
  for (size_t i = 0; i < records.size(); ++i) {
    if (records[i].body == body) return static_cast<int>(i);
  }
  return -1;
}

std::string CheckRecovery(absl::string_view file, const RingHeader& header,
                          const std::vector<ExpectedRecord>& records,
                          MayLack may_lack) {
  const RecoveredRing ring = RecoverRing(file, header, RecoverFrom::kCursor);
  std::vector<int> found(records.size());
  for (const RecoveredRecord& record : ring.records) {
    const int i = FindRecord(records, record.body);
    if (i < 0) return "recovery returns bytes that are no record";
    ++found[static_cast<size_t>(i)];
  }
  for (size_t i = 0; i < records.size(); ++i) {
    const ExpectedRecord& record = records[i];
    const int total = found[i] + (record.is_persisted ? 1 : 0);
    if (total > 1) return "a death doubles a record";
    if (record.outcome == ExpectedRecord::kFailed && total > 0) {
      return "recovery returns a record whose commit failed";
    }
    if (record.outcome == ExpectedRecord::kCommitted && total == 0 &&
        may_lack == MayLack::kNone) {
      return "a death loses a record";
    }
  }
  for (const Gap& gap : ring.gaps) {
    if (gap.cause == GapCause::kMissing) {
      return "recovery reports a record as missing";
    }
  }
  return "";
}

}  // namespace ringlog
