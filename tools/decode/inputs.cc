#include "ringlog/tools/decode/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/tools/decode/shared_memory_rings.h"

namespace ringlog {
namespace {

// Returns the kind of a file by its first bytes.
FileKind KindOfContent(absl::string_view start) {
  const absl::string_view magic(reinterpret_cast<const char*>(kRingMagic),
                                sizeof kRingMagic);
  if (absl::StartsWith(start, magic)) return FileKind::kRing;
  if (start.size() < 4) return FileKind::kOther;
  const bool is_frame = absl::StartsWith(start, "\x28\xB5\x2F\xFD");
  const bool is_skippable = start.substr(1, 3) == "\x2A\x4D\x18" &&
                            (static_cast<unsigned char>(start[0]) >> 4) == 5;
  return is_frame || is_skippable ? FileKind::kSegment : FileKind::kOther;
}

absl::StatusOr<FileKind> ReadKind(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, "open");
  auto closer = absl::MakeCleanup([fd] { close(fd); });
  char start[8];
  const ssize_t n = pread(fd, start, sizeof start, 0);
  if (n < 0) return absl::ErrnoToStatus(errno, "read");
  if (n == 0) {
    // Its process may have died directly after creating it.
    if (ParseFileName(Basename(path)).kind == FileKind::kSegment) {
      return FileKind::kSegment;
    }
    return absl::InvalidArgumentError(
        "empty; a ring or a segment has at least its header");
  }
  FileKind kind =
      KindOfContent(absl::string_view(start, static_cast<size_t>(n)));
  // Its first bytes may be damaged; the reader reports that.
  if (kind == FileKind::kOther) kind = KindOfSuffix(Basename(path));
  if (kind == FileKind::kOther) {
    return absl::InvalidArgumentError(
        absl::StrCat("neither a ring nor a zstd file; give ", kLogFilePatterns,
                     " files, or the directory that has them"));
  }
  return kind;
}

}  // namespace

ProcessName ProcessOf(const ParsedFileName& name) {
  return {name.program, name.host, name.process_id, name.ring_id_prefix};
}

absl::Status CheckOwner(uid_t found, uid_t opened) {
  if (found == opened) return absl::OkStatus();
  return absl::UnavailableError(
      "another user's file has replaced it; run the command again");
}

Inputs::Inputs(const std::vector<std::string>& paths, Report* report)
    : report_(report) {
  for (const std::string& path : paths) AddPath(path);
  ReportDirectoriesWithoutLogs();
}

void Inputs::ReportDirectoriesWithoutLogs() {
  if (files.empty()) {
    for (const std::string& path : empty_directories_) {
      report_->Note(path,
                    absl::StrCat("no logs in this directory; they are named ",
                                 kLogFilePatterns));
    }
  }
  for (const std::string& path : missing_directories_) {
    if (files.empty()) {
      report_->Unusable(path, absl::ErrnoToStatus(ENOENT, "stat"));
    } else {
      report_->Note(path, "does not exist; no logs are read from it");
    }
  }
}

void Inputs::Relist() {
  // A directory that cannot be read any more has been deleted since.
  for (const std::string& directory : directories_) {
    AddDirectory(directory).status().IgnoreError();
  }
  for (const std::string& directory : nearby_directories_) {
    ReadNearby(directory);
  }
}

void Inputs::AddNearby(const std::string& directory) {
  if (nearby_directories_.insert(directory).second) ReadNearby(directory);
}

void Inputs::ReadNearby(const std::string& directory) {
  const size_t known = files.size();
  AddDirectory(directory).status().IgnoreError();
  for (size_t i = known; i < files.size(); ++i) files[i].is_nearby = true;
}

void Inputs::AddMissing(const std::string& path, int error) {
  if (error == ENOENT && KindOfSuffix(Basename(path)) == FileKind::kOther) {
    missing_directories_.push_back(path);
  } else {
    report_->Unusable(path, absl::ErrnoToStatus(error, "stat"));
  }
}

