#include "ringlog/compress/retention/retention_runner.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/segment/identify_segment.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/ring/os/monotonic_time.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/os/stderr_log.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {
namespace {

constexpr absl::Duration kInterval = absl::Minutes(1);
constexpr absl::Duration kSoon = absl::Seconds(1);
// Deletion of a long file takes milliseconds, and the ring fills meanwhile.
constexpr int kMaxDeletionsPerRun = 16;

absl::StatusOr<uint64_t> FreeBytes(const std::string& directory) {
  struct statvfs st;
  if (statvfs(directory.c_str(), &st) != 0) {
    return FileStatus(
        errno, absl::StrCat("read the free space of the disk of ", directory));
  }
  const uint64_t max = std::numeric_limits<uint64_t>::max();
  const uint64_t blocks = st.f_bavail;
  if (st.f_frsize != 0 && blocks > max / st.f_frsize) return max;
  return blocks * st.f_frsize;
}

bool IsSameFile(const std::string& a, const std::string& b) {
  struct stat of_a;
  struct stat of_b;
  return a == b ||
         (stat(a.c_str(), &of_a) == 0 && stat(b.c_str(), &of_b) == 0 &&
          of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino);
}

// Returns true if the metadata of the first frame agrees with the file's name.
// A file without an intact first frame may belong to another program.
bool HoldsOurSegment(const LogFile& file) {
  const absl::StatusOr<SegmentFile> segment =
      SegmentFile::Open(file.path, O_RDONLY | O_NOFOLLOW);
  if (!segment.ok()) return false;
  const std::optional<FrameMetadata> metadata =
      IdentifySegment(*segment, segment->opened_bytes());
  return metadata.has_value() &&
         RingIdPrefix(metadata->identity.ring_id) == file.ring_id_prefix &&
         metadata->identity.number == file.segment_number;
}

absl::Status DeleteError(int error, const std::string& path) {
  return FileStatus(error, absl::StrCat("delete ", path));
}

// Deletes a segment.
//   FailedPrecondition: a process has the segment open
//   NotFound:           it does not exist
absl::Status DeleteSegment(const std::string& path) {
  const ForkClosedFile file =
      ForkClosedFile::Open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (file.fd() < 0) return DeleteError(errno, path);
  const absl::StatusOr<bool> is_locked = IsLocked(file.fd(), path);
  if (!is_locked.ok()) return is_locked.status();
  if (*is_locked) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": in use"));
  }
  if (unlink(path.c_str()) != 0) return DeleteError(errno, path);
  return absl::OkStatus();
}

// Deletes a leftover ring. Errors are those of DeleteSegment().
absl::Status DeleteLeftover(const std::string& path) {
  // Closing the file unlocks it, so it stays open until it is deleted.
  absl::StatusOr<Directory> directory = Directory::Open(Dirname(path));
  if (!directory.ok()) return directory.status();
  const std::string name(Basename(path));
  const absl::StatusOr<ForkClosedFile> file = OpenLeftover(&*directory, name);
  if (!file.ok()) return file.status();
  return directory->Delete(name);
}

}  // namespace

RetentionRunner::RetentionRunner(const RetentionOptions& options,
                                 LogDirectories directories,
                                 const BackgroundRecovery* recovery)
    : options_(options),
      directories_(std::move(directories)),
      recovery_(recovery) {}

void RetentionRunner::SetDueSoon() {
  if (MonotonicTime() - ran_at_ >= kSoon) is_due_ = true;
}

void RetentionRunner::RunIfDue(bool is_ending) { Run(is_ending); }

void RetentionRunner::RunLast() {
  Run(/*is_last_run=*/true);
  ReportDeletedRings();
}

// See the table at the constructor.
bool RetentionRunner::AwaitsRecovery(bool is_last_run) {
  if (recovery_ == nullptr) return false;
  const BackgroundRecovery::Progress progress = recovery_->progress();
  if (progress.recovered_files != recovery_seen_.recovered_files) SetDue();
  const bool has_run = ran_at_ != -absl::InfiniteDuration();
  const bool round_has_ended =
      progress.ended_rounds != recovery_seen_.ended_rounds;
  recovery_seen_ = progress;
  return progress.is_running && !round_has_ended && !(is_last_run && has_run);
}

void RetentionRunner::Run(bool is_last_run) {
  if (!options_.has_limit() || AwaitsRecovery(is_last_run)) return;
  const absl::Duration now = MonotonicTime();
  if (!is_due_ && now - ran_at_ < kInterval) return;
  is_due_ = false;
  ran_at_ = now;
  DeleteExcess(now);
  if (now - reported_at_ >= kInterval) ReportDeletedRings();
}

