// Makes the checksums of a file fit again after its bytes have been changed, so
// that what is behind a checksum can be tested too.
//
// Written from ring/FORMAT.md and compress/FORMAT.md, and shares no code with
// what checks them but the CRC.

#ifndef RINGLOG_TESTING_REPAIR_CHECKSUMS_H_
#define RINGLOG_TESTING_REPAIR_CHECKSUMS_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace ringlog {

// Asked of each checksum whether it is to be repaired.
using RepairChoice = absl::FunctionRef<bool()>;
inline bool RepairAll() { return true; }

// Both headers, cursors and slots, as the header at offset 0 has their places.
// What was never used, and what does not lie within the file, stays.
void RepairRingChecksums(std::string* ring, RepairChoice choose = RepairAll);

// The header at offset 0 with the file's length as its slots have it, and the
// same at its other place. Their checksums are not repaired.
void RepairRingGeometry(std::string* ring);

// What the cursors of `ring` say of the bytes of the frame that is open at the
// end of `segment`. The cursors' own checksums are not repaired.
void RepairOpenFrameChecksum(absl::string_view segment, std::string* ring);

// Whatever begins as metadata frames do, and lies within the file.
void RepairSegmentChecksums(std::string* segment,
                            RepairChoice choose = RepairAll);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_REPAIR_CHECKSUMS_H_
