#include "ringlog/testing/other_boot.h"

#include <cstddef>
#include <cstring>

#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {

std::string OfAnotherBoot(std::string ring) {
  RingHeader header;
  std::memcpy(&header, ring.data(), sizeof header);
  header.boot_id[0] ^= 1;
  header.crc32c = RingHeaderChecksum(header);
  for (const size_t at : {size_t{0}, size_t{kRingHeaderCopyOffset}}) {
    std::memcpy(&ring[at], &header, sizeof header);
  }
  return ring;
}

}  // namespace ringlog
