#include "ringlog/compress/leftover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringlog/compress/batch_builder.h"
#include "ringlog/compress/rotation.h"
#include "ringlog/compress/segment_format.h"
#include "ringlog/ring/mapped_file.h"
#include "ringlog/ring/process_identity.h"
#include "ringlog/ring/recovery.h"

namespace ringlog {
namespace {

constexpr size_t kBatchBytes = 64 << 10;

absl::Status Annotate(const absl::Status& status, absl::string_view path) {
  return absl::Status(status.code(),
                      absl::StrCat(path, ": ", status.message()));
}

absl::Status SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  const int result = fsync(fd);
  const int error = errno;
  close(fd);
  if (result != 0) {
    return absl::ErrnoToStatus(error, absl::StrCat("fsync ", path));
  }
  return absl::OkStatus();
}

// The whole file. Read, not mapped: somebody may shorten it at any moment.
absl::StatusOr<std::string> ReadAll(int fd, const std::string& path) {
  struct stat st;
  if (fstat(fd, &st) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("stat ", path));
  }
  const auto size = static_cast<uint64_t>(st.st_size);
  if (!S_ISREG(st.st_mode) || size > kMaxRingFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, ": not a regular file of at most ", kMaxRingFileBytes, " bytes"));
  }
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n =
        pread(fd, &bytes[done], bytes.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("read ", path));
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

// Opens the ring and takes the lock that a living owner, or another recovery,
// would hold.
absl::StatusOr<int> OpenLocked(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  auto close_file = absl::MakeCleanup([fd] { close(fd); });
  if (!TryLock(fd)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": in use by another process"));
  }
  // Somebody may have recovered and deleted it between the two calls.
  struct stat st;
  if (fstat(fd, &st) == 0 && st.st_nlink == 0) {
    return absl::NotFoundError(absl::StrCat(path, ": recovered by another"));
  }
  std::move(close_file).Cancel();
  return fd;
}

ProcessIdentity Owner(const RingHeader& header) {
  ProcessIdentity owner;
  owner.process_id = header.process_id;
  owner.start_ticks = header.process_start_ticks;
  std::copy(std::begin(header.boot_id), std::end(header.boot_id),
            owner.boot_id.begin());
  return owner;
}

// The calling process's own rings are locked; a pid that it has by chance in
// common with a process of another container is no sign of life.
bool OwnerMayBeAlive(const RingHeader& header) {
  return header.process_id != getpid() && MayBeAlive(Owner(header));
}

// One ring's way into its segment.
class Leftover {
 public:
  Leftover(const RecoveredRing& ring, std::string segment_directory,
           const SegmentWriterOptions& options)
      : ring_(ring),
        directory_(std::move(segment_directory)),
        options_(options) {}

  absl::Status Run(LeftoverReport* report) {
    if (ring_.cursor.sequence != 0) {
      absl::StatusOr<SegmentCursor> cursor = DecodeSegmentCursor(
          absl::string_view(reinterpret_cast<const char*>(ring_.cursor.state),
                            ring_.cursor.state_bytes));
      if (!cursor.ok()) return cursor.status();
      cursor_ = *cursor;
    }
    if (absl::Status s = OpenSegment(); !s.ok()) return s;
    if (absl::Status s = AddRecords(report); !s.ok()) return s;
    if (writer_ == nullptr) return absl::OkStatus();
    if (absl::Status s = writer_->AddEnd(); !s.ok()) return s;
    if (absl::Status s = writer_->Write(); !s.ok()) return s;
    if (absl::Status s = writer_->Sync(); !s.ok()) return s;
    report->segment_path = writer_->path();
    return SyncDirectory(directory_);
  }

 private:
  std::string SegmentPath() const {
    return absl::StrCat(
        directory_, "/",
        SegmentFileName(ring_.header, cursor_.segment_number,
                        cursor_.segment_open_time_ns, cursor_.format));
  }

  SegmentIdentity Identity() const {
    SegmentIdentity identity;
    std::copy(std::begin(ring_.header.ring_id), std::end(ring_.header.ring_id),
              identity.ring_id.begin());
    identity.number = cursor_.segment_number;
    identity.format = cursor_.format;
    return identity;
  }

  // The segment that the cursor names, cut there. If it has gone, or is not
  // what the cursor says, it stays as it is and the next number is begun.
  absl::Status OpenSegment() {
    if (cursor_.segment_bytes == 0) return absl::OkStatus();
    absl::StatusOr<std::unique_ptr<SegmentWriter>> writer =
        SegmentWriter::Reopen(SegmentPath(), Identity(), cursor_, options_);
    if (writer.ok()) {
      writer_ = *std::move(writer);
    } else if (!absl::IsNotFound(writer.status()) &&
               !absl::IsDataLoss(writer.status())) {
      return writer.status();
    }
    return absl::OkStatus();
  }

  // Begun with the first record. The name depends on nothing but the ring, so
  // that a second attempt finds what the first one left, and replaces it.
  absl::Status BeginSegment() {
    if (cursor_.segment_number == 0 || cursor_.segment_bytes != 0) {
      cursor_.segment_number += 1;
      cursor_.segment_open_time_ns = ring_.header.wall_anchor_ns;
    }
    const std::string path = SegmentPath();
    if (unlink(path.c_str()) != 0 && errno != ENOENT) {
      return absl::ErrnoToStatus(errno, absl::StrCat("replace ", path));
    }
    absl::StatusOr<std::unique_ptr<SegmentWriter>> writer =
        SegmentWriter::Create(path, Identity(), options_);
    if (!writer.ok()) return writer.status();
    writer_ = *std::move(writer);
    return absl::OkStatus();
  }

