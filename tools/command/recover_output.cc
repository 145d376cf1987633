#include "ringlog/tools/command/recover_output.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringlog/ring/os/directory_trust.h"
#include "ringlog/ring/os/file_identity.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

constexpr mode_t kOutputMode = 0755;
constexpr mode_t kLockFileMode = 0600;
constexpr int kMaxLockAttempts = 1000;

std::string LockName() { return absl::StrCat(kRecoverPrefix, "lock"); }

bool IsSymlink(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) == 0 && S_ISLNK(st.st_mode);
}

// Opens the directory `path`, and makes it if it does not exist.
absl::StatusOr<Directory> OpenOrMake(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const bool is_new = FileIsGone(path);
  absl::Status made = MakeDirectory(path, kOutputMode);
  if (made.ok() && is_new) made = SyncDirectory(Dirname(path));
  if (!made.ok()) return made;
  // Not through a symlink: its owner could change it at any moment.
  absl::StatusOr<Directory> directory = Directory::Open(path, O_NOFOLLOW);
  if (!directory.ok() && IsSymlink(path)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": a symlink; give the directory that it names"));
  }
  return directory;
}

absl::Status Untrusted(const std::string& path, absl::string_view cause) {
  return absl::PermissionDeniedError(absl::StrCat(
      path, ": ", cause, "; give a directory of your own with --out"));
}

// Returns true if the directory may be one that a killed run of this command
// left. Another user can move a directory here and name it like one, but not a
// private directory: that needs the right to write to it.
bool IsStaging(const Directory& directory, uid_t owner) {
  const absl::StatusOr<struct stat> st = directory.Stat();
  return st.ok() && st->st_uid == owner &&
         (st->st_mode & ACCESSPERMS) == kStagingMode;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecoverOutput>> RecoverOutput::Open(
    const std::string& path) {
  absl::StatusOr<Directory> directory = OpenOrMake(path);
  if (!directory.ok()) return directory.status();
  auto output = absl::WrapUnique(new RecoverOutput(*std::move(directory)));
  if (absl::Status s = output->CheckIsTrusted(); !s.ok()) return s;
  if (!output->Is(output->directory_.DescriptorPath())) {
    return absl::FailedPreconditionError("/proc is not mounted");
  }
  if (absl::Status s = output->Lock(); !s.ok()) return s;
  output->DeleteStaleStagings();
  return output;
}

RecoverOutput::~RecoverOutput() {
  if (lock_file_.fd() >= 0) directory_.Delete(LockName()).IgnoreError();
}

// The owner of the directory, and each user who may write to it without a
// sticky bit, could replace the segments of the output.
absl::Status RecoverOutput::CheckIsTrusted() {
  const absl::StatusOr<struct stat> st = directory_.Stat();
  if (!st.ok()) return st.status();
  const absl::StatusOr<uid_t> owner = directory_.OwnOwner();
  if (!owner.ok()) return owner.status();
  if (st->st_uid != *owner && st->st_uid != 0) {
    return Untrusted(path(), absl::StrCat("belongs to user ", st->st_uid,
                                          ", not to user ", *owner));
  }
  if ((st->st_mode & S_ISVTX) != 0) return absl::OkStatus();
  if ((st->st_mode & S_IWOTH) != 0) {
    return Untrusted(path(), "each user may write to it, and it is not sticky");
  }
  if ((st->st_mode & S_IWGRP) != 0 && st->st_gid != getegid()) {
    return Untrusted(path(),
                     absl::StrCat("group ", st->st_gid,
                                  " may write to it, and it is not sticky"));
  }
  return absl::OkStatus();
}

absl::Status RecoverOutput::Lock() {
  const std::string name = LockName();
  for (int attempt = 0; attempt < kMaxLockAttempts; ++attempt) {
    ForkClosedFile file =
        directory_.OpenFile(name, O_RDWR | O_CREAT, kLockFileMode);
    if (file.fd() < 0) {
      return FileStatus(errno, absl::StrCat("open ", directory_.PathOf(name)));
    }
    if (absl::Status s = directory_.CheckIsOwn(file.fd(), name); !s.ok()) {
      return s;
    }
    absl::Status locked = LockFile(file.fd(), directory_.PathOf(name));
    if (absl::IsFailedPrecondition(locked)) {
      return absl::FailedPreconditionError(absl::StrCat(
          path(),
          ": another ringlog recover is writing here; wait for it to end"));
    }
    if (!locked.ok()) return locked;
    // The process that had the lock may have deleted the file since.
    if (!directory_.Names(name, file.fd())) continue;
    lock_file_ = std::move(file);
    return absl::OkStatus();
  }
  return absl::UnavailableError(
      absl::StrCat(directory_.PathOf(name), ": other processes delete it"));
}

// No other process uses the staging directories of this user, because this
// object holds the lock.
void RecoverOutput::DeleteStaleStagings() {
  const absl::StatusOr<std::vector<std::string>> names = directory_.List();
  const absl::StatusOr<uid_t> owner = directory_.OwnOwner();
  if (!names.ok() || !owner.ok()) return;
  for (const std::string& name : *names) {
    if (!absl::StartsWith(name, kRecoverPrefix)) continue;
    const absl::StatusOr<Directory> staging = directory_.OpenDirectory(name);
    if (staging.ok() && IsStaging(*staging, *owner)) {
      DeleteStaging(*staging, directory_, name);
    }
  }
}

bool RecoverOutput::Is(const std::string& directory) const {
  struct stat other;
  const absl::StatusOr<struct stat> mine = directory_.Stat();
  return mine.ok() && stat(directory.c_str(), &other) == 0 &&
         FileIdentity::Of(*mine) == FileIdentity::Of(other);
}

void DeleteStaging(const Directory& directory, const Directory& parent,
                   const std::string& name) {
  const absl::StatusOr<std::vector<std::string>> files = directory.List();
  if (!files.ok()) return;
  for (const std::string& file : *files) {
    if (file != "." && file != "..") directory.Delete(file).IgnoreError();
  }
  parent.DeleteDirectory(name).IgnoreError();
}

std::string WithPathOf(const Directory& directory, absl::string_view text) {
  const std::string descriptor = directory.DescriptorPath();
  std::string result;
  for (size_t at; (at = text.find(descriptor)) != absl::string_view::npos;) {
    const size_t end = at + descriptor.size();
    // Otherwise the number goes on, and is that of another descriptor.
    const bool is_its =
        end == text.size() ||
        !absl::ascii_isdigit(static_cast<unsigned char>(text[end]));
    absl::StrAppend(&result, text.substr(0, at),
                    is_its ? directory.path() : descriptor);
    text.remove_prefix(end);
  }
  return absl::StrCat(result, text);
}

}  // namespace ringlog
