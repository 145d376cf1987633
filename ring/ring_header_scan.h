// The header of a ring that has lost both, from what is in its slots.
//
// A slot says its position, and so which slot of how many it is; its checksum
// begins with that of the ring id. So one guess at the slots' size is right
// that makes many slots agree on what their checksums begin with.

#ifndef RINGLOG_RING_RING_HEADER_SCAN_H_
#define RINGLOG_RING_RING_HEADER_SCAN_H_

#include <cstdint>

#include "absl/crc/crc32c.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

// A header by which RecoverRing() reads `file`, all of a ring of version 1.0.
// What it does not know is zero or empty: whose ring it is, and when it was
// made. The ring id is not what it was, but has the same CRC-32C, which is all
// that checksums need. The first position is the lowest that a slot proves.
// Where the only slots that hold anything fit slots of several sizes, it is the
// smallest of these.
//
// A pure function of bytes that it does not trust. The time it takes is that of
// a few checksums over the file, whatever is in it.
//
//   DataLoss         less than two checksums agree, of slots, or of a slot and
//                    the persist cursor; of a ring in which next to nothing has
//                    been written this is true of undamaged slots too
//   InvalidArgument  no ring has a file of this size
absl::StatusOr<RingHeader> RebuildRingHeader(absl::string_view file);

// Sets the last four bytes of `ring_id` so that ChecksumSeed() of it is `seed`.
void SetChecksumSeed(absl::crc32c_t seed, uint8_t (&ring_id)[16]);

}  // namespace ringlog

#endif  // RINGLOG_RING_RING_HEADER_SCAN_H_
