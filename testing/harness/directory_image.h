// DirectoryImage, DirectoryWatch
//
// A copy of the content of a directory at one moment, and a watch that reports
// a change of the directory. The watch also detects changes that a process
// makes through a mapping.

#ifndef RINGLOG_TESTING_HARNESS_DIRECTORY_IMAGE_H_
#define RINGLOG_TESTING_HARNESS_DIRECTORY_IMAGE_H_

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <string>

namespace ringlog {

// The content of a directory. Keys are paths relative to the directory.
struct DirectoryImage {
  std::set<std::string> directories;
  std::map<std::string, std::shared_ptr<const std::string>> files;
  std::map<std::string, std::string> symlinks;

  // Makes the content of `directory` equal to this image.
  void Restore(const std::string& directory) const;
};

// Keeps an image of a directory up to date. Thread-compatible.
class DirectoryWatch {
 public:
  // Reads the directory.
  explicit DirectoryWatch(const std::string& directory);
  ~DirectoryWatch();
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;

  // Returns true if the directory has changed since the last call or the
  // constructor, and updates the image. Compares files whose name ends in
  // ".ring" at each call, all other files only if `all_files` is true.
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
