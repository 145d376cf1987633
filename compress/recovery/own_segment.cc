#include "ringlog/compress/recovery/own_segment.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "ringlog/compress/segment/identify_segment.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

absl::Status Foreign(const SegmentFile& file, absl::string_view cause) {
  return absl::PermissionDeniedError(absl::StrCat(file.path(), ": ", cause));
}

// A symlink, a directory or a device is foreign. So is another user's file. It
// is not opened, because its owner may make each opening fail: by a lease, or
// if the file is a program that runs.
absl::StatusOr<SegmentFile> Open(Directory* directory, const std::string& name,
                                 int flags) {
  const absl::StatusOr<struct stat> st = directory->Stat(name);
  if (!st.ok()) return ProvesNothing(st.status());
  if (!S_ISREG(st->st_mode)) {
    return absl::PermissionDeniedError(
        absl::StrCat(directory->PathOf(name), ": not a regular file"));
  }
  const absl::StatusOr<uid_t> owner = directory->OwnOwner();
  if (!owner.ok()) return owner.status();
  if (st->st_uid != *owner) {
    return absl::PermissionDeniedError(
        absl::StrCat(directory->PathOf(name), ": belongs to user ", st->st_uid,
                     ", and this process makes files of user ", *owner));
  }
  absl::StatusOr<SegmentFile> file =
      SegmentFile::OpenIn(*directory, name, flags);
  return file.ok() || absl::IsNotFound(file.status())
             ? std::move(file)
             : absl::StatusOr<SegmentFile>(ProvesNothing(file.status()));
}

// Takes the lock, or checks that no process has it. A lock that readers hold
// does not count: the lock of the ring keeps other recoveries away.
absl::Status CheckLock(SegmentFile* file, SegmentAccess access) {
  if (access == SegmentAccess::kWrite && file->Lock().ok()) {
    return absl::OkStatus();
  }
  const absl::StatusOr<bool> is_locked = file->IsLocked();
  // Without locks, only the lock of the ring protects the segment.
  if (absl::IsUnimplemented(is_locked.status())) return absl::OkStatus();
  if (!is_locked.ok()) return ProvesNothing(is_locked.status());
  return *is_locked ? Foreign(*file, "another process writes to it")
                    : absl::OkStatus();
}

absl::Status CheckRing(const SegmentFile& file, const RingId& ring_id) {
  const absl::StatusOr<bool> is_foreign = BelongsToAnotherRing(file, ring_id);
  if (!is_foreign.ok()) {
    return absl::Status(
        is_foreign.status().code(),
        absl::StrCat(file.path(), ": ", is_foreign.status().message()));
  }
  if (!file.read_status().ok()) return ProvesNothing(file.read_status());
  return *is_foreign ? Foreign(file, "is a segment of another ring")
                     : absl::OkStatus();
}

// Opens the file and makes all checks but the one of its names.
absl::StatusOr<SegmentFile> OpenChecked(Directory* directory,
                                        const std::string& name,
                                        const SegmentOwner& owner,
                                        SegmentAccess access) {
  const int flags = access == SegmentAccess::kWrite ? O_RDWR : O_RDONLY;
  absl::StatusOr<SegmentFile> file = Open(directory, name, flags);
  if (!file.ok()) return file;
  if (absl::Status s = file->CheckIsOwn(directory, owner.permitted_mode);
      !s.ok()) {
    return s;
  }
  if (absl::Status s = CheckLock(&*file, access); !s.ok()) return s;
  if (absl::Status s = CheckRing(*file, owner.ring_id); !s.ok()) return s;
  return file;
}

}  // namespace

absl::StatusOr<SegmentFile> OpenOwnSegment(Directory* directory,
                                           const std::string& name,
                                           const SegmentOwner& owner,
                                           SegmentAccess access) {
  for (bool is_copy = false;; is_copy = true) {
    absl::StatusOr<SegmentFile> file =
        OpenChecked(directory, name, owner, access);
    if (!file.ok()) return file;
    const absl::StatusOr<uint64_t> links = file->LinkCount();
    if (!links.ok()) return ProvesNothing(links.status());
    if (*links == 0) {
      return absl::NotFoundError(absl::StrCat(file->path(), ": was deleted"));
    }
    if (*links == 1 || access == SegmentAccess::kRead) return file;
    if (is_copy) return Foreign(*file, "other processes give it more names");
    if (absl::Status s = file->ReplaceByCopy(*directory, name); !s.ok()) {
      return ProvesNothing(s);
    }
  }
}

}  // namespace ringlog
