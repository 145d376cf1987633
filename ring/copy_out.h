// Copies structs of the file format out of a file's bytes.

#ifndef RINGLOG_RING_COPY_OUT_H_
#define RINGLOG_RING_COPY_OUT_H_

#include <type_traits>

#include "absl/strings/string_view.h"

namespace ringlog {

// Returns the struct at the begin of `bytes`, which may have any alignment.
// Bytes beyond the end of `bytes` are zero. `bytes` may be empty and without
// an address, which memcpy(3) does not permit.
template <typename T>
T CopyOut(absl::string_view bytes) {
  static_assert(std::is_trivially_copyable_v<T>, "it is copied by its bytes");
  T value = {};
  bytes.copy(reinterpret_cast<char*>(&value), sizeof value);
  return value;
}

}  // namespace ringlog

#endif  // RINGLOG_RING_COPY_OUT_H_
