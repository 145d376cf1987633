// FileSource
//
// A RingSource of a file. Reads with pread(2) into a window of 256 KiB, or of
// the longest piece that was asked for. Never maps the file: another process
// may truncate it, and a mapping beyond the end of its file, or a bad sector,
// ends the process with SIGBUS.
//
// In a sparse file, reads no holes, so that the work is bounded by the blocks
// that the file has on the disk and not by its length.

#ifndef RINGLOG_RING_FILE_SOURCE_H_
#define RINGLOG_RING_FILE_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/ring_source.h"

namespace ringlog {

// Thread-compatible.
class FileSource : public RingSource {
 public:
  static constexpr size_t kWindowBytes = 256 << 10;

  // Makes a source of the file `fd`, which must stay open as long as the source
  // is used. `path` is only for messages; if it is empty, they name no file.
  // The file may grow; bytes beyond its present length are not read.
  //   InvalidArgument    not a regular file, or longer than `max_file_bytes`
  //   others             errors of fstat(2)
  static absl::StatusOr<std::unique_ptr<FileSource>> Make(
      int fd, absl::string_view path, uint64_t max_file_bytes);

  uint64_t size() const override { return size_; }

  // Errors are those of pread(2), with the path, and:
  //   ResourceExhausted  no memory for the window
  //   Unavailable        the file has become shorter
  absl::StatusOr<absl::string_view> Read(uint64_t offset,
                                         uint64_t bytes) override;

  // Knows holes if the file system reports them, and if the file has at least
  // 1 MiB of them.
  uint64_t EndOfHole(uint64_t offset) override;

  // Frees the window, and with it the view that Read() has returned. The next
  // Read() allocates the window again.
  void FreeWindow();

 private:
  FileSource(int fd, absl::string_view path, uint64_t size, bool is_sparse)
      : fd_(fd), path_(path), size_(size), is_sparse_(is_sparse) {}

  // Fills the window with `bytes` bytes from `offset` on.
  absl::Status Fill(uint64_t offset, size_t bytes);

  const int fd_;
  const std::string path_;
  const uint64_t size_;
  // True if SEEK_DATA and SEEK_HOLE are asked.
  const bool is_sparse_;
  std::unique_ptr<char[]> window_;
  size_t capacity_ = 0;
  // The bytes of the file in the window.
  uint64_t window_offset_ = 0;
  size_t window_bytes_ = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_FILE_SOURCE_H_