  absl::Status WriteBatch(BatchBuilder* batch) {
    if (batch->empty()) return absl::OkStatus();
    if (writer_ == nullptr) {
      if (absl::Status s = BeginSegment(); !s.ok()) return s;
    }
    if (absl::Status s = writer_->AddBatch(batch->batch()); !s.ok()) return s;
    if (absl::Status s = writer_->Write(); !s.ok()) return s;
    batch->Clear();
    return absl::OkStatus();
  }

  // Records and gaps together, by position; the drops that the log does not
  // tell of yet come last.
  absl::Status AddRecords(LeftoverReport* report) {
    BatchBuilder batch(cursor_.format, std::max(ring_.header.first_position,
                                                ring_.cursor.end_position));
    auto gap = ring_.gaps.begin();
    // What a gap's line says: the time of the record that follows it.
    int64_t time_ns = ring_.header.wall_anchor_ns;
    const auto add_gaps_before = [&](uint64_t position) {
      for (; gap != ring_.gaps.end() && gap->first_position < position; ++gap) {
        batch.AddGap(*gap, time_ns);
        ++report->gaps;
      }
    };
    for (const RecoveredRecord& r : ring_.records) {
      Record record;
      if (DecodeRecord(r.head, r.body, &record)) time_ns = record.time_ns;
      add_gaps_before(r.position);
      batch.AddRecord(r.position, r.slot_count, r.head, r.body);
      ++report->records;
      if (batch.text_bytes() >= kBatchBytes) {
        if (absl::Status s = WriteBatch(&batch); !s.ok()) return s;
      }
    }
    add_gaps_before(ring_.end_position);
    DropCounts drops;
    std::memcpy(&drops, &ring_.live.dropped, sizeof drops);
    for (const Gap& dropped :
         DropGaps(drops, cursor_.reported_drops, ring_.end_position)) {
      batch.AddGap(dropped, time_ns);
      ++report->gaps;
    }
    return WriteBatch(&batch);
  }

  const RecoveredRing& ring_;
  const std::string directory_;
  const SegmentWriterOptions options_;
  SegmentCursor cursor_;
  std::unique_ptr<SegmentWriter> writer_;
};

// A ring that its maker did not live to give a name holds nothing.
void RemoveUnfinished(const std::string& path) {
  absl::StatusOr<int> fd = OpenLocked(path);
  if (!fd.ok()) return;
  unlink(path.c_str());
  close(*fd);
}

}  // namespace

absl::StatusOr<LeftoverReport> RecoverLeftover(
    const std::string& ring_path, const std::string& segment_directory,
    const SegmentWriterOptions& options) {
  absl::StatusOr<int> fd = OpenLocked(ring_path);
  if (!fd.ok()) return fd.status();
  // Closing ends the lock, so it comes after the ring has gone.
  auto close_file = absl::MakeCleanup([&fd] { close(*fd); });
  absl::StatusOr<std::string> bytes = ReadAll(*fd, ring_path);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<RecoveredRing> ring =
      RecoverRing(*bytes, RecoverFrom::kCursor);
  if (!ring.ok()) return Annotate(ring.status(), ring_path);
  if (OwnerMayBeAlive(ring->header)) {
    return absl::FailedPreconditionError(absl::StrCat(
        ring_path, ": process ", ring->header.process_id, " is alive"));
  }
  LeftoverReport report;
  report.ring_path = ring_path;
  if (absl::Status s = Leftover(*ring, segment_directory, options).Run(&report);
      !s.ok()) {
    return Annotate(s, ring_path);
  }
  if (unlink(ring_path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("delete ", ring_path));
  }
  return report;
}

LeftoverSweep RecoverLeftovers(const std::string& ring_directory,
                               const std::string& segment_directory,
                               const SegmentWriterOptions& options) {
  LeftoverSweep sweep;
  DIR* const directory = opendir(ring_directory.c_str());
  if (directory == nullptr) {
    sweep.errors.push_back(
        absl::ErrnoToStatus(errno, absl::StrCat("open ", ring_directory)));
    return sweep;
  }
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory)) {
    names.push_back(entry->d_name);
  }
  closedir(directory);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string path = absl::StrCat(ring_directory, "/", name);
    absl::string_view stem = name;
    if (absl::ConsumeSuffix(&stem, ".tmp")) {
      if (ParseFileName(stem).kind == FileKind::kRing) RemoveUnfinished(path);
      continue;
    }
    if (ParseFileName(name).kind != FileKind::kRing) continue;
    absl::StatusOr<LeftoverReport> report =
        RecoverLeftover(path, segment_directory, options);
    if (report.ok()) {
      sweep.recovered.push_back(*std::move(report));
    } else if (!absl::IsFailedPrecondition(report.status()) &&
               !absl::IsNotFound(report.status())) {
      sweep.errors.push_back(report.status());
    }
  }
  return sweep;
}

}  // namespace ringlog
