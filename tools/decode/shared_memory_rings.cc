#include "ringlog/tools/decode/shared_memory_rings.h"

#include <fcntl.h>

#include <filesystem>
#include <system_error>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/shared_memory_directory.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

// Returns the names under which a program may know the directory: the absolute
// path, and the same without symlinks. Without a slash at the end.
std::set<std::string> AbsolutePaths(const std::string& path) {
  std::set<std::string> paths;
  std::error_code error;
  for (const std::filesystem::path& absolute :
       {std::filesystem::absolute(path, error).lexically_normal(),
        std::filesystem::weakly_canonical(path, error)}) {
    paths.insert(absolute.has_filename() ? absolute.string()
                                         : absolute.parent_path().string());
  }
  return paths;
}

bool WritesToOneOf(const std::string& ring,
                   const std::set<std::string>& directories) {
  const absl::StatusOr<RingHeader> header = ReadRingHeader(ring, O_NOFOLLOW);
  if (!header.ok()) return false;
  for (const std::string& directory : directories) {
    if (WritesSegmentsTo(*header, /*is_in_same_directory=*/false, directory)) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::vector<std::string> SharedMemoryRings(const std::string& segments,
                                           const std::set<uid_t>& users) {
  const std::set<std::string> directories = AbsolutePaths(segments);
  std::vector<std::string> rings;
  for (const uid_t user : users) {
    for (const std::string& directory : SharedMemoryDirectories(user)) {
      for (const std::string& name : ListDirectory(directory)) {
        const std::string path = absl::StrCat(directory, "/", name);
        if (ParseFileName(name).kind == FileKind::kRing &&
            WritesToOneOf(path, directories)) {
          rings.push_back(path);
        }
      }
    }
  }
  return rings;
}

}  // namespace ringlog
