// DirectoryImage
//
// What a directory holds at one moment, and a watch that notices when that
// changes, by system calls or through a mapping.

#ifndef RINGLOG_TESTING_HARNESS_DIRECTORY_IMAGE_H_
#define RINGLOG_TESTING_HARNESS_DIRECTORY_IMAGE_H_

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>

namespace ringlog {

// By paths within the directory.
struct DirectoryImage {
  std::set<std::string> directories;
  std::map<std::string, std::shared_ptr<const std::string>> files;
  std::map<std::string, std::string> symlinks;

  // Makes `directory` hold this and nothing else.
  void Restore(const std::string& directory) const;
};

// Thread-compatible.
class DirectoryWatch {
 public:
  explicit DirectoryWatch(const std::string& directory);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

  // Looks whether it has changed since the last look, or the constructor. Files
  // that end in ".ring" are looked at each time; all else, if `all_files`.
  bool Changed(bool all_files);
  const DirectoryImage& image() const { return image_; }

 private:
  struct Mapping {
    const char* data;
    size_t size;
  };
  bool ReadAll();
  void MapRings();
  void UnmapRings();

  const std::string directory_;
  DirectoryImage image_;
  std::map<std::string, Mapping> rings_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_DIRECTORY_IMAGE_H_
