// Rings in /dev/shm that write their segments to a given directory
// (ring/os/shared_memory_directory.h).

#ifndef RINGLOG_TOOLS_DECODE_SHARED_MEMORY_RINGS_H_
#define RINGLOG_TOOLS_DECODE_SHARED_MEMORY_RINGS_H_

#include <sys/types.h>

#include <set>
#include <string>
#include <vector>

namespace ringlog {

// Returns the paths of the rings in the private directories of `users` whose
// headers name the directory `segments`. A path of another container, or by
// another symlink, is not recognized.
//
// Thread-safe.
std::vector<std::string> SharedMemoryRings(const std::string& segments,
                                           const std::set<uid_t>& users);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_SHARED_MEMORY_RINGS_H_
