// ExpectedRecord: what the explorer's oracle knows about a record; and the
// check of what recovery returns after a death.

#ifndef RINGLOG_TESTING_EXPLORER_EXPECTED_RECORD_H_
#define RINGLOG_TESTING_EXPLORER_EXPECTED_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

struct ExpectedRecord {
  enum Outcome : uint8_t { kNone, kCommitted, kFailed };

  int writer = 0;
  std::string body;  // of no other record
  Outcome outcome = kNone;
  int taken = 0;              // how often
  bool is_persisted = false;  // the persist cursor covers it
};

// Returns the index of the record with this body; -1 if there is none.
int FindRecord(const std::vector<ExpectedRecord>& records,
               absl::string_view body);

// The committed records that recovery need not return.
enum class MayLack : uint8_t { kNone, kEvicted };

// Recovers `file`, the bytes of a ring with the header `header`. Returns a
// violation, or nothing if each committed record is either persisted or
// recovered, a record that failed is neither, and none is reported as missing.
std::string CheckRecovery(absl::string_view file, const RingHeader& header,
                          const std::vector<ExpectedRecord>& records,
                          MayLack may_lack);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_EXPLORER_EXPECTED_RECORD_H_
