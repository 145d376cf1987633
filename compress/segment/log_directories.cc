#include "ringlog/compress/segment/log_directories.h"

#include <algorithm>
#include <cstddef>

#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

LogDirectories LogDirectoriesOf(const Ring& ring, const std::string& segments) {
  LogDirectories directories;
  directories.segments = segments;
  const std::string& path = ring.path();
  if (!path.empty()) {
    const size_t slash = path.rfind('/');
    directories.rings = slash == std::string::npos
                            ? "."
                            : path.substr(0, std::max<size_t>(slash, 1));
  }
  directories.program = ParseFileName(RingFileName(ring.header())).program;
  return directories;
}

}  // namespace ringlog
