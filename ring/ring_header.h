// Parsing and checksums of a ring file's header and persist cursor.
//
// Pure functions of untrusted bytes.

#ifndef RINGLOG_RING_RING_HEADER_H_
#define RINGLOG_RING_RING_HEADER_H_

#include <cstdint>
#include <string>

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

// Returns the persist cursor that counts: of the intact ones, the one with the
// greater sequence. Its sequence is 0 if no cursor was published or none is
// intact. `live` has the bytes of the file from live_offset on; missing bytes
// count as zeros.
PersistCursor ParsePersistCursor(absl::string_view live,
                                 const RingHeader& header);

// Returns true if the cursor that was published last is damaged, so that more
// records may be persisted than the cursor states. A kill cannot cause this.
bool LatestCursorIsDamaged(const RingLive& live, const RingHeader& header);

// Returns a header with the fields that all rings of this version share: magic,
// version and offsets. The other fields are 0.
RingHeader EmptyRingHeader();

// Returns the process that created the ring.
ProcessIdentity OwnerOf(const RingHeader& header);

// Returns the value of `crc32c` for a header of this version.
uint32_t RingHeaderChecksum(const RingHeader& header);

// Returns the value of RingHeader::segment_directory for the absolute path
// `path`, without the padding. A path of more than 127 bytes becomes
// "#HASH#END": 16 hexadecimal digits of a hash of the whole path, and its last
// 109 bytes. Therefore two paths with the same end have different values.
std::string SegmentDirectoryField(absl::string_view path);
// Returns the field of `header`, as a view into `header`; empty if the
// directory is the one of the ring.
absl::string_view SegmentDirectory(const RingHeader& header);
// Returns the value of `crc32c` for a cursor. `seed` is ChecksumSeed() of the
// ring.
uint32_t PersistCursorChecksum(absl::crc32c_t seed,
                               const PersistCursor& cursor);

}  // namespace ringlog

#endif  // RINGLOG_RING_RING_HEADER_H_
