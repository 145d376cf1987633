#include "ringlog/compress/leftover.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringlog/compress/batch_builder.h"
#include "ringlog/compress/leftover_file.h"
#include "ringlog/compress/rotation.h"
#include "ringlog/compress/segment_file.h"
#include "ringlog/compress/segment_format.h"
#include "ringlog/compress/segment_reader.h"
#include "ringlog/compress/segment_tail.h"
#include "ringlog/ring/mapped_file.h"
#include "ringlog/ring/process_identity.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {
namespace {

constexpr size_t kBatchBytes = 64 << 10;

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
        options_(options),
        is_apart_(LatestCursorIsDamaged(ring.live, ring.header)) {}

  absl::Status Run(LeftoverReport* report) {
    if (ring_.cursor.sequence != 0) {
      absl::StatusOr<SegmentCursor> cursor = DecodeSegmentCursor(
          absl::string_view(reinterpret_cast<const char*>(ring_.cursor.state),
                            ring_.cursor.state_bytes));
      if (!cursor.ok()) return cursor.status();
      cursor_ = *cursor;
    }
    if (is_apart_) {
      if (FindLastSegment()) return absl::OkStatus();
    } else if (absl::Status s = OpenSegment(); !s.ok()) {
      return s;
    }
    if (absl::Status s = AddRecords(report); !s.ok()) return s;
    if (writer_ == nullptr) return absl::OkStatus();
    if (absl::Status s = writer_->AddEnd(); !s.ok()) return s;
    if (absl::Status s = writer_->Write(); !s.ok()) return s;
    if (absl::Status s = writer_->Sync(); !s.ok()) return s;
    report->segment_path = SegmentPath();
    if (is_apart_ &&
        rename(writer_->path().c_str(), report->segment_path.c_str()) != 0) {
      return absl::ErrnoToStatus(
          errno, absl::StrCat("rename to ", report->segment_path));
    }
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
    identity.recovered = is_apart_;
    return identity;
  }

  // Where the cursor is damaged nobody knows what counts in the segments: they
  // stay as they are, and what the ring still holds goes into one of its own,
  // behind them. That gets its name when it is whole, so that it is either
  // there or not. True if it is there, from an attempt before.
  bool FindLastSegment() {
    cursor_.segment_number = 0;
    cursor_.segment_bytes = 0;
    const ParsedFileName ring = ParseFileName(RingFileName(ring_.header));
    std::string last;
    for (const std::string& name : NamesIn(directory_)) {
      const ParsedFileName parsed = ParseFileName(name);
      if (parsed.kind == FileKind::kSegment &&
          parsed.ring_id_prefix == ring.ring_id_prefix &&
          parsed.process_id == ring.process_id &&
          parsed.segment_number > cursor_.segment_number) {
        cursor_.segment_number = parsed.segment_number;
        cursor_.format = parsed.format;
        last = absl::StrCat(directory_, "/", name);
      }
    }
    if (!last.empty()) {
      const auto reader = SegmentReader::Open(last);
      const FrameMetadata* const metadata =
          reader.ok() ? (*reader)->first_metadata() : nullptr;
      if (metadata != nullptr && metadata->recovered) return true;
    }
    cursor_.segment_number += 1;
    cursor_.segment_open_time_ns = ring_.header.wall_anchor_ns;
    return false;
  }

  // The segment that the cursor names, cut there. If it has gone, or is not
  // what the cursor says, the next number is begun.
  absl::Status OpenSegment() {
    if (cursor_.segment_bytes == 0) return absl::OkStatus();
    absl::StatusOr<std::unique_ptr<SegmentWriter>> writer =
        SegmentWriter::Reopen(SegmentPath(), Identity(), cursor_, options_);
    if (writer.ok()) {
      writer_ = *std::move(writer);
    } else if (absl::IsDataLoss(writer.status())) {
      // What is behind the cursor is in the ring too.
      return EndDamagedSegment(SegmentPath(), Identity(), cursor_);
    } else if (!absl::IsNotFound(writer.status())) {
      return writer.status();
    }
    return absl::OkStatus();
  }

