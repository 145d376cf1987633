// Finds the files that the paths on a command line name.

#ifndef RINGLOG_TOOLS_DECODE_INPUTS_H_
#define RINGLOG_TOOLS_DECODE_INPUTS_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/tools/decode/report.h"

namespace ringlog {

// The parts of a file's name that name the process which created the file:
// program, host, process id, the first four bytes of the ring id.
using ProcessName = std::tuple<std::string, std::string, int64_t, uint32_t>;
ProcessName ProcessOf(const ParsedFileName& name);

struct InputFile {
  std::string path;
  // By the first bytes, if the path was given on the command line and they are
  // those of a ring or a zstd file; otherwise by the name.
  FileKind kind = FileKind::kOther;
  bool from_directory = false;  // found in a directory, not named itself
  bool is_nearby = false;       // found by AddNearby()
  ParsedFileName name;
  uint64_t bytes = 0;  // length when it was found
  uid_t owner = 0;     // owner when it was found
};

// Checks the owner of an opened file against InputFile::owner, which decides
// about segments (IsTrusted()).
//   Unavailable: they differ; another user's file has replaced the found one
absl::Status CheckOwner(uid_t found, uid_t opened);

// Thread-compatible.
class Inputs {
 public:
  // Finds the files. The rings of a directory include those in /dev/shm whose
  // segments are in the directory. `report`, which must outlive this object,
  // receives
  //
  //   - a path that does not exist and is not named like a ring or a segment,
  //     so it may be a directory that a program has not made yet: as a note if
  //     another path has logs, otherwise as unusable
  //   - a directory without logs: as a note if no path has logs
  //   - a directory with logs of other users than root, the user of this
  //     process and the directory's owner: as a note with their ids
  //   - each other path that cannot be used: as unusable
  Inputs(const std::vector<std::string>& paths, Report* report);

  // Reads all directories again, because a live process may have begun files
  // since. Appends new files to `files`. One reading may find a newer file and
  // miss an older one; the next reading finds the older one.
  void Relist();

  // Appends the files in `directory` to `files`, with is_nearby set. Relist()
  // reads the directory too. Does nothing if the directory cannot be read.
  void AddNearby(const std::string& directory);

  // Only kRing and kSegment, each file once. Elements are only appended.
  std::vector<InputFile> files;

 private:
  void AddPath(const std::string& path);
  void ReadNearby(const std::string& directory);
  void AddMissing(const std::string& path, int error);
  void ReportDirectoriesWithoutLogs();
  // Notes the owners of the `files` from `first` on, which are in the directory
  // `path` of user `owner`, unless they are trusted.
  void NoteOtherUsers(const std::string& path, uid_t owner, size_t first);
  // Returns the number of logs in the directory, known ones included.
  absl::StatusOr<size_t> AddDirectory(const std::string& path);
  // Adds a file of a directory.
  void AddListedFile(std::string path, const struct stat& st);
  void AddFile(InputFile file, dev_t device, ino_t inode);

  std::vector<std::string> directories_;
  std::set<std::string> nearby_directories_;
  std::vector<std::string> empty_directories_;
  std::vector<std::string> missing_directories_;
  std::map<std::pair<dev_t, ino_t>, std::string> seen_;  // path of each file
  std::map<std::string, uid_t> paths_;  // owners of `files`, by path
  Report* report_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_INPUTS_H_
