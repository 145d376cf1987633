// Which files the paths on a command line mean.

#ifndef RINGLOG_TOOLS_DECODE_INPUTS_H_
#define RINGLOG_TOOLS_DECODE_INPUTS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/tools/decode/report.h"

namespace ringlog {

struct InputFile {
  std::string path;
  FileKind kind = FileKind::kOther;  // by its first bytes, if it was named
                                     // and they tell, else by its name
  bool from_directory = false;
  bool is_beside = false;  // AddBeside() has found it
  ParsedFileName name;
  uint64_t bytes = 0;
};

// Thread-compatible.
class Inputs {
 public:
  // Finds the files. What is no input is reported. `report` must outlive it.
  Inputs(const std::vector<std::string>& paths, Report* report);

  // Looks into the directories again, for a live process may have begun files
  // since: `files` gets the new ones at its end.
  void Relist();

  // `files` gets what is in `directory` too, if it exists and can be read.
  void AddBeside(const std::string& directory);

  // Only kRing and kSegment, each file once.
  std::vector<InputFile> files;

 private:
  void AddPath(const std::string& path);
  // Returns how many files are logs by their names, known ones included.
  absl::StatusOr<size_t> AddDirectory(const std::string& path);
  void AddFile(InputFile file, dev_t device, ino_t inode);

  std::vector<std::string> directories_;
  // By the file, under which path it was found; and all paths.
  std::map<std::pair<dev_t, ino_t>, std::string> seen_;
  std::set<std::string> paths_;
  Report* report_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_INPUTS_H_
