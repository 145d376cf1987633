#include "ringlog/testing/harness/directory_image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {

void DirectoryImage::Restore(const std::string& directory) const {
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    std::filesystem::remove_all(entry.path());
  }
  // The set is sorted, so each directory comes before its subdirectories.
  for (const std::string& name : directories) {
    // The command makes private directories only.
    EXPECT_EQ(mkdir(absl::StrCat(directory, "/", name).c_str(), 0700), 0);
  }
  for (const auto& [name, content] : files) {
    WriteFile(absl::StrCat(directory, "/", name), *content);
  }
  for (const auto& [name, target] : symlinks) {
    std::filesystem::create_symlink(target, absl::StrCat(directory, "/", name));
  }
}

DirectoryWatch::DirectoryWatch(const std::string& directory)
    : directory_(directory) {
  ReadAll();
}

DirectoryWatch::~DirectoryWatch() { UnmapRings(); }

bool DirectoryWatch::Changed(bool all_files) {
  if (all_files && ReadAll()) return true;
  bool changed = false;
  for (const auto& [name, ring] : rings_) {
    std::shared_ptr<const std::string>& last = image_.files[name];
    if (std::memcmp(ring.data, last->data(), ring.size) == 0) continue;
    last = std::make_shared<const std::string>(ring.data, ring.size);
    changed = true;
  }
  return changed;
}

bool DirectoryWatch::ReadAll() {
  DirectoryImage now;
  bool changed = false;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(directory_)) {
    const std::string name =
        entry.path().lexically_relative(directory_).string();
    if (entry.is_directory()) {
      now.directories.insert(name);
      continue;
    }
    if (entry.is_symlink()) {
      now.symlinks[name] = std::filesystem::read_symlink(entry.path());
      continue;
    }
    std::string content = ReadFile(entry.path());
    const auto last = image_.files.find(name);
    if (last != image_.files.end() && *last->second == content) {
      now.files[name] = last->second;
    } else {
      now.files[name] = std::make_shared<const std::string>(std::move(content));
      changed = true;
    }
  }
  changed |= now.symlinks != image_.symlinks ||
             now.directories != image_.directories ||
             now.files.size() != image_.files.size();
  if (!changed) return false;
  image_ = std::move(now);
  MapRings();
  return true;
}

void DirectoryWatch::MapRings() {
  UnmapRings();
  for (const auto& [name, content] : image_.files) {
    if (!absl::EndsWith(name, ".ring") || content->empty()) continue;
    const std::string path = absl::StrCat(directory_, "/", name);
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    ASSERT_GE(fd, 0) << path;
    void* const data =
        mmap(nullptr, content->size(), PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    ASSERT_NE(data, MAP_FAILED) << path;
    rings_[name] = {static_cast<const char*>(data), content->size()};
  }
}

void DirectoryWatch::UnmapRings() {
  for (const auto& [name, ring] : rings_) {
    munmap(const_cast<char*>(ring.data), ring.size);
  }
  rings_.clear();
}

}  // namespace ringlog
