#include "ringlog/compress/recovery/leftover_recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/file_source.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/ring/os/memory_limit.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/os/stderr_log.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

constexpr absl::string_view kUnfinishedSuffix = ".tmp";

// Goes by the process id in the name, because an unfinished file may not have
// any other trace of its process, and because a request for its lock disturbs a
// living process. A file with the id of the calling process is an exception:
// after the restart of a container it is from the former process of this id.
bool MakerMayBeAlive(const ParsedFileName& name) {
  ProcessIdentity maker;
  maker.process_id = name.process_id;
  return name.process_id != getpid() && MayBeAlive(maker);
}

// Returns true if a process, but not this one, has the id in the name. Makes
// one system call, because other users may make any number of such names.
bool NamesLivingProcess(const ParsedFileName& name) {
  if (name.process_id < 1 || name.process_id == getpid() ||
      name.process_id > std::numeric_limits<pid_t>::max()) {
    return false;
  }
  return kill(static_cast<pid_t>(name.process_id), 0) == 0 || errno != ESRCH;
}

// Finds the leftovers of one directory.
class Finder {
 public:
  Finder(Directory* directory, const std::string& segment_directory,
         bool is_segment_directory)
      : directory_(directory),
        segment_directory_(segment_directory),
        is_segment_directory_(is_segment_directory) {}

  absl::StatusOr<Leftovers> Find() {
    const absl::StatusOr<std::vector<std::string>> names = directory_->List(
        [this](const std::string& name) { return IsLeftover(name); });
    if (!names.ok()) return names.status();
    if (is_segment_directory_ && owner_.has_value() && !owner_->ok()) {
      return owner_->status();
    }
    for (const std::string& name : *names) {
      found_.paths.push_back(directory_->PathOf(name));
    }
    return std::move(found_);
  }

 private:
  // Also deletes the temporary files that killed recoveries left.
  bool IsLeftover(const std::string& name) {
    directory_->DeleteIfStale(name);
    absl::string_view stem = name;
    const bool is_unfinished = absl::ConsumeSuffix(&stem, kUnfinishedSuffix);
    const ParsedFileName parsed = ParseFileName(stem);
    if (parsed.kind != FileKind::kRing || !IsOwn(name, parsed)) return false;
    if (is_unfinished) return !MakerMayBeAlive(parsed) && MayBeOurs(name);
    const absl::StatusOr<RingHeader> header =
        ReadLeftoverHeader(directory_, name);
    if (header.ok()) {
      return WritesSegmentsTo(*header, is_segment_directory_,
                              segment_directory_);
    }
    return is_segment_directory_ &&
           !absl::IsFailedPrecondition(header.status()) &&
           !absl::IsNotFound(header.status());
  }

  // Returns true if the file is a regular file of the own user. Does not open
  // it. Counts a foreign one, unless its process may be alive: nothing has to
  // be recovered then.
  bool IsOwn(const std::string& name, const ParsedFileName& parsed) {
    const absl::StatusOr<struct stat> st = directory_->Stat(name);
    // The file is gone, or the recovery returns the error.
    if (!st.ok()) {
      return is_segment_directory_ && !absl::IsNotFound(st.status());
    }
    if (!owner_.has_value()) owner_ = directory_->OwnOwner();
    const absl::StatusOr<uid_t>& owner = *owner_;
    if (!owner.ok()) return false;
    if (S_ISREG(st->st_mode) && st->st_uid == *owner) return true;
    // In a directory of its own, another user's ring is nothing unusual.
    if (!is_segment_directory_ || NamesLivingProcess(parsed)) return false;
    if (found_.foreign_count++ == 0) {
      found_.first_foreign = absl::PermissionDeniedError(absl::StrCat(
          directory_->PathOf(name), ": ",
          S_ISREG(st->st_mode) ? absl::StrCat("belongs to user ", st->st_uid,
                                              ", not to user ", *owner)
                               : "not a regular file"));
    }
    return false;
  }

  // Returns true if an unfinished ring may be one for these segments. In a
  // directory of its own, only the file itself shows that.
  bool MayBeOurs(const std::string& name) {
    if (is_segment_directory_) return true;
    const ForkClosedFile file = directory_->OpenFile(name, O_RDONLY);
    return file.fd() >= 0 && directory_->CheckIsOwn(file.fd(), name).ok();
  }

