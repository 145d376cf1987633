// ReadBuffer
//
// The bytes of a file around the last small reads, so that a walk over headers
// makes a system call per kilobytes, not per header.

#ifndef RINGLOG_COMPRESS_SEGMENT_READ_BUFFER_H_
#define RINGLOG_COMPRESS_SEGMENT_READ_BUFFER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace ringlog {

// Thread-compatible. Holds at most kMaxBytes.
class ReadBuffer {
 public:
  // Longest read that is worth buffering.
  static constexpr size_t kMaxSmallRead = 4 << 10;

  // Copies the bytes at `offset` to `out`. Returns false if the buffer does not
  // have all of them: then the caller reads Refill().size() bytes at `offset`,
  // and calls Filled().
  bool Get(uint64_t offset, char* out, size_t bytes) const {
    if (offset < begin_ || offset - begin_ > size_ ||
        bytes > size_ - (offset - begin_)) {
      return false;
    }
    std::memcpy(out, bytes_.data() + (offset - begin_), bytes);
    return true;
  }

  // Returns the memory for the bytes at `offset`, and forgets the old ones. The
  // memory is the larger the longer the file is read in order.
  std::string& Refill(uint64_t offset) {
    const bool is_in_order = offset >= begin_ && offset <= begin_ + size_;
    const size_t next = is_in_order ? 2 * bytes_.size() : 0;
    bytes_.resize(std::min(kMaxBytes, std::max(kMaxSmallRead, next)));
    begin_ = offset;
    size_ = 0;
    return bytes_;
  }
  // Sets the number of bytes that were read.
  void Filled(size_t bytes) { size_ = bytes; }

  // Forgets all bytes.
  void Clear() { size_ = 0; }

 private:
  static constexpr size_t kMaxBytes = 64 << 10;

  std::string bytes_;
  uint64_t begin_ = 0;  // file offset
  size_t size_ = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_READ_BUFFER_H_
