#include "ringlog/compress/recovery/leftover_segments.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/recovery/segment_scan.h"
#include "ringlog/compress/segment/batch_builder.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_resume.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {
namespace {

constexpr size_t kBatchBytes = 64 << 10;

bool IsOfAnotherBoot(const RingHeader& header) {
  return !IsOfThisBoot(OwnerOf(header).boot_id);
}

class Leftover {
 public:
  Leftover(const RecoveredRing& ring, std::string segment_directory,
           const SegmentWriterOptions& options)
      : ring_(ring),
        directory_(std::move(segment_directory)),
        options_(options),
        machine_died_(IsOfAnotherBoot(ring.header)),
        is_apart_(!machine_died_ &&
                  LatestCursorIsDamaged(ring.live, ring.header)),
        begin_(std::max(ring.header.first_position, ring.cursor.end_position)) {
  }

  absl::Status Run(LeftoverReport* report) {
    const absl::StatusOr<SegmentCursor> cursor = CursorOf(ring_);
    if (!cursor.ok()) return cursor.status();
    cursor_ = *cursor;
    if (is_apart_) {
      const absl::StatusOr<bool> is_done = FindLastSegment();
      if (!is_done.ok()) return is_done.status();
      if (*is_done) return absl::OkStatus();
    } else {
      if (machine_died_) {
        if (absl::Status s = AdvanceCursor(); !s.ok()) return s;
      }
      if (absl::Status s = OpenSegment(); !s.ok()) return s;
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
    identity.ring_id = RingIdOf(ring_.header);
    identity.number = cursor_.segment_number;
    identity.format = cursor_.format;
    identity.is_recovered = is_apart_;
    return identity;
  }

  // Where the cursor is damaged nobody knows what counts in the segments: they
  // stay as they are, and what the ring holds, of the positions behind the last
  // whole frame, goes into one of its own, behind them. That gets its name when
  // it is whole, so that it is either there or not. True if it is there, from
  // an attempt before.
  absl::StatusOr<bool> FindLastSegment() {
    absl::StatusOr<std::vector<ScannedSegment>> segments =
        ScanSegments(ring_.header, directory_, 0, 0);
    if (!segments.ok()) return segments.status();
    cursor_.segment_number = cursor_.segment_bytes = 0;
    for (const ScannedSegment& segment : *segments) {
      cursor_.segment_number = segment.identity.number;
      cursor_.segment_open_time_ns = segment.open_time_ns;
      cursor_.format = segment.identity.format;
      begin_ = std::max(begin_, segment.end_position);
      if (segment.identity.is_recovered) return true;
    }
    NameNextSegment();
    return false;
  }

  // What the disk has of a ring is of different moments, one for each page; so
  // its cursor may be older than the segments. What they prove counts then:
  // what is behind it is given up, and what the ring has of it passed over. The
  // machine need not have died; it does no harm where it did not.
  absl::Status AdvanceCursor() {
    absl::StatusOr<std::vector<ScannedSegment>> segments =
        ScanSegments(ring_.header, directory_, cursor_.segment_number, begin_);
    if (!segments.ok()) return segments.status();
    const ScannedSegment* last = nullptr;
    for (const ScannedSegment& segment : *segments) {
      if (segment.end_position > begin_) last = &segment;
    }
    for (const ScannedSegment& segment : *segments) {
      if (absl::Status s = KeepProven(segment, last); !s.ok()) return s;
    }
    if (last == nullptr) return absl::OkStatus();
    cursor_.segment_number = last->identity.number;
    cursor_.segment_open_time_ns = last->open_time_ns;
    cursor_.segment_bytes = cursor_.frame_offset = last->proven_bytes;
    cursor_.format = last->identity.format;
    begin_ = last->end_position;
    // As the cursor that did not reach the disk said.
    if (last->is_whole) {
      NameNextSegment();
      cursor_.segment_bytes = cursor_.frame_offset = 0;
    }
    return absl::OkStatus();
  }

  // The last segment itself is cut when it is opened.
  absl::Status KeepProven(const ScannedSegment& segment,
                          const ScannedSegment* last) {
    AddDrops(segment.drops, &cursor_.reported_drops);
    const bool is_behind =
        last != nullptr ? segment.identity.number > last->identity.number
                        : segment.identity.number > cursor_.segment_number ||
                              cursor_.segment_bytes == 0;
    if (is_behind) {
      if (unlink(segment.path.c_str()) == 0) return absl::OkStatus();
      return absl::ErrnoToStatus(errno, absl::StrCat("delete ", segment.path));
    }
    if (last != nullptr && segment.identity.number < last->identity.number &&
        !segment.is_closed) {
      // An attempt before this one may have ended it as damaged, and gone on in
      // the next.
      if (segment.identity.number == cursor_.segment_number &&
          segment.proven_bytes < cursor_.segment_bytes) {
        return EndDamagedSegment(segment.path, Identity(), cursor_);
      }
      absl::StatusOr<SegmentFile> file =
          SegmentFile::Open(segment.path, O_WRONLY | O_NOFOLLOW);
      return file.ok() ? file->Truncate(segment.proven_bytes) : file.status();
    }
    return absl::OkStatus();
  }

  // Its name comes right behind that of the segment before.
  void NameNextSegment() {
    if (cursor_.segment_number == 0) {
      cursor_.segment_open_time_ns = ring_.header.created_unix_ns;
    }
    cursor_.segment_number += 1;
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
      NameNextSegment();
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

  // Records and gaps together, by position; then the drops that the log does
  // not tell of yet; what the process died of comes last.
  absl::Status AddRecords(LeftoverReport* report) {
    BatchBuilder batch(cursor_.format, begin_);
    const uint64_t end = std::max(begin_, ring_.end_position);
    auto gap = ring_.gaps.begin();
    // What a gap's line says: the time of the record that follows it.
    int64_t time_ns = ring_.header.created_unix_ns;
    const auto add_gaps_before = [&](uint64_t position) {
      for (; gap != ring_.gaps.end() && gap->first_position < position; ++gap) {
        if (gap->end_position <= begin_) continue;
        Gap behind = *gap;
        behind.first_position = std::max(behind.first_position, begin_);
        batch.AddGap(behind, time_ns);
        report->gaps.push_back(behind);
      }
    };
    const auto add_record = [&](const RecoveredRecord& r) {
      batch.AddRecord(r.position, r.slot_count, r.head, r.body);
      ++report->records;
      return batch.text_bytes() >= kBatchBytes ? WriteBatch(&batch)
                                               : absl::OkStatus();
    };
    auto r = ring_.records.begin();
    for (; r != ring_.records.end() && !r->is_crash_report; ++r) {
      if (r->position < begin_) continue;
      Record record;
      if (DecodeRecord(r->head, r->body, &record)) time_ns = record.time_ns;
      add_gaps_before(r->position);
      if (absl::Status s = add_record(*r); !s.ok()) return s;
    }
    add_gaps_before(end);
    DropCounts drops;
    std::memcpy(&drops, &ring_.live.dropped, sizeof drops);
    for (const Gap& dropped : DropGaps(drops, cursor_.reported_drops, end)) {
      batch.AddGap(dropped, time_ns);
      report->gaps.push_back(dropped);
    }
    // Their positions tell an attempt after another boot that they are there.
    for (; r != ring_.records.end(); ++r) {
      if (r->position < begin_) continue;
      if (absl::Status s = add_record(*r); !s.ok()) return s;
    }
    return WriteBatch(&batch);
  }

  const RecoveredRing& ring_;
  const std::string directory_;
  const SegmentWriterOptions options_;
  const bool machine_died_;
  const bool is_apart_;
  SegmentCursor cursor_;
  uint64_t begin_;  // positions below it are in segments
  std::unique_ptr<SegmentWriter> writer_;
};

}  // namespace

absl::StatusOr<SegmentCursor> CursorOf(const RecoveredRing& ring) {
  if (ring.cursor.sequence == 0) return SegmentCursor();
  return DecodeSegmentCursor(ring.cursor);
}

bool CursorDecides(const RecoveredRing& ring) {
  return !IsOfAnotherBoot(ring.header) &&
         !LatestCursorIsDamaged(ring.live, ring.header);
}

absl::Status AddToSegments(const RecoveredRing& ring,
                           const std::string& directory,
                           const SegmentWriterOptions& options,
                           LeftoverReport* report) {
  return Leftover(ring, directory, options).Run(report);
}

}  // namespace ringlog