  Directory* const directory_;
  const std::string& segment_directory_;
  const bool is_segment_directory_;
  Leftovers found_;
  // Asked once, because that takes several system calls.
  std::optional<absl::StatusOr<uid_t>> owner_;
};

// Checks the ring `fd` that its maker did not finish. Its slots are zero,
// because a ring is renamed before its first record. A file with other bytes
// there is another one, for example a copy of a ring, and must stay.
absl::Status CheckUnfinished(int fd, const std::string& path) {
  const absl::StatusOr<std::unique_ptr<FileSource>> source =
      FileSource::Make(fd, path, kMaxRingFileBytes);
  if (!source.ok()) return source.status();
  uint64_t at = (*source)->EndOfHole(std::min(kSlotsOffset, (*source)->size()));
  while (at < (*source)->size()) {
    const absl::StatusOr<absl::string_view> bytes = (*source)->Read(at, 1);
    if (!bytes.ok()) return bytes.status();
    if (bytes->find_first_not_of('\0') != absl::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": has records, and an unfinished ring (",
                       kUnfinishedSuffix, ") has none"));
    }
    at = (*source)->EndOfHole(at + bytes->size());
  }
  return absl::OkStatus();
}

// Moves the records of the open and locked ring `fd` into segments.
absl::Status MoveRecords(int fd, const std::string& path,
                         const std::string& segment_directory,
                         const SegmentWriterOptions& options,
                         LeftoverReport* report) {
  const absl::StatusOr<LeftoverRing> leftover = ReadLeftover(fd, path);
  if (!leftover.ok()) return leftover.status();
  if (absl::Status s = CheckRingName(leftover->ring->summary().header, path,
                                     "ringlog recover --out");
      !s.ok()) {
    return s;
  }
  absl::StatusOr<Directory> directory = Directory::Open(segment_directory);
  absl::Status status = directory.status();
  if (status.ok()) {
    status = AddToSegments(leftover->ring.get(), &*directory, options, report);
  }
  return status.ok() ? status : PrependPath(status, path);
}

absl::StatusOr<LeftoverReport> Recover(const std::string& path,
                                       const std::string& segment_directory,
                                       const SegmentWriterOptions& options) {
  absl::StatusOr<Directory> directory = Directory::Open(Dirname(path));
  if (!directory.ok()) return directory.status();
  const std::string name(Basename(path));
  // Closing the file unlocks it, so it stays open until it is deleted.
  const absl::StatusOr<ForkClosedFile> file = OpenLeftover(&*directory, name);
  if (!file.ok()) return file.status();
  LeftoverReport report;
  report.ring_path = path;
  const absl::Status status =
      absl::EndsWith(path, kUnfinishedSuffix)
          ? CheckUnfinished(file->fd(), path)
          : MoveRecords(file->fd(), path, segment_directory, options, &report);
  if (!status.ok()) return status;
  if (!directory->Names(name, file->fd())) {
    return absl::AbortedError(absl::StrCat(
        path,
        ": its records are in the segments, but another process has deleted "
        "or replaced it"));
  }
  if (absl::Status s = directory->Delete(name); !s.ok()) return s;
  return report;
}

}  // namespace

absl::StatusOr<Leftovers> FindLeftovers(const std::string& directory,
                                        const std::string& segment_directory) {
  absl::StatusOr<Directory> opened = Directory::Open(directory);
  if (absl::IsNotFound(opened.status())) return Leftovers();
  if (!opened.ok()) return opened.status();
  return Finder(&*opened, segment_directory, directory == segment_directory)
      .Find();
}

absl::StatusOr<LeftoverReport> RecoverLeftover(
    const std::string& path, const std::string& segment_directory,
    const SegmentWriterOptions& options) {
  absl::StatusOr<LeftoverReport> report = absl::ResourceExhaustedError("");
  // The program must not end because of a recovery.
  if (FitsInMemory(
          [&] { report = Recover(path, segment_directory, options); })) {
    return report;
  }
  return absl::ResourceExhaustedError(
      absl::StrCat(path, ": no memory to recover it"));
}

void LeftoverErrors::Add(const absl::Status& first, uint64_t count) {
  first_.Update(first);
  count_ += count;
}

bool LeftoverErrors::Warn() const {
  if (count_ == 0) return true;
  const std::string others =
      count_ == 1 ? "" : absl::StrCat("; and ", count_ - 1, " more");
  return WarnRateLimited(
      absl::StrCat("cannot recover leftover rings: ", first_.message(), others,
                   "; the files stay"));
}

}  // namespace ringlog