  // Begun with the first record. The name depends on nothing but the ring, so
  // that a second attempt finds what the first one left, and replaces it.
  absl::Status BeginSegment() {
    if (!is_apart_ &&
        (cursor_.segment_number == 0 || cursor_.segment_bytes != 0)) {
      cursor_.segment_number += 1;
      cursor_.segment_open_time_ns = ring_.header.wall_anchor_ns;
    }
    const std::string path =
        absl::StrCat(SegmentPath(), is_apart_ ? ".tmp" : "");
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

  uint64_t FirstPosition() const {
    const uint64_t begin =
        std::max(ring_.header.first_position, ring_.cursor.end_position);
    return ring_.records.empty()
               ? begin
               : std::min(begin, ring_.records.front().position);
  }

  // Records and gaps together, by position; the drops that the log does not
  // tell of yet come last.
  absl::Status AddRecords(LeftoverReport* report) {
    BatchBuilder batch(cursor_.format, FirstPosition());
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
  const bool is_apart_;
  SegmentCursor cursor_;
  std::unique_ptr<SegmentWriter> writer_;
};

// Whether the segments of the ring at `path` are in `segment_directory`. What
// cannot be read is another user's where directories are shared; in a program's
// own directory it is an error, which reading it will tell.
bool GoesTo(const std::string& path, const std::string& ring_directory,
            const std::string& segment_directory) {
  const bool is_own_directory = ring_directory == segment_directory;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return is_own_directory;
  const absl::StatusOr<RingHeader> header = ReadRingHeader(fd, path);
  close(fd);
  if (!header.ok()) return is_own_directory;
  const absl::string_view recorded = SegmentDirectory(*header);
  return recorded.empty()
             ? is_own_directory
             : recorded == SegmentDirectoryField(segment_directory);
}

// A ring that its maker did not live to give a name holds nothing.
void RemoveUnfinished(const std::string& path) {
  absl::StatusOr<int> fd = OpenLeftover(path);
  if (!fd.ok()) return;
  unlink(path.c_str());
  close(*fd);
}

}  // namespace

absl::StatusOr<LeftoverReport> RecoverLeftover(
    const std::string& ring_path, const std::string& segment_directory,
    const SegmentWriterOptions& options) {
  absl::StatusOr<int> fd = OpenLeftover(ring_path);
  if (!fd.ok()) return fd.status();
  // Closing ends the lock, so it comes after the ring has gone.
  auto close_file = absl::MakeCleanup([&fd] { close(*fd); });
  const absl::StatusOr<RingHeader> header = ReadRingHeader(*fd, ring_path);
  if (!header.ok()) return header.status();
  if (OwnerMayBeAlive(*header)) {
    return absl::FailedPreconditionError(
        absl::StrCat(ring_path, ": process ", header->process_id, " is alive"));
  }
  const absl::StatusOr<FileBytes> bytes = ReadFileBytes(*fd, ring_path);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<RecoveredRing> ring =
      RecoverRing(bytes->view(), RecoverFrom::kCursor);
  if (ring.ok() && LatestCursorIsDamaged(ring->live, ring->header)) {
    ring = RecoverRing(bytes->view(), RecoverFrom::kEverything);
  }
  if (!ring.ok()) return Annotate(ring.status(), ring_path);
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
  absl::Status listed;
  for (const std::string& name : NamesIn(ring_directory, &listed)) {
    const std::string path = absl::StrCat(ring_directory, "/", name);
    absl::string_view stem = name;
    if (absl::ConsumeSuffix(&stem, ".tmp")) {
      if (ParseFileName(stem).kind == FileKind::kRing) RemoveUnfinished(path);
      continue;
    }
    if (ParseFileName(name).kind != FileKind::kRing ||
        !GoesTo(path, ring_directory, segment_directory)) {
      continue;
    }
    absl::StatusOr<LeftoverReport> report =
        RecoverLeftover(path, segment_directory, options);
    if (report.ok()) {
      sweep.recovered.push_back(*std::move(report));
    } else if (!absl::IsFailedPrecondition(report.status()) &&
               !absl::IsNotFound(report.status())) {
      sweep.errors.push_back(report.status());
    }
  }
  if (!listed.ok()) sweep.errors.push_back(listed);
  return sweep;
}

}  // namespace ringlog
