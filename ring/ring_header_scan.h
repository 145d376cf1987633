// Rebuilds the header of a ring if both headers are lost.
//
// Each slot contains its position, which determines the slot's index for a
// given slot count, and a checksum whose seed is the CRC-32C of the ring id.
// RebuildRingHeader() tries every slot size. With the right size, many
// checksums have the same seed.

#ifndef RINGLOG_RING_RING_HEADER_SCAN_H_
#define RINGLOG_RING_RING_HEADER_SCAN_H_

#include <cstdint>

#include "absl/crc/crc32c.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_source.h"

namespace ringlog {

// Returns a header with which RingRecovery can read `file`, a complete ring of
// version 1.0. The header differs from the lost one:
// - Owner, names, directory and times are zero or empty.
// - The ring id differs, but has the same CRC-32C, which is all that checksums
//   need.
// - The first position is the lowest one that a slot proves.
// - If the evidence is equally strong for slots of several sizes, the size is
//   the smallest of these.
//
// The bytes are untrusted. Takes the time of a few checksums over the file, and
// 2 MiB of memory in addition to the source, whatever the content.
//
//   DataLoss         fewer than two checksums of slots, or of a slot and the
//                    persist cursor, have the same seed. Also returned for an
//                    undamaged ring that is almost unused.
//   InvalidArgument  no ring has a file of this size
//   others           errors of `source`
absl::StatusOr<RingHeader> RebuildRingHeader(RingSource* source);

// Does the same with a file in memory.
absl::StatusOr<RingHeader> RebuildRingHeader(absl::string_view file);

// Sets the last four bytes of `ring_id` so that ChecksumSeed(ring_id) is
// `seed`.
void SetChecksumSeed(absl::crc32c_t seed, uint8_t (&ring_id)[16]);

}  // namespace ringlog

#endif  // RINGLOG_RING_RING_HEADER_SCAN_H_
