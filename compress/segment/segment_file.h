// An open segment: read and written at given places, with errors that say what
// was tried on which file.

#ifndef RINGLOG_COMPRESS_SEGMENT_SEGMENT_FILE_H_
#define RINGLOG_COMPRESS_SEGMENT_SEGMENT_FILE_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/os/fork_closed_file.h"

namespace ringlog {

// Of a new segment, less what the umask takes: group members may read logs.
inline constexpr mode_t kDefaultSegmentMode = 0640;

// Thread-compatible; ReadAt() counts as a change. Owns the descriptor, which
// forked children do not have.
class SegmentFile {
 public:
  // `flags` are those of open(2); O_CLOEXEC is added. What is no regular file
  // is refused. `mode` is a new file's, less what the umask takes.
  static absl::StatusOr<SegmentFile> Open(const std::string& path, int flags,
                                          mode_t mode = kDefaultSegmentMode);

  SegmentFile(SegmentFile&&) = default;
  SegmentFile& operator=(SegmentFile&&) = delete;

  // As large as it was when it was opened.
  uint64_t opened_bytes() const { return opened_bytes_; }
  const std::string& path() const { return path_; }

  // Fewer than `bytes` only where the file ends.
  absl::StatusOr<size_t> ReadAt(uint64_t offset, char* out, size_t bytes) const;
  // The first error of ReadAt(), if there was one.
  const absl::Status& read_status() const { return read_status_; }
  // All of them, or an error: some of them may then be there.
  absl::Status WriteAt(uint64_t offset, absl::string_view bytes);
  absl::Status Truncate(uint64_t bytes);
  // fdatasync.
  absl::Status Sync();
  // fsync: that it has been cut, too.
  absl::Status SyncLength();

  // As large as it is now.
  absl::StatusOr<uint64_t> Size() const;
  // Whether it has lost its last name. False if the system does not say.
  bool IsDeleted() const;

  // Takes the lock that says that somebody writes to it, as long as it is open:
  // it is not deleted then to keep to a limit (retention.h). Where another has
  // it, or the file system has no locks, does nothing.
  void TryLock();

 private:
  SegmentFile(std::string path, ForkClosedFile file)
      : path_(std::move(path)), file_(std::move(file)) {}
  int fd() const { return file_.fd(); }
  absl::Status Error(int error, absl::string_view attempted) const;

  std::string path_;
  ForkClosedFile file_;
  uint64_t opened_bytes_ = 0;
  mutable absl::Status read_status_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_SEGMENT_FILE_H_
