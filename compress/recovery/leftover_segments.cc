#include "ringlog/compress/recovery/leftover_segments.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ringlog/compress/recovery/own_segment.h"
#include "ringlog/compress/recovery/ring_items.h"
#include "ringlog/compress/recovery/segment_scan.h"
#include "ringlog/compress/segment/batch_builder.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_resume.h"
#include "ringlog/ring/os/memory_limit.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {
namespace {

// The ring's program decides who may read its records, not the program that
// recovers them.
SegmentWriterOptions WithModeOf(const RingHeader& header,
                                SegmentWriterOptions options) {
  const mode_t mode = header.segment_mode & ACCESSPERMS;
  if (mode != 0) options.mode = mode;
  return options;
}

class Leftover {
 public:
  Leftover(RingRecovery* items, Directory* directory,
           const SegmentWriterOptions& options)
      : items_(items),
        ring_(items->summary()),
        directory_(directory),
        options_(WithModeOf(ring_.header, options)),
        owner_{RingIdOf(ring_.header), options_.mode | options.mode},
        facts_(RingFactsOf(ring_)) {}

  absl::Status Run(LeftoverReport* report) {
    const auto cursor = DecodeCursorState(ring_.cursor);
    if (!cursor.ok()) return cursor.status();
    cursor_ = *cursor;
    if (absl::Status s = Decide(); !s.ok()) return s;
    if (point_.basis == ResumePoint::Basis::kAlreadyRecovered) {
      report->segment_path = directory_->PathOf(last_segment().name);
      // The former attempt may have ended between its rename and its sync.
      return directory_->Sync();
    }
    absl::Status status = TruncateSegments();
    NameSegment();
    // Also if there is no memory, which is an exception.
    auto delete_begun = absl::MakeCleanup([this] { DeleteBegunSegment(); });
    if (status.ok()) status = DeleteEarlierAttempts();
    if (status.ok()) status = OpenSegment();
    if (status.ok()) {
      status = AddRingItems(
          items_, point_, cursor_.format,
          [this](BatchBuilder* batch) { return WriteBatch(batch); }, report);
    }
    if (status.ok() && writer_ != nullptr) status = Finish(report);
    if (status.ok()) std::move(delete_begun).Cancel();
    return status;
  }

 private:
  // True if the new segment gets its name when it is complete, so that it
  // either exists or does not. Needed without a cursor: a later attempt could
  // not tell an unfinished segment from one of the process.
  bool renames_when_complete() const {
    return point_.basis == ResumePoint::Basis::kNothingPersisted ||
           point_.basis == ResumePoint::Basis::kSegmentsAlone;
  }

  // Requires: point_.last_index >= 0.
  const ScannedSegment& last_segment() const {
    return segments_[static_cast<size_t>(point_.last_index)];
  }

  std::string NameOf(const SegmentCursor& cursor) const {
    return SegmentFileName(ring_.header, cursor);
  }

  SegmentIdentity Identity() const {
    SegmentIdentity identity;
    identity.ring_id = RingIdOf(ring_.header);
    identity.number = cursor_.segment_number;
    identity.format = cursor_.format;
    identity.is_recovered = renames_when_complete();
    return identity;
  }

  // Collects the facts that the decision needs, and decides.
  absl::Status Decide() {
    const ScanNeed need = NeededScan(facts_);
    if (need.for_proof || need.for_segments) {
      absl::StatusOr<SegmentScan> scan =
          ScanSegments(ring_.header, directory_, owner_.permitted_mode,
                       need.first_number, facts_.cursor_end_position);
      if (!scan.ok()) return scan.status();
      segments_ = std::move(scan->segments);
      foreign_numbers_ = std::move(scan->foreign_numbers);
    } else if (absl::Status s = AddCursorSegments(); !s.ok()) {
      return s;
    }
    std::vector<SegmentFacts> facts;
    for (const auto& segment : segments_) facts.push_back(segment.facts);
    point_ = DecideResumePoint(facts_, facts);
    return absl::OkStatus();
  }

  // Adds the facts that an intact cursor needs about the segment that it names,
  // and finds the next number that no foreign file has. There may be any number
  // of foreign files, so no fact about them is kept.
  //
  // An error of OpenOwn() proves nothing about the file: a segment that counts
  // as missing would be written a second time.
  absl::Status AddCursorSegments() {
    if (cursor_.names_started_segment()) {
      ScannedSegment segment;
      segment.name = NameOf(cursor_);
      segment.facts.number = cursor_.segment_number;
      const absl::StatusOr<SegmentFile> file = OpenOwn(segment.name);
      if (file.ok()) {
        segment.facts.bytes = file->opened_bytes();
      } else if (absl::IsPermissionDenied(file.status())) {
        segment.facts.standing = SegmentFacts::Standing::kForeign;
      } else if (!absl::IsNotFound(file.status())) {
        return file.status();
      }
      if (!absl::IsNotFound(file.status())) {
        segments_.push_back(std::move(segment));
      }
    }
    return SkipForeignNumbers(cursor_.last_started_segment() + 1);
  }

