#include "ringlog/ring/memory_source.h"

#include <cstddef>

namespace ringlog {

absl::StatusOr<absl::string_view> MemorySource::Read(uint64_t offset,
                                                     uint64_t) {
  if (offset >= bytes_.size()) return absl::string_view();
  return bytes_.substr(static_cast<size_t>(offset));
}

}  // namespace ringlog
