// A file that is a segment by its name or its first bytes, and its identity.

#ifndef RINGLOG_TOOLS_DECODE_FOUND_SEGMENT_H_
#define RINGLOG_TOOLS_DECODE_FOUND_SEGMENT_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/ring/os/file_identity.h"
#include "ringlog/tools/decode/inputs.h"

namespace ringlog {

// Changes at each write to a file, and if another file gets its path. Zeros if
// there is no such file.
struct FileStamp {
  FileIdentity identity;
  int64_t bytes = 0;
  int64_t modified_ns = 0;

  friend bool operator==(const FileStamp& a, const FileStamp& b) {
    return a.identity == b.identity && a.bytes == b.bytes &&
           a.modified_ns == b.modified_ns;
  }
};

struct FoundSegment {
  InputFile input;
  // The file before the identity was read.
  FileStamp stamp;
  // Result of opening the file. On an error, input.bytes is the length after
  // that.
  absl::Status status;
  bool has_metadata = false;
  // Identity from the first metadata frame. Without one, only `number` is set,
  // from the file name.
  SegmentIdentity identity;
  // Set by RemoveForeign(): a file of another user, with only the name of a
  // segment of the ring.
  bool is_foreign = false;
  // No ring owns it, whatever its name and its identity are.
  bool has_no_ring = false;
};

// Returns true if the file of user `owner` may decide about the meaning of a
// file of user `other`: if the users are the same, or if `owner` is root or the
// user of this process.
bool IsTrusted(uid_t owner, uid_t other);

// Opens a file that belonged to `owner` when it was found. Errors are those of
// SegmentFile::Open(), fstat(2) and CheckOwner().
absl::StatusOr<SegmentFile> OpenFoundFile(const std::string& path, uid_t owner);

// Does the same, and reads the beginning. Errors are those of OpenFoundFile()
// and SegmentReader::Open().
absl::StatusOr<std::unique_ptr<SegmentReader>> OpenFoundSegment(
    const std::string& path, uid_t owner, uint64_t limit_bytes = kWholeFile);

// Opens the file and reads its identity.
FoundSegment InspectSegment(const InputFile& input);

// Returns true if InspectSegment() may have another result now, for a segment
// that it could not identify.
bool MayInspectAgain(const FoundSegment& segment);

// Returns true if the segment belongs to the ring `id`. For a segment without
// metadata, compares the name.
bool BelongsTo(const FoundSegment& segment, const RingId& id);

// Moves the segments with metadata out of `segments`, and those without whose
// names belong to them. Groups them by process: segments with the same ring id,
// owner and process's name, in the order of their first segments. Those with
// other names join the first group with their id and owner. Each group is
// sorted by number. The cost does not depend on the number of groups.
std::vector<std::vector<FoundSegment>> TakeSegmentsByProcess(
    std::vector<FoundSegment>* segments);

// Sorts the segments of a ring of user `owner` by number. Of those with one
// number, those that can be read come first; then those of `owner`; then those
// of trusted users (IsTrusted()); then those with metadata.
void SortByNumber(uid_t owner, std::vector<FoundSegment>* segments);

struct ForeignCopies {
  size_t count = 0;
  std::string first_path;
};

// Finds the segments that another user may have forged. Trusted users' are
// none, and neither are those that have the ring's id in their metadata,
// because the process of the ring may have changed its user. For each other
// user:
//
//   - drops a segment with the number of a segment of `owner`, and one without
//     metadata with the number of any other one: it may be a copy
//   - sets is_foreign of the other ones without metadata
//   - if another user has a segment with its number, sets has_no_ring, so that
//     it hides nothing, and moves it to the end of `rest`
//
// Allocates no memory if `rest` has room for all.
// Requires: SortByNumber() has sorted them with this owner.
ForeignCopies RemoveForeign(uid_t owner, std::vector<FoundSegment>* segments,
                            std::vector<FoundSegment>* rest);

// Removes and returns the segments with is_foreign.
std::vector<FoundSegment> TakeForeign(std::vector<FoundSegment>* segments);

// Returns the id of the ring `ring`, whose header was rebuilt. Only the CRC-32C
// of `rebuilt` is right, so:
//   1. If the metadata of a segment has an id with that CRC-32C, and the ring
//      may own the segment (IsTrusted()), returns this id.
//   2. Otherwise returns an id with that CRC-32C and the prefix in the ring's
//      name, which is enough for BelongsTo().
RingId IdOfRebuiltRing(const RingId& rebuilt, const InputFile& ring,
                       const std::vector<FoundSegment>& segments);

// Returns the present length of the file; 0 if it does not exist.
uint64_t FileBytes(const std::string& path);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_FOUND_SEGMENT_H_
