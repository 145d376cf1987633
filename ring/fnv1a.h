// A hash function whose values may be stored in files.

#ifndef RINGLOG_RING_FNV1A_H_
#define RINGLOG_RING_FNV1A_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace ringlog {

// Returns the 64-bit FNV-1a hash: http://www.isthe.com/chongo/tech/comp/fnv/.
inline uint64_t Fnv1a(absl::string_view bytes) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : bytes) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  }
  return hash;
}

}  // namespace ringlog

#endif  // RINGLOG_RING_FNV1A_H_
