#include "ringlog/compress/segment/log_directories.h"

#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

LogDirectories LogDirectoriesOf(const Ring& ring, const std::string& segments) {
  LogDirectories directories;
  directories.segments = segments;
  if (!ring.path().empty()) directories.rings = Dirname(ring.path());
  directories.program = ParseFileName(RingFileName(ring.header())).program;
  return directories;
}

}  // namespace ringlog
