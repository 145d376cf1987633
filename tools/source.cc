#include "ringlog/tools/source.h"

#include <sys/stat.h>

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"

namespace ringlog {
namespace {

// True if `lines` may tell of a gap. Cheap, as it is asked of every record.
bool MayBeGap(LineFormat format, absl::string_view lines) {
  constexpr size_t kPrefixBytes = 128;
  const absl::string_view start = lines.substr(0, kPrefixBytes);
  return format == LineFormat::kText
             ? start[0] == 'W' && absl::StrContains(start, " ringlog:0] ")
             : absl::StrContains(start, ",\"gap\":");
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
    const SegmentReader::Result result = reader_->Next(&lines_);
    ReportSkipped();
    if (result == SegmentReader::Result::kMetadata) {
      TakeMetadata(reader_->metadata());
    } else if (result == SegmentReader::Result::kEnd) {
      CloseSegment();
      ++segment_;
    } else if (!lines_.empty()) {
      CountOpen();
      return true;
    }
  }
  lines_ = {};
  return false;
}

// The frame's metadata, if it gets them, will say it all again.
void Source::CountOpen() {
  ParsedRecord parsed;
  if (!MayBeGap(lines_format_, lines_) ||
      !ParseLines(lines_format_, lines_, &parsed) || !parsed.is_gap) {
    ++open_records_;
  } else if (IsLoss(parsed.gap.cause)) {
    ++open_losses_;
  }
}

bool Source::OpenSegment() {
  const SegmentPart& part = plan_->segments[segment_];
  absl::StatusOr<std::unique_ptr<SegmentReader>> reader =
      SegmentReader::Open(part.path, part.limit_bytes);
  if (!reader.ok()) {
    report_->Unusable(part.path, reader.status());
    return false;
  }
  reader_ = *std::move(reader);
  lines_format_ = reader_->format();
  skipped_reported_ = 0;
  open_records_ = 0;
  open_losses_ = 0;
  return true;
}

// The metadata say exactly which gaps the frame's lines tell of.
void Source::TakeMetadata(const FrameMetadata& metadata) {
  for (const Gap& gap : metadata.gaps) {
    if (IsLoss(gap.cause)) ++report_->result.losses;
  }
  segments_end_position_ = metadata.summary.end_position;
  open_records_ = 0;
  open_losses_ = 0;
}

void Source::ReportSkipped() {
  const std::vector<SkippedRegion>& skipped = reader_->skipped();
  const SegmentPart& part = plan_->segments[segment_];
  for (; skipped_reported_ < skipped.size(); ++skipped_reported_) {
    const SkippedRegion& region = skipped[skipped_reported_];
    // Where a cursor set the limit, nothing is missing behind it.
    if (region.is_cut && part.is_limited) continue;
    report_->Damage(part.path, absl::StrCat("[", region.begin, "..", region.end,
                                            "): ", region.why));
  }
}

void Source::CloseSegment() {
  const SegmentPart& part = plan_->segments[segment_];
  struct stat st;
  if (part.is_limited && stat(part.path.c_str(), &st) == 0 &&
      static_cast<uint64_t>(st.st_size) < part.limit_bytes) {
    report_->Damage(part.path,
                    absl::StrCat("[", st.st_size, "..", part.limit_bytes,
                                 "): cut off; the ring's cursor says that this "
                                 "had been written"));
  }
  report_->result.losses += open_losses_;
  reader_.reset();
}

bool Source::NextInRing() {
  if (plan_->ring == nullptr) return false;
  const RingPart& ring = *plan_->ring;
  if (!ring_begun_) {
    ring_begun_ = true;
    for (const Gap& gap : ring.gaps) report_->RingGap(ring.path, gap);
  }
  for (; ring_record_ < ring.records.size(); ++ring_record_) {
    const RingRecord& found = ring.records[ring_record_];
    if (ring.overlaps_segments) {
      if (found.position < segments_end_position_) continue;
      if (open_records_ > 0) {
        --open_records_;
        continue;
      }
    }
    current_ = DecodedRecord();
    if (!DecodeRecord(found.head, found.body, &current_.record)) {
      report_->Damage(ring.path, absl::StrCat("position ", found.position,
                                              ": not a log record"));
      continue;
    }
    current_.position = found.position;
    current_.origin = Origin::kRing;
    current_.path = &ring.path;
    is_parsed_ = true;
    ++ring_record_;
    return true;
  }
  return false;
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
  current_.path = &plan_->segments[segment_].path;
  if (ParseLines(lines_format_, lines_, &parsed_)) {
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
