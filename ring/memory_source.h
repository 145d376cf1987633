// MemorySource
//
// A RingSource of bytes in memory.

#ifndef RINGLOG_RING_MEMORY_SOURCE_H_
#define RINGLOG_RING_MEMORY_SOURCE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/ring_source.h"

namespace ringlog {

// Thread-compatible. The bytes must outlive the source.
class MemorySource : public RingSource {
 public:
  explicit MemorySource(absl::string_view bytes) : bytes_(bytes) {}

  uint64_t size() const override { return bytes_.size(); }

  // Returns a view of the bytes that the source was made of, up to their end.
  // It stays valid as long as these bytes. Never fails.
  absl::StatusOr<absl::string_view> Read(uint64_t offset,
                                         uint64_t bytes) override;

  // Knows no holes.
  uint64_t EndOfHole(uint64_t offset) override { return offset; }

 private:
  const absl::string_view bytes_;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_MEMORY_SOURCE_H_
