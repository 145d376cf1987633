// The header and the persist cursor of a ring file: read from bytes that are
// not trusted, and their checksums.

#ifndef RINGLOG_RING_RING_HEADER_H_
#define RINGLOG_RING_RING_HEADER_H_

#include <cstdint>

#include "absl/crc/crc32c.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

// The header of a ring file, of which at least min(its size, 4096) bytes are
// given; or of its copy, if the header is damaged and the copy is whole.
//   InvalidArgument  not a ring file
//   DataLoss         a ring file whose header and its copy are damaged or cut
//                    off; RebuildRingHeader() may help
//   Unimplemented    of a version, byte order or with a feature that this code
//                    does not know
absl::StatusOr<RingHeader> ParseRingHeader(absl::string_view file);

// The persist cursor that counts; one with sequence 0 if none was published, or
// none survived. `live` is the file from live_offset on.
PersistCursor ParsePersistCursor(absl::string_view live,
                                 const RingHeader& header);

// Whether a cursor was published last that is damaged now, so that the one that
// counts says less than was persisted. No kill does that.
bool LatestCursorIsDamaged(const RingLive& live, const RingHeader& header);

// The process that made the ring.
ProcessIdentity OwnerOf(const RingHeader& header);

uint32_t RingHeaderChecksum(const RingHeader& header);

// What RingHeader::segment_directory says of a path: its end, if it is long.
absl::string_view SegmentDirectoryField(absl::string_view path);
absl::string_view SegmentDirectory(const RingHeader& header);
uint32_t PersistCursorChecksum(absl::crc32c_t seed,
                               const PersistCursor& cursor);

}  // namespace ringlog

#endif  // RINGLOG_RING_RING_HEADER_H_
