// The files that recovery of leftover rings works with.

#ifndef RINGLOG_COMPRESS_RECOVERY_LEFTOVER_FILE_H_
#define RINGLOG_COMPRESS_RECOVERY_LEFTOVER_FILE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

// `status` with the path in front.
absl::Status PrependPath(const absl::Status& status, absl::string_view path);

// What is in a directory, sorted. Of one that cannot be read, nothing, and
// `*status` says why; one that does not exist is empty.
std::vector<std::string> ListDirectory(const std::string& path,
                                       absl::Status* status = nullptr);

// Bytes of a file. Read, not mapped: somebody may shorten it at any moment.
struct FileContent {
  std::unique_ptr<char[]> data;
  size_t size = 0;

  absl::string_view view() const { return {data.get(), size}; }
};

// The file, or its first `most` bytes.
//   InvalidArgument:   no regular file, or larger than a ring can be
//   ResourceExhausted: no memory for it
//   others:            those of fstat(2) and read(2)
absl::StatusOr<FileContent> ReadFileContent(int fd, const std::string& path,
                                            uint64_t most = kMaxRingFileBytes);

// `flags` are added to those of open(2). Errors are those of open(2),
// ReadFileContent() and ParseRingHeader().
absl::StatusOr<RingHeader> ReadRingHeader(const std::string& path, int flags);

// Whether the segments of a ring with this header, in the same directory or
// elsewhere, are in `segment_directory`.
bool WritesSegmentsTo(const RingHeader& header, bool is_in_same_directory,
                      const std::string& segment_directory);

// Opens a ring, and takes the lock that a living owner, or another recovery,
// would hold until the descriptor is closed; a forked child has neither. May
// wait some milliseconds for who has it for a moment.
//   FailedPrecondition: one of them does
//   NotFound:           somebody has recovered and deleted it
//   others:             those of open(2)
absl::StatusOr<ForkClosedFile> OpenLeftover(const std::string& path);

// The header of a ring that its process seems to have left: nobody has it
// locked, nor has the living process whose it is, the calling one too, it
// mapped, as one has that closed the descriptor behind our back. Cheap; asks
// for the lock, as ReadLeftover() does.
//   FailedPrecondition: somebody has it
//   others:             those of ReadRingHeader()
absl::StatusOr<RingHeader> ReadLeftoverHeader(const std::string& path);

struct LeftoverRing {
  FileContent bytes;
  RecoveredRing ring;  // what the segments do not have; refers to `bytes`
};

// What the open ring `fd`, which nobody has locked, holds for its segments. All
// of it, if it is not known how much they have.
//   FailedPrecondition: its process is alive
//   others:             those of ReadFileContent() and RecoverRing()
absl::StatusOr<LeftoverRing> ReadLeftover(int fd, const std::string& path);

// The same for a ring that is to stay: opened for reading, and the lock only
// asked for. That nobody has it is enough, for nobody writes to the ring of a
// process that has died.
absl::StatusOr<LeftoverRing> ReadLeftover(const std::string& path);

// The same for a ring that has lost its headers, by one that was made up for it
// (RebuildRingHeader()). Whose it is nobody knows, so that only the lock tells
// whether its process is alive.
absl::StatusOr<LeftoverRing> ReadLeftover(const std::string& path,
                                          const RingHeader& header);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_LEFTOVER_FILE_H_
