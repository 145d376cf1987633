#include "ringlog/tools/command/recover_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

// Returns the directory that has the entry `path`.
std::string ParentOf(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return Dirname(path);
}

absl::Status RemoveDirectory(const std::string& path) {
  struct stat st;
  if (lstat(path.c_str(), &st) == 0 && !S_ISDIR(st.st_mode)) {
    return absl::AlreadyExistsError(
        absl::StrCat(path, ": exists and is not a directory; move it away"));
  }
  absl::Status listed;
  for (const std::string& name : ListDirectory(path, &listed)) {
    if (name == "." || name == "..") continue;
    const std::string entry = absl::StrCat(path, "/", name);
    if (unlink(entry.c_str()) != 0 && errno != ENOENT) {
      return absl::ErrnoToStatus(errno, absl::StrCat("delete ", entry));
    }
  }
  if (!listed.ok()) return listed;
  if (rmdir(path.c_str()) != 0 && errno != ENOENT) {
    return absl::ErrnoToStatus(errno, absl::StrCat("delete ", path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecoverOutput>> RecoverOutput::Open(
    const std::string& path) {
  if (mkdir(path.c_str(), 0777) == 0) {
    if (absl::Status s = SyncDirectory(ParentOf(path)); !s.ok()) return s;
  } else if (errno != EEXIST) {
    return absl::ErrnoToStatus(errno, "make this directory");
  }
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, "open this directory");
  auto output = absl::WrapUnique(new RecoverOutput(path, fd));
  int result;
  do {
    result = flock(fd, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno == EWOULDBLOCK) {
    return absl::FailedPreconditionError(
        "another ringlog recover is writing here; wait for it to end");
  }
  if (result != 0) return absl::ErrnoToStatus(errno, "lock this directory");
  return output;
}

RecoverOutput::RecoverOutput(std::string path, int fd)
    : path_(std::move(path)), fd_(fd) {}

RecoverOutput::~RecoverOutput() { close(fd_); }

bool RecoverOutput::Is(const std::string& directory) const {
  struct stat mine, other;
  return fstat(fd_, &mine) == 0 && stat(directory.c_str(), &other) == 0 &&
         mine.st_dev == other.st_dev && mine.st_ino == other.st_ino;
}

absl::StatusOr<std::unique_ptr<Staging>> Staging::Create(
    const RecoverOutput* output, const RingId& ring_id) {
  const absl::string_view id(reinterpret_cast<const char*>(ring_id.data()),
                             ring_id.size());
  std::string path = absl::StrCat(output->path(), "/.ringlog-recover.",
                                  absl::BytesToHexString(id));
  if (absl::Status s = RemoveDirectory(path); !s.ok()) return s;
  if (mkdir(path.c_str(), 0700) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("make ", path));
  }
  return absl::WrapUnique(new Staging(output, std::move(path)));
}

Staging::Staging(const RecoverOutput* output, std::string path)
    : output_(output), path_(std::move(path)) {}

Staging::~Staging() { RemoveDirectory(path_).IgnoreError(); }

std::string Staging::PathOf(const std::string& name) const {
  return absl::StrCat(path_, "/", name);
}

absl::StatusOr<Staging::Place> Staging::CheckPlace(Segment* segment) const {
  const std::string target = absl::StrCat(output_->path(), "/", segment->name);
  struct stat st;
  if (lstat(target.c_str(), &st) != 0) {
    if (errno == ENOENT) return Place::kFree;
    return absl::ErrnoToStatus(errno, absl::StrCat("stat ", target));
  }
  absl::StatusOr<SegmentIndex> there =
      absl::NotFoundError("not a regular file");
  if (S_ISREG(st.st_mode)) there = BuildSegmentIndex(target);
  if (!there.ok() ||
      !there->identity.IsSameSegment(segment->content.identity)) {
    return absl::AlreadyExistsError(
        absl::StrCat(target,
                     ": exists and is not this segment; move it away, or give "
                     "another --out"));
  }
  // The existing segment may be of a later moment, or from an intact source.
  const bool is_better =
      there->is_intact &&
      (segment->is_damaged || there->records > segment->content.records);
  if (!is_better) return Place::kFree;
  segment->content = *std::move(there);
  return Place::kTaken;
}

absl::Status Staging::Publish(std::vector<Segment>* segments) const {
  std::vector<Place> places;
  for (Segment& segment : *segments) {
    const absl::StatusOr<Place> place = CheckPlace(&segment);
    if (!place.ok()) return place.status();
    places.push_back(*place);
  }
  // Death here: some segments are in their places. The next run makes all of
  // them again, with the same bytes.
  for (size_t i = 0; i < segments->size(); ++i) {
    if (places[i] == Place::kTaken) continue;
    const std::string from = PathOf((*segments)[i].name);
    const std::string to =
        absl::StrCat(output_->path(), "/", (*segments)[i].name);
    if (rename(from.c_str(), to.c_str()) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("rename to ", to));
    }
  }
  return SyncDirectory(output_->path());
}

}  // namespace ringlog