  // Sets `free_number_` to the first one from `number` without a foreign file.
  absl::Status SkipForeignNumbers(uint64_t number) {
    for (free_number_ = number;; ++free_number_) {
      absl::Status status =
          OpenOwn(NameOf(CursorAfter(free_number_ - 1))).status();
      if (status.ok() || absl::IsNotFound(status)) return absl::OkStatus();
      if (!absl::IsPermissionDenied(status)) return status;
    }
  }

  // Opens a segment that counts as the ring's own, for writing.
  absl::StatusOr<SegmentFile> OpenOwn(const std::string& name) {
    return OpenOwnSegment(directory_, name, owner_, SegmentAccess::kWrite);
  }

  // After the death of the machine: removes the bytes that do not count. The
  // last segment itself is truncated when it is reopened.
  absl::Status TruncateSegments() {
    if (!NeededScan(facts_).for_proof) return absl::OkStatus();
    for (const ScannedSegment& segment : segments_) {
      absl::Status status;
      if (segment.facts.standing != SegmentFacts::Standing::kOwn) continue;
      if (segment.facts.number > point_.last_segment) {
        status = DeleteOwn(segment.name);
      } else if (segment.facts.number < point_.last_segment &&
                 !segment.facts.is_closed) {
        status = TruncateSegment(segment);
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status TruncateSegment(const ScannedSegment& segment) {
    absl::StatusOr<SegmentFile> file = OpenOwn(segment.name);
    if (!file.ok()) return file.status();
    // An earlier attempt may have ended the cursor's segment as damaged, and
    // continued in the next one.
    if (CountsMoreThanProven(cursor_, segment.facts)) {
      return EndDamagedSegment(&*file, Identity(), cursor_);
    }
    return file->Truncate(segment.facts.proven_bytes);
  }

  // Deletes a file of the ring, if it exists.
  absl::Status DeleteOwn(const std::string& name) {
    const absl::StatusOr<SegmentFile> file = OpenOwn(name);
    if (absl::IsNotFound(file.status())) return absl::OkStatus();
    return file.ok() ? directory_->Delete(name) : file.status();
  }

  // Makes `cursor_` name the segment that OpenSegment() tries first.
  void NameSegment() {
    if (point_.is_by_cursor()) return;
    cursor_.segment_number = 0;
    cursor_.segment_bytes = cursor_.frame_offset = 0;
    if (point_.last_index >= 0) {
      const ScannedSegment& segment = last_segment();
      cursor_.segment_number = segment.facts.number;
      cursor_.segment_open_time_ns = segment.open_time_ns;
      cursor_.name_salt = segment.name_salt;
      cursor_.format = segment.format;
      cursor_.segment_bytes = cursor_.frame_offset = segment.facts.proven_bytes;
    }
    if (!point_.continues_last) NameNextSegment();
  }

  // Returns a cursor that names the segment after `number`, not started. Its
  // name sorts directly after the one of the segment before.
  SegmentCursor CursorAfter(uint64_t number) const {
    SegmentCursor cursor = cursor_;
    if (cursor.segment_number == 0) {
      cursor.segment_open_time_ns = ring_.header.created_unix_ns;
    }
    cursor.segment_number = number + 1;
    // The process may have created a segment that its cursor names.
    if (cursor.segment_number != cursor_.segment_number) cursor.name_salt = 0;
    cursor.segment_bytes = cursor.frame_offset = 0;
    return cursor;
  }

  void NameNextSegment() {
    uint64_t number = std::max(free_number_, point_.next_segment);
    for (const uint64_t taken : foreign_numbers_) {
      if (taken == number) ++number;
    }
    cursor_ = CursorAfter(number - 1);
  }

  // Deletes segments that earlier attempts made after an intact cursor: nothing
  // in them counts. Foreign files, in a shared directory, change their numbers.
  absl::Status DeleteEarlierAttempts() {
    if (!point_.is_by_cursor()) return absl::OkStatus();
    const absl::StatusOr<struct stat> st = directory_->Stat();
    if (!st.ok()) return st.status();
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) == 0) return absl::OkStatus();
    const absl::StatusOr<std::vector<std::string>> names = ListSegments(
        ring_.header, point_.last_segment + 1, directory_, nullptr);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      const uint64_t number = ParseFileName(name).segment_number;
      if (name != NameOf(CursorAfter(number - 1))) continue;
      absl::Status deleted = DeleteOwn(name);
      if (!deleted.ok() && !absl::IsPermissionDenied(deleted)) return deleted;
    }
    return absl::OkStatus();
  }

  // Reopens the last segment and truncates it to the bytes that count. If the
  // segment is missing or damaged, leaves `writer_` unset.
  absl::Status OpenSegment() {
    if (!cursor_.names_started_segment() || point_.last_index < 0) {
      return absl::OkStatus();
    }
    const std::string name = NameOf(cursor_);
    absl::StatusOr<SegmentFile> file = OpenOwn(name);
    if (absl::IsNotFound(file.status())) return absl::OkStatus();
    if (!file.ok()) return file.status();
    absl::StatusOr<std::unique_ptr<SegmentWriter>> writer =
        SegmentWriter::Reopen(*std::move(file), Identity(), cursor_, options_);
    if (writer.ok()) {
      writer_ = *std::move(writer);
      writer_name_ = name;
      return absl::OkStatus();
    }
    if (!absl::IsDataLoss(writer.status())) return writer.status();
    // Bytes after the cursor are in the ring too.
    absl::StatusOr<SegmentFile> damaged = OpenOwn(name);
    return damaged.ok() ? EndDamagedSegment(&*damaged, Identity(), cursor_)
                        : damaged.status();
  }