void RetentionRunner::DeleteExcess(absl::Duration now) {
  std::vector<LogFile> files = List();
  for (LogFile& file : files) {
    file.stays |= failures_.IsRecent(file.path, now);
  }
  std::optional<uint64_t> free_bytes;
  if (options_.min_free_bytes != 0) {
    const absl::StatusOr<uint64_t> free = FreeBytes(directories_.segments);
    if (free.ok()) {
      free_bytes = *free;
    } else {
      WarnRateLimited(free.status().message());
    }
  }
  // Calculates the free space instead of reading it again: a deleted file that
  // another process reads frees its space later, and no other file needs to be
  // deleted instead.
  for (int deleted = 0; deleted < kMaxDeletionsPerRun;) {
    const std::vector<size_t> excess =
        ExcessFiles(files, options_, absl::Now(), free_bytes);
    if (excess.empty()) return;
    const size_t first = excess[0];
    if (Delete(files[first])) {
      if (!files[first].is_elsewhere) {
        free_bytes = FreeBytesAfter(free_bytes, files[first].bytes);
      }
      files.erase(files.begin() + static_cast<std::ptrdiff_t>(first));
      ++deleted;
    } else {
      files[first].stays = true;
    }
  }
  is_due_ = true;
}

bool RetentionRunner::Delete(const LogFile& file) {
  const absl::Status status = file.kind == FileKind::kRing
                                  ? DeleteLeftover(file.path)
                                  : DeleteSegment(file.path);
  if (status.ok()) {
    ++deleted_files_;
    if (file.kind == FileKind::kRing && unreported_rings_++ == 0) {
      unreported_path_ = file.path;
    }
    return true;
  }
  if (absl::IsNotFound(status)) return true;
  if (absl::IsFailedPrecondition(status)) return false;
  ++errors_;
  failures_.Add(file.path, MonotonicTime());
  WarnRateLimited(status.message());
  return false;
}

void RetentionRunner::ReportDeletedRings() {
  if (unreported_rings_ == 0) return;
  const std::string others =
      unreported_rings_ == 1
          ? ""
          : absl::StrCat(" and ", unreported_rings_ - 1, " more");
  WarnDataLoss(absl::StrCat("deleted unrecovered ring ", unreported_path_,
                            others, " to enforce the retention limits"));
  unreported_rings_ = 0;
  reported_at_ = MonotonicTime();
}

std::vector<LogFile> RetentionRunner::List() {
  for (auto& [path, known] : known_) known.was_seen = false;
  std::vector<LogFile> files;
  AddFiles(directories_.segments, /*is_elsewhere=*/false, &files);
  if (!directories_.rings.empty() &&
      !IsSameFile(directories_.rings, directories_.segments)) {
    AddFiles(directories_.rings, /*is_elsewhere=*/true, &files);
  }
  for (auto it = known_.begin(); it != known_.end();) {
    if (it->second.was_seen) {
      ++it;
    } else {
      failures_.Remove(it->first);
      it = known_.erase(it);
    }
  }
  return files;
}

void RetentionRunner::AddFiles(const std::string& directory, bool is_elsewhere,
                               std::vector<LogFile>* files) {
  absl::Status status;
  for (const std::string& name : ListDirectory(directory, &status)) {
    const ParsedFileName parsed = ParseFileName(name);
    if (parsed.kind == FileKind::kOther ||
        parsed.program != directories_.program ||
        (is_elsewhere && parsed.kind != FileKind::kRing)) {
      continue;
    }
    LogFile file;
    file.path = absl::StrCat(directory, "/", name);
    struct stat st;
    if (lstat(file.path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    file.kind = parsed.kind;
    file.ring_id_prefix = parsed.ring_id_prefix;
    file.segment_number = parsed.segment_number;
    file.begun = absl::FromUnixNanos(parsed.time_ns);
    file.modified = absl::TimeFromTimespec(st.st_mtim);
    file.bytes = static_cast<uint64_t>(st.st_size);
    file.is_elsewhere = is_elsewhere;
    if (!IsOurs(file, st.st_ino)) continue;
    if (file.kind == FileKind::kRing) {
      const absl::StatusOr<RingHeader> header =
          ReadRingHeader(file.path, O_NOFOLLOW);
      file.stays = !header.ok() || MayBeAlive(OwnerOf(*header));
    }
    files->push_back(std::move(file));
  }
  if (!status.ok()) WarnRateLimited(status.message());
}

// Identifies a file again if it has changed its size: a segment that has grown
// may have an intact first frame now.
bool RetentionRunner::IsOurs(const LogFile& file, ino_t inode) {
  Known& known = known_[file.path];
  known.was_seen = true;
  if (known.inode == inode && (known.is_ours || known.bytes == file.bytes)) {
    return known.is_ours;
  }
  known.inode = inode;
  known.bytes = file.bytes;
  known.is_ours =
      file.kind == FileKind::kRing ? HoldsOurRing(file) : HoldsOurSegment(file);
  return known.is_ours;
}

// Returns true if the header agrees with the file's name and with the program's
// segment directory.
bool RetentionRunner::HoldsOurRing(const LogFile& file) const {
  const absl::StatusOr<RingHeader> header =
      ReadRingHeader(file.path, O_NOFOLLOW);
  if (!header.ok()) return false;
  if (RingFileName(*header) != Basename(file.path)) return false;
  return WritesSegmentsTo(*header, !file.is_elsewhere, directories_.segments);
}

}  // namespace ringlog