void Inputs::AddPath(const std::string& path) {
  struct stat st;
  if (stat(path.c_str(), &st) != 0) {
    AddMissing(path, errno);
    return;
  }
  if (S_ISDIR(st.st_mode)) {
    const size_t known = files.size();
    const absl::StatusOr<size_t> logs = AddDirectory(path);
    if (!logs.ok()) {
      report_->Unusable(path, logs.status());
      return;
    }
    NoteOtherUsers(path, st.st_uid, known);
    directories_.push_back(path);
    if (*logs == 0) empty_directories_.push_back(path);
    return;
  }
  if (!S_ISREG(st.st_mode)) {
    report_->Unusable(path, absl::InvalidArgumentError(
                                "neither a file nor a directory; a pipe or "
                                "device has to be copied to a file first"));
    return;
  }
  absl::StatusOr<FileKind> kind = ReadKind(path);
  if (!kind.ok()) {
    report_->Unusable(path, kind.status());
    return;
  }
  InputFile file;
  file.path = path;
  file.kind = *kind;
  file.name = ParseFileName(Basename(path));
  file.bytes = static_cast<uint64_t>(st.st_size);
  file.owner = st.st_uid;
  AddFile(std::move(file), st.st_dev, st.st_ino);
}

void Inputs::NoteOtherUsers(const std::string& path, uid_t owner,
                            size_t first) {
  std::set<uid_t> others;
  for (size_t i = first; i < files.size(); ++i) others.insert(files[i].owner);
  for (const uid_t trusted : {uid_t{0}, geteuid(), owner}) {
    others.erase(trusted);
  }
  if (others.empty()) return;
  report_->Note(
      path, absl::StrCat("has files of the users with the ids ",
                         absl::StrJoin(others, ", "), ", and belongs to user ",
                         owner, "; they may have any content"));
}

absl::StatusOr<size_t> Inputs::AddDirectory(const std::string& path) {
  DIR* opened = opendir(path.c_str());
  if (opened == nullptr) return absl::ErrnoToStatus(errno, "open directory");
  auto closer = absl::MakeCleanup([opened] { closedir(opened); });
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(opened)) {
    if (KindOfSuffix(entry->d_name) != FileKind::kOther) {
      names.push_back(entry->d_name);
    }
    errno = 0;
  }
  if (errno != 0) return absl::ErrnoToStatus(errno, "read directory");
  std::sort(names.begin(), names.end());
  size_t logs = 0;
  std::set<uid_t> users = {geteuid()};
  struct stat owner;
  if (fstat(dirfd(opened), &owner) == 0) users.insert(owner.st_uid);
  for (const std::string& name : names) {
    std::string file =
        absl::StrCat(path, absl::EndsWith(path, "/") ? "" : "/", name);
    if (const auto known = paths_.find(file); known != paths_.end()) {
      users.insert(known->second);
      ++logs;
      continue;
    }
    struct stat st;
    // A missing file is not an error: retention and recovery delete files.
    if (lstat(file.c_str(), &st) != 0) {
      if (errno == ENOENT) continue;
      return absl::ErrnoToStatus(errno, absl::StrCat("stat ", file));
    }
    if (!S_ISREG(st.st_mode)) continue;
    ++logs;
    users.insert(st.st_uid);
    AddListedFile(std::move(file), st);
  }
  // Without locks, a program has its ring in /dev/shm.
  for (std::string& ring : SharedMemoryRings(path, users)) {
    struct stat st;
    if (lstat(ring.c_str(), &st) != 0) continue;
    ++logs;
    AddListedFile(std::move(ring), st);
  }
  return logs;
}

void Inputs::AddListedFile(std::string path, const struct stat& st) {
  InputFile file;
  file.name = ParseFileName(Basename(path));
  file.kind = KindOfSuffix(Basename(path));
  file.path = std::move(path);
  file.from_directory = true;
  file.bytes = static_cast<uint64_t>(st.st_size);
  file.owner = st.st_uid;
  AddFile(std::move(file), st.st_dev, st.st_ino);
}

void Inputs::AddFile(InputFile file, dev_t device, ino_t inode) {
  const auto [seen, is_new] =
      seen_.emplace(std::pair(device, inode), file.path);
  if (!is_new) {
    struct stat st;
    if (stat(seen->second.c_str(), &st) == 0 && st.st_dev == device &&
        st.st_ino == inode) {
      return;
    }
    // The known file was deleted, and this file has its inode.
    seen->second = file.path;
  }
  // A recovery may have replaced a file that an earlier one left.
  if (paths_.emplace(file.path, file.owner).second) {
    files.push_back(std::move(file));
  }
}

}  // namespace ringlog