  // Creates the next segment, or the one after it if its name was taken since.
  absl::Status BeginSegment() {
    constexpr int kMaxAttempts = 100;
    for (int attempt = 1;; ++attempt) {
      NameNextSegment();
      absl::Status status = CreateSegment();
      const bool is_taken =
          absl::IsPermissionDenied(status) || absl::IsAlreadyExists(status);
      if (!is_taken || attempt == kMaxAttempts) return status;
      if (renames_when_complete()) continue;
      status = SkipForeignNumbers(cursor_.segment_number + 1);
      if (!status.ok()) return status;
    }
  }

  // Creates the segment that `cursor_` names. Its name depends only on the
  // ring, so a second attempt replaces the file of the first one. If a foreign
  // file has the temporary name, another one is as good.
  absl::Status CreateSegment() {
    writer_name_ =
        absl::StrCat(NameOf(cursor_), renames_when_complete() ? ".tmp" : "");
    absl::Status deleted = DeleteOwn(writer_name_);
    if (renames_when_complete() && absl::IsPermissionDenied(deleted)) {
      writer_name_ = Directory::NewTemporaryName();
      deleted = absl::OkStatus();
    }
    if (!deleted.ok()) return deleted;
    auto writer =
        SegmentWriter::Create(*directory_, writer_name_, Identity(), options_);
    if (!writer.ok()) return writer.status();
    writer_ = *std::move(writer);
    has_begun_ = true;
    return absl::OkStatus();
  }

  // Deletes the segment that BeginSegment() created: the ring has its records,
  // and its bytes may be those that a full disk lacks. Throws no exception.
  void DeleteBegunSegment() {
    if (has_begun_ && writer_->file().IsNamed(*directory_, writer_name_)) {
      FitsInMemory([this] { directory_->Delete(writer_name_).IgnoreError(); });
    }
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

  absl::Status Finish(LeftoverReport* report) {
    if (absl::Status s = writer_->AddEnd(); !s.ok()) return s;
    if (absl::Status s = writer_->Write(); !s.ok()) return s;
    if (absl::Status s = writer_->Sync(); !s.ok()) return s;
    // The ring is deleted next, so its records must be under a name.
    if (!writer_->file().IsNamed(*directory_, writer_name_)) {
      return absl::AbortedError(absl::StrCat(
          writer_->path(), ": was deleted or replaced during the recovery"));
    }
    if (absl::Status s = renames_when_complete() ? Rename() : absl::OkStatus();
        !s.ok()) {
      return s;
    }
    report->segment_path = directory_->PathOf(NameOf(cursor_));
    return directory_->Sync();
  }

  // Gives the complete segment its name. A later attempt finds it also with a
  // salt, because it reads all segments.
  absl::Status Rename() {
    absl::Status deleted = DeleteOwn(NameOf(cursor_));
    if (!deleted.ok() && !absl::IsPermissionDenied(deleted)) return deleted;
    absl::Status renamed =
        directory_->RenameToNew(writer_name_, NameOf(cursor_));
    if (absl::IsAlreadyExists(renamed)) {
      cursor_.name_salt = NewNameSalt();
      renamed = directory_->RenameToNew(writer_name_, NameOf(cursor_));
    }
    return renamed;
  }

  RingRecovery* const items_;
  const RingSummary& ring_;
  Directory* const directory_;
  const SegmentWriterOptions options_;
  // A program may change the mode of its segments after it made the ring. Then
  // the recovering program, which is usually the same one, has the new mode.
  const SegmentOwner owner_;
  const RingFacts facts_;
  std::vector<ScannedSegment> segments_;
  ResumePoint point_;
  // With an intact cursor, the first number after it that no foreign file has.
  uint64_t free_number_ = 0;
  // Otherwise, the numbers that foreign files have, sorted.
  std::vector<uint64_t> foreign_numbers_;
  SegmentCursor cursor_;  // names the segment that receives the records
  std::unique_ptr<SegmentWriter> writer_;
  std::string writer_name_;  // of its file
  bool has_begun_ = false;   // BeginSegment() created that file
};

}  // namespace

RingFacts RingFactsOf(const RingSummary& ring) {
  const CursorState state = CursorStateOf(ring.has_live ? &ring.live : nullptr,
                                          ring.header, ring.cursor);
  return MakeRingFacts(ring.header, !IsOfThisBoot(OwnerOf(ring.header).boot_id),
                       state, ring.cursor);
}

absl::Status AddToSegments(RingRecovery* ring, Directory* directory,
                           const SegmentWriterOptions& options,
                           LeftoverReport* report) {
  return Leftover(ring, directory, options).Run(report);
}

}  // namespace ringlog
