#include "ringlog/ring/file_source.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

// Holes of fewer bytes are read. The owner of a ring allocates all blocks, so a
// ring has holes only if it was copied or forged, or if the file system
// compresses it.
constexpr uint64_t kMinHoles = 1 << 20;
constexpr uint64_t kBytesPerBlock = 512;

// Returns the beginning of a message: "read PATH", or "read" without a path.
std::string Operation(absl::string_view name, absl::string_view path) {
  return path.empty() ? std::string(name) : absl::StrCat(name, " ", path);
}

}  // namespace

absl::StatusOr<std::unique_ptr<FileSource>> FileSource::Make(
    int fd, absl::string_view path, uint64_t max_file_bytes) {
  struct stat st;
  if (fstat(fd, &st) != 0) {
    return FileStatus(errno, Operation("stat", path));
  }
  const auto size = static_cast<uint64_t>(st.st_size);
  if (!S_ISREG(st.st_mode) || size > max_file_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, path.empty() ? "" : ": ", "not a regular file of at most ",
        max_file_bytes, " bytes"));
  }
  const bool is_sparse =
      static_cast<uint64_t>(st.st_blocks) * kBytesPerBlock + kMinHoles <= size;
  // Some versions of ZFS report pages that are only in memory as a hole.
  if (is_sparse) fdatasync(fd);
  return absl::WrapUnique(new FileSource(fd, path, size, is_sparse));
}

absl::StatusOr<absl::string_view> FileSource::Read(uint64_t offset,
                                                   uint64_t bytes) {
  if (offset >= size_) return absl::string_view();
  bytes = std::min(bytes, size_ - offset);
  const bool is_at_hand = offset >= window_offset_ &&
                          offset + bytes <= window_offset_ + window_bytes_;
  if (!is_at_hand) {
    uint64_t wanted =
        std::min(std::max<uint64_t>(bytes, kWindowBytes), size_ - offset);
    if (is_sparse_) {
      const off_t hole = lseek(fd_, static_cast<off_t>(offset), SEEK_HOLE);
      if (hole >= 0) {
        wanted = std::min(
            wanted, std::max(bytes, static_cast<uint64_t>(hole) - offset));
      }
    }
    if (absl::Status s = Fill(offset, static_cast<size_t>(wanted)); !s.ok()) {
      return s;
    }
  }
  return absl::string_view(window_.get(), window_bytes_)
      .substr(static_cast<size_t>(offset - window_offset_));
}

absl::Status FileSource::Fill(uint64_t offset, size_t bytes) {
  window_bytes_ = 0;
  if (capacity_ < bytes) {
    window_.reset();
    capacity_ = 0;
    window_.reset(new (std::nothrow) char[bytes]);
    if (window_ == nullptr) {
      return absl::ResourceExhaustedError(absl::StrCat(
          Operation("read", path_), ": no memory for ", bytes, " bytes"));
    }
    capacity_ = bytes;
  }
  size_t done = 0;
  while (done < bytes) {
    const ssize_t n = pread(fd_, window_.get() + done, bytes - done,
                            static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return FileStatus(errno, Operation("read", path_));
    if (n == 0) {
      return absl::UnavailableError(absl::StrCat(
          Operation("read", path_), ": it has become shorter: ", offset + done,
          " bytes instead of ", size_));
    }
    done += static_cast<size_t>(n);
  }
  window_offset_ = offset;
  window_bytes_ = bytes;
  return absl::OkStatus();
}

uint64_t FileSource::EndOfHole(uint64_t offset) {
  if (!is_sparse_ || offset >= size_) return offset;
  const off_t data = lseek(fd_, static_cast<off_t>(offset), SEEK_DATA);
  if (data >= 0) return std::min(size_, static_cast<uint64_t>(data));
  // ENXIO: no data follows. Other errors: the file system does not know.
  return errno == ENXIO ? size_ : offset;
}

void FileSource::FreeWindow() {
  window_.reset();
  capacity_ = window_bytes_ = 0;
}

}  // namespace ringlog
