// MappedFile
//
// A file of fixed size, mapped shared and writable, that cannot run out of disk
// under the stores into it, and that belongs to one process at a time. What it
// is not: it knows nothing of rings.

#ifndef RINGLOG_RING_OS_MAPPED_FILE_H_
#define RINGLOG_RING_OS_MAPPED_FILE_H_

#include <cstddef>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ringlog/ring/os/fork_closed_file.h"

namespace ringlog {

// Thread-compatible. Unmaps, closes and so unlocks when it goes; the file
// stays. A forked child has neither; see ForkClosedFile.
class MappedFile {
 public:
  using Bytes = absl::Span<unsigned char>;

  // Makes a file of `size` zero bytes, lets `initialize` write into the
  // mapping, and then gives it its name: a kill before leaves only PATH.tmp,
  // which a recovery removes (compress/leftover.h), and which keeps others from
  // creating PATH.
  //
  // The blocks are allocated and written, for on a full disk a store into a
  // merely extended file ends the process with SIGBUS; the pages are mapped, so
  // that stores do not fault. On a copy-on-write file system the allocation is
  // not a promise, and the kernel has no other.
  //   AlreadyExists, ResourceExhausted, or what the failing call reported,
  //   with the path
  static absl::StatusOr<MappedFile> Create(
      const std::string& path, size_t size,
      const std::function<void(Bytes)>& initialize);

  // Memory without a file.
  static absl::StatusOr<MappedFile> CreateAnonymous(
      size_t size, const std::function<void(Bytes)>& initialize);

  // Maps the whole of an existing file.
  //   FailedPrecondition: somebody has it open as a MappedFile
  //   others:             those of open(2) and mmap(2), with the path
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  MappedFile() = default;

  Bytes bytes() const { return bytes_; }

  // Whether there was a file, and it has lost its last name.
  bool is_deleted() const;

  // msync: starts write-back, or waits for it.
  absl::Status Sync(bool wait) const;

 private:
  MappedFile(ForkClosedFile file, Bytes bytes, std::string path)
      : file_(std::move(file)), bytes_(bytes), path_(std::move(path)) {}

  ForkClosedFile file_;
  Bytes bytes_;
  std::string path_;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_MAPPED_FILE_H_
