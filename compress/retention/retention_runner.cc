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
#include "ringlog/ring/os/file_status.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/ring/os/mapped_file.h"
#include "ringlog/ring/os/monotonic_time.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/os/stderr_log.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

constexpr absl::Duration kInterval = absl::Minutes(1);
constexpr absl::Duration kSoon = absl::Seconds(1);
constexpr absl::Duration kRetryInterval = absl::Minutes(10);
// Deleting a long file takes milliseconds, and the ring fills meanwhile.
constexpr int kMaxDeletionsPerRun = 16;

absl::StatusOr<uint64_t> FreeBytes(const std::string& directory) {
  struct statvfs st;
  if (statvfs(directory.c_str(), &st) != 0) {
    return FileStatus(
        errno,
        absl::StrCat("cannot ask how much is free on the disk of ", directory));
  }
  const uint64_t most = std::numeric_limits<uint64_t>::max();
  const uint64_t blocks = st.f_bavail;
  if (st.f_frsize != 0 && blocks > most / st.f_frsize) return most;
  return blocks * st.f_frsize;
}

bool IsSameFile(const std::string& a, const std::string& b) {
  struct stat of_a;
  struct stat of_b;
  return a == b ||
         (stat(a.c_str(), &of_a) == 0 && stat(b.c_str(), &of_b) == 0 &&
          of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino);
}

// Its first frame has our metadata, and they are what its name says. A file
// whose first frame is not whole proves nothing.
bool HoldsOurSegment(const LogFile& file) {
  const absl::StatusOr<SegmentFile> segment =
      SegmentFile::Open(file.path, O_RDONLY | O_NOFOLLOW);
  if (!segment.ok()) return false;
  const std::optional<FrameMetadata> metadata =
      IdentifySegment(*segment, segment->opened_bytes());
  return metadata.has_value() &&
         RingIdPrefix(metadata->ring_id) == file.ring_id_prefix &&
         metadata->segment_number == file.segment_number;
}

absl::Status CannotDelete(int error, const std::string& path) {
  return FileStatus(error, absl::StrCat("cannot delete ", path));
}

// A segment that nobody writes to.
//   FailedPrecondition: somebody does
//   NotFound:           it has gone
absl::Status DeleteSegment(const std::string& path) {
  const ForkClosedFile file =
      ForkClosedFile::Open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (file.fd() < 0) return CannotDelete(errno, path);
  if (!TryLock(file.fd())) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": in use"));
  }
  if (unlink(path.c_str()) != 0) return CannotDelete(errno, path);
  return absl::OkStatus();
}

// The same of a ring.
absl::Status DeleteLeftover(const std::string& path) {
  // Open, and so locked, until it is gone.
  const absl::StatusOr<ForkClosedFile> file = OpenLeftover(path);
  if (!file.ok()) return file.status();
  if (unlink(path.c_str()) != 0) return CannotDelete(errno, path);
  return absl::OkStatus();
}

}  // namespace

RetentionRunner::RetentionRunner(const RetentionOptions& options,
                                 LogDirectories directories)
    : options_(options), directories_(std::move(directories)) {}

void RetentionRunner::SetDueSoon() {
  if (MonotonicTime() - ran_at_ >= kSoon) is_due_ = true;
}

void RetentionRunner::RunIfDue() {
  if (!options_.has_limit()) return;
  const absl::Duration now = MonotonicTime();
  if (!is_due_ && now - ran_at_ < kInterval) return;
  is_due_ = false;
  ran_at_ = now;
  DeleteExcess(now);
  if (now - told_at_ >= kInterval) TellLosses();
}

void RetentionRunner::DeleteExcess(absl::Duration now) {
  std::vector<LogFile> files = List();
  for (LogFile& file : files) {
    const auto failed = failed_at_.find(file.path);
    if (failed == failed_at_.end()) continue;
    file.stays |= now - failed->second < kRetryInterval;
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
  // Counted on, not asked again: what somebody is reading makes no room yet,
  // and others need not go for that.
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
    if (file.kind == FileKind::kRing && untold_losses_++ == 0) {
      untold_path_ = file.path;
    }
    return true;
  }
  if (absl::IsNotFound(status)) return true;
  if (absl::IsFailedPrecondition(status)) return false;
  ++errors_;
  failed_at_[file.path] = MonotonicTime();
  WarnRateLimited(status.message());
  return false;
}

void RetentionRunner::TellLosses() {
  if (untold_losses_ == 0) return;
  const std::string others =
      untold_losses_ == 1 ? ""
                          : absl::StrCat(" and ", untold_losses_ - 1, " more");
  WarnDataLoss(
      absl::StrCat("deleted ", untold_path_, others,
                   ", which nobody had recovered, to keep to the limits"));
  untold_losses_ = 0;
  told_at_ = MonotonicTime();
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
      failed_at_.erase(it->first);
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

// What was not ours may have become it, as it grew.
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

// With its name, and segments in our directory.
bool RetentionRunner::HoldsOurRing(const LogFile& file) const {
  const absl::StatusOr<RingHeader> header =
      ReadRingHeader(file.path, O_NOFOLLOW);
  if (!header.ok()) return false;
  const absl::string_view name =
      absl::string_view(file.path).substr(file.path.rfind('/') + 1);
  if (RingFileName(*header) != name) return false;
  return WritesSegmentsTo(*header, !file.is_elsewhere, directories_.segments);
}

}  // namespace ringlog
