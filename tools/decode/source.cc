#include "ringlog/tools/decode/source.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/record.h"
#include "ringlog/tools/decode/found_segment.h"

namespace ringlog {
namespace {

// Returns the end of a message about an unclosed segment without a ring: where
// the ring is.
std::string WhereTheRestIs(const SegmentPart& part) {
  const ParsedFileName name = ParseFileName(Basename(part.path));
  return absl::StrCat(
      part.from_directory ? "; its unwritten records were in the ring "
                          : "; its unwritten records are in the ring ",
      name.kind == FileKind::kSegment
          ? absl::StrCat("of process ", name.process_id)
          : "of its process",
      part.from_directory ? ", which is not in this directory"
                          : "; give that ring too, or the directory");
}

// Returns a text that every line of a gap contains.
absl::string_view GapMark(LineFormat format) {
  return format == LineFormat::kText ? " ringlog:0] " : ",\"gap\":";
}

// Returns true if `lines` may be a gap. Cheap, because every record is tested.
bool MayBeGap(LineFormat format, absl::string_view lines) {
  constexpr size_t kPrefixBytes = 128;
  if (format == LineFormat::kText && lines[0] != 'W') return false;
  return absl::StrContains(lines.substr(0, kPrefixBytes), GapMark(format));
}

// Returns the message for a region. An empty truncated region means that
// nothing is missing.
std::string Message(const SkippedRegion& region) {
  std::string message = region.is_truncated && region.begin == region.end
                            ? "was not closed"
                            : ToString(region);
  if (region.end_position != 0) {
    absl::StrAppend(&message, "; the positions ", region.first_position, " to ",
                    region.end_position - 1, " were in it");
  }
  return message;
}

// Returns true if the ring's cursor proves, by a checksum, that the frame
// before `region` is open and intact.
bool IsProvenOpen(const SegmentPart& part, const SkippedRegion& region) {
  return region.is_truncated && region.begin == part.limit_bytes &&
         region.unverified_begin == part.open_frame_begin;
}

}  // namespace

bool Source::Next() {
  is_parsed_ = false;
  return NextInSegments() || NextInRing();
}

bool Source::NextInSegments() {
  while (segment_ < plan_->segments.size()) {
    if (reader_ == nullptr && !OpenSegment()) {
      ++segment_;
      continue;
    }
    const SegmentReader::Result result =
        in_bulk_ ? reader_->NextRecords(&lines_) : reader_->Next(&lines_);
    ReportSkipped(result == SegmentReader::Result::kEnd);
    if (result == SegmentReader::Result::kMetadata) {
      TakeMetadata(reader_->metadata());
    } else if (result == SegmentReader::Result::kEnd) {
      CloseSegment();
      ++segment_;
    } else if (!lines_.empty()) {
      lines_format_ = reader_->format();
      NoteOpenRecords();
      return true;
    }
  }
  lines_ = {};
  ReportMissingEnd();
  return false;
}

bool Source::OpenSegment() {
  const SegmentPart& part = plan_->segments[segment_];
  absl::StatusOr<std::unique_ptr<SegmentReader>> reader =
      OpenFoundSegment(part.path, part.owner, part.limit_bytes);
  if (!reader.ok()) {
    if (!part.HasGone(reader.status())) {
      report_->Unusable(part.path, reader.status());
    }
    is_hole_known_ = true;
    return false;
  }
  reader_ = *std::move(reader);
  if (permits_large_windows_) reader_->PermitLargeWindows();
  // The format of a segment without metadata is not known yet.
  in_bulk_ = reader_->first_metadata() != nullptr &&
             bulk_format_ == reader_->format() && !overlaps();
  skipped_reported_ = 0;
  skipped_before_ = 0;
  cut_at_.reset();
  open_records_ = 0;
  open_losses_ = 0;
  return true;
}

// Counts gaps and records that are not covered by metadata yet. The frame's
// metadata, if it comes, replaces these counts.
void Source::NoteOpenRecords() {
  if (!in_bulk_) {
    NoteOpenRecord(lines_);
    return;
  }
  if (!absl::StrContains(lines_, GapMark(lines_format_))) return;
  absl::string_view rest = lines_;
  while (!rest.empty()) {
    const size_t size = FirstRecordBytes(lines_format_, rest, /*at_end=*/true);
    NoteOpenRecord(rest.substr(0, size));
    rest.remove_prefix(size);
  }
}

void Source::NoteOpenRecord(absl::string_view lines) {
  ParsedRecord parsed;
  if (MayBeGap(lines_format_, lines) &&
      ParseLines(lines_format_, lines, &parsed) && parsed.is_gap) {
    if (IsLoss(parsed.gap.cause)) ++open_losses_;
  } else if (overlaps()) {
    ++open_records_;
    last_open_record_.assign(lines.data(), lines.size());
  }
}

// Takes the gaps of the frame's lines from its metadata, which lists them
// exactly.
void Source::TakeMetadata(const FrameMetadata& metadata) {
  if (listener_ != nullptr) {
    listener_->on_frame(segment_, metadata,
                        reader_->skipped().size() == skipped_before_);
  }
  for (const Gap& gap : metadata.gaps) {
    if (IsLoss(gap.cause)) ++report_->result.losses;
  }
  ReportHole(metadata);
  segments_end_position_ = metadata.summary.end_position;
  segments_end_number_ = metadata.identity.number;
  skipped_before_ = reader_->skipped().size();
  is_hole_known_ = false;
  open_records_ = 0;
  open_losses_ = 0;
}

// Reports positions that are missing before the frame of `metadata`: each frame
// of a ring begins where the one before ended, also across segments. Records
// before the first segment were removed on purpose, by retention.
void Source::ReportHole(const FrameMetadata& metadata) {
  is_end_missing_ = false;
  const uint64_t first = metadata.summary.first_position;
  if (segments_end_position_ == 0 || first <= segments_end_position_ ||
      is_hole_known_ || reader_->skipped().size() != skipped_before_) {
    return;
  }
  const uint64_t next_number = segments_end_number_ + 1;
  report_->Damage(
      plan_->segments[segment_].path,
      absl::StrCat("the positions ", segments_end_position_, " to ", first - 1,
                   " are missing before it: ",
                   metadata.identity.number > next_number
                       ? absl::StrCat(metadata.identity.number - next_number,
                                      " segments are not here")
                       : "the segment before is truncated"));
}

// Reports that the last segment was not closed: no later frame shows whether
// records are missing.
void Source::ReportMissingEnd() {
  if (!is_end_missing_ || plan_->ring != nullptr) return;
  is_end_missing_ = false;
  const SegmentPart& part = plan_->segments.back();
  report_->Damage(part.path,
                  absl::StrCat("was not closed", WhereTheRestIs(part)));
}

// Reports new skipped regions. The last region may still grow, so it is
// reported after the next one or at the end.
void Source::ReportSkipped(bool at_end) {
  const std::vector<SkippedRegion>& skipped = reader_->skipped();
  const SegmentPart& part = plan_->segments[segment_];
  const size_t known = skipped.size() - (at_end || skipped.empty() ? 0 : 1);
  for (; skipped_reported_ < known; ++skipped_reported_) {
    const SkippedRegion& region = skipped[skipped_reported_];
    if (region.is_truncated && part.is_limited) {
      cut_at_ = region.begin;
    } else {
      report_->Damage(part.path,
                      absl::StrCat(Message(region),
                                   region.is_truncated && plan_->ring == nullptr
                                       ? WhereTheRestIs(part)
                                       : ""));
    }
    if (region.has_unverified_records() && !IsProvenOpen(part, region)) {
      report_->Damage(part.path, DescribeUnverified(region));
    }
  }
}

// Ends the segment. A frame that is open at the limit is complete, but the file
// must reach the limit.
void Source::CloseSegment() {
  const SegmentPart& part = plan_->segments[segment_];
  struct stat st;
  const bool exists = stat(part.path.c_str(), &st) == 0;
  if (part.is_limited && (exists || !part.from_directory)) {
    uint64_t end = exists ? static_cast<uint64_t>(st.st_size) : 0;
    if (cut_at_.has_value()) end = std::min(end, *cut_at_);
    if (end < part.limit_bytes) {
      report_->Damage(
          part.path,
          absl::StrCat("[", end, "..", part.limit_bytes,
                       "): truncated; the ring's cursor covers these bytes"));
    }
  }
  if (listener_ != nullptr) listener_->on_end(segment_, *reader_);
  report_->result.losses += open_losses_;
  is_hole_known_ |= reader_->skipped().size() != skipped_before_;
  const bool is_ours =
      reader_->first_metadata() != nullptr || part.is_named_as_segment;
  is_end_missing_ = is_ours && !reader_->is_closed() && !is_hole_known_;
  reader_.reset();
}

Source::~Source() {
  if (ring_begun_) plan_->ring->image->FreeMemory();
}

// Returns the number of the ring's first records that the segments have:
//   1. Count the records at positions that the segments' metadata covers.
//   2. Lines after the last metadata have no positions, and the ring may have
//      released some of them. If the last of these lines is in the ring, count
//      up to it.
uint64_t Source::RecordsInSegments() {
  uint64_t in_segments = 0;
  uint64_t seen = 0;
  uint64_t open_records = 0;
  LineFormatter formatter(lines_format_);
  std::string lines;
  while (true) {
    const RingRecovery::Item item = NextRingItem();
    if (item == RingRecovery::Item::kEnd) return in_segments;
    if (item == RingRecovery::Item::kGap) continue;
    const RecoveredRecord& found = plan_->ring->image->record();
    if (found.position < plan_->ring->first_position) continue;
    ++seen;
    if (found.position < segments_end_position_) {
      in_segments = seen;
      continue;
    }
    if (open_records++ == open_records_) return in_segments;
    Record record;
    if (!DecodeRecord(found.head, found.body, &record)) continue;
    lines.clear();
    formatter.AppendRecord(record, found.position, &lines);
    if (lines == last_open_record_) in_segments = seen;
  }
}

// Goes to the next item of the ring. Reports an error, which ends the ring.
RingRecovery::Item Source::NextRingItem() {
  const RingPart& ring = *plan_->ring;
  const absl::StatusOr<RingRecovery::Item> item = ring.image->Next();
  if (item.ok()) return *item;
  report_->Unusable(ring.path, item.status());
  ring_ended_ = true;
  return RingRecovery::Item::kEnd;
}

void Source::BeginRing() {
  RingPart& ring = *plan_->ring;
  ring_begun_ = true;
  absl::Status status = ring.image->Restart(ring.from);
  if (status.ok() && overlaps()) {
    ring_records_to_skip_ = RecordsInSegments();
    status = ring.image->Restart(ring.from);
  }
  if (status.ok()) return;
  report_->Unusable(ring.path, status);
  ring_ended_ = true;
}

bool Source::NextInRing() {
  if (plan_->ring == nullptr || ring_ended_) return false;
  if (!ring_begun_) BeginRing();
  while (!ring_ended_) {
    switch (NextRingItem()) {
      case RingRecovery::Item::kRecord:
        if (TakeRingRecord(plan_->ring->image->record())) return true;
        break;
      case RingRecovery::Item::kGap:
        ReportRingGap(plan_->ring->image->gap());
        break;
      case RingRecovery::Item::kEnd:
        ring_ended_ = true;
    }
  }
  for (const Gap& drop : plan_->ring->drops) {
    report_->RingGap(plan_->ring->path, drop);
  }
  return false;
}

void Source::ReportRingGap(Gap gap) {
  const RingPart& ring = *plan_->ring;
  gap.first_position = std::max(gap.first_position, ring.first_position);
  if (gap.first_position < gap.end_position) report_->RingGap(ring.path, gap);
}

// Returns false if the record does not count.
bool Source::TakeRingRecord(const RecoveredRecord& found) {
  const RingPart& ring = *plan_->ring;
  if (found.position < ring.first_position) return false;
  if (ring_records_to_skip_ > 0) {
    --ring_records_to_skip_;
    return false;
  }
  current_ = DecodedRecord();
  if (!DecodeRecord(found.head, found.body, &current_.record)) {
    report_->Damage(ring.path, absl::StrCat("position ", found.position,
                                            ": not a log record"));
    return false;
  }
  current_.position = found.position;
  current_.is_record = true;
  current_.origin = Origin::kRing;
  current_.path = &ring.path;
  is_parsed_ = true;
  return true;
}

const DecodedRecord& Source::record() {
  if (!is_parsed_) ParseSegmentLines();
  is_parsed_ = true;
  return current_;
}

void Source::ParseSegmentLines() {
  current_ = DecodedRecord();
  current_.lines = lines_;
  current_.lines_format = lines_format_;
  current_.lines_are_ours = lines_are_ours();
  current_.path = &plan_->segments[segment_].path;
  if (ParseLines(lines_format_, lines_, &parsed_)) {
    current_.is_record = true;
    current_.record = parsed_.record;
    current_.position = parsed_.position;
    if (parsed_.is_gap) current_.gap = &parsed_.gap;
    last_time_ns_ = current_.record.time_ns;
    return;
  }
  current_.record.time_ns = last_time_ns_;
  current_.record.text = absl::StripSuffix(lines_, "\n");
}

}  // namespace ringlog
