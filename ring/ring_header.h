// Parsing and checksums of a ring file's header and persist cursor. The input
// bytes are untrusted.

#ifndef RINGLOG_RING_RING_HEADER_H_
#define RINGLOG_RING_RING_HEADER_H_

#include <cstdint>

#include "absl/crc/crc32c.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

// Returns the header of a ring file, or its copy if only the copy is intact.
// `file` needs only the first min(4096, file size) bytes.
//   InvalidArgument  not a ring file
//   DataLoss         a ring file whose two headers are damaged or truncated;
//                    RebuildRingHeader() may rebuild one
//   Unimplemented    a version, byte order or feature that this code does not
//                    support
absl::StatusOr<RingHeader> ParseRingHeader(absl::string_view file);

// Returns the persist cursor that counts. Its sequence is 0 if no cursor was
// published or none is intact. `live` is the part of the file that begins at
// live_offset.
PersistCursor ParsePersistCursor(absl::string_view live,
                                 const RingHeader& header);

// Returns true if the cursor that was published last is damaged, so that more
// records may be persisted than the cursor states. A kill cannot cause this.
bool LatestCursorIsDamaged(const RingLive& live, const RingHeader& header);

// Returns a header that has the fields that are the same for each ring of this
// version: magic, version and offsets. The others are 0.
RingHeader EmptyRingHeader();

// Returns the process that created the ring.
ProcessIdentity OwnerOf(const RingHeader& header);

uint32_t RingHeaderChecksum(const RingHeader& header);

// Returns the end of `path` that fits into RingHeader::segment_directory.
absl::string_view SegmentDirectoryField(absl::string_view path);
absl::string_view SegmentDirectory(const RingHeader& header);
uint32_t PersistCursorChecksum(absl::crc32c_t seed,
                               const PersistCursor& cursor);

}  // namespace ringlog

#endif  // RINGLOG_RING_RING_HEADER_H_
