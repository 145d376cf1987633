// The directories of one program's log files.

#ifndef RINGLOG_COMPRESS_SEGMENT_LOG_DIRECTORIES_H_
#define RINGLOG_COMPRESS_SEGMENT_LOG_DIRECTORIES_H_

#include <string>

#include "ringlog/ring/ring.h"

namespace ringlog {

struct LogDirectories {
  // Directory of the segments.
  std::string segments;
  // Directory of the rings, possibly the same. Empty if the ring has no file.
  std::string rings;
  // Program name as in the names of the program's files.
  std::string program;
};

// Returns the directories of a process that uses `ring` and writes its segments
// to the directory `segments`.
LogDirectories LogDirectoriesOf(const Ring& ring, const std::string& segments);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_LOG_DIRECTORIES_H_
