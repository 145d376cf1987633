// RingSource
//
// The bytes of a ring file, read in pieces. Recovery reads a ring through it,
// so that the memory that recovery takes does not depend on the file.

#ifndef RINGLOG_RING_RING_SOURCE_H_
#define RINGLOG_RING_RING_SOURCE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ringlog {

// Thread-compatible.
class RingSource {
 public:
  virtual ~RingSource() = default;

  // Returns the length of the file, in bytes.
  virtual uint64_t size() const = 0;

  // Returns the bytes from `offset` on: `bytes` bytes, fewer at the end of the
  // file, and possibly more that are already in memory. Returns an empty view
  // if `offset` is not below size(). The view is valid until the next Read(),
  // and not longer than the source.
  //   Unavailable:       the file has become shorter
  //   ResourceExhausted: no memory
  //   others:            those of reading the file
  virtual absl::StatusOr<absl::string_view> Read(uint64_t offset,
                                                 uint64_t bytes) = 0;

  // Returns the end of the hole that `offset` is in: all bytes from `offset` to
  // there are zero, and are not on the disk. Returns `offset` if it is in no
  // hole, or if holes are unknown. Returns size() if nothing else follows.
  // Requires: `offset` is at most size().
  virtual uint64_t EndOfHole(uint64_t offset) = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_RING_SOURCE_H_
