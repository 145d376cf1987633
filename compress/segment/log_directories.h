// The directories that hold one program's log files.

#ifndef RINGLOG_COMPRESS_SEGMENT_LOG_DIRECTORIES_H_
#define RINGLOG_COMPRESS_SEGMENT_LOG_DIRECTORIES_H_

#include <string>

#include "ringlog/ring/ring.h"

namespace ringlog {

struct LogDirectories {
  std::string segments;
  std::string rings;    // may equal `segments`; empty: the ring has no file
  std::string program;  // as it appears in the names of the program's files
};

// Returns the directories that `ring` and the segments written to `segments`
// use.
LogDirectories LogDirectoriesOf(const Ring& ring, const std::string& segments);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_LOG_DIRECTORIES_H_
