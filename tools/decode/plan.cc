#include "ringlog/tools/decode/plan.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/recovery/resume_point.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_recovery.h"
#include "ringlog/tools/decode/found_files.h"
#include "ringlog/tools/decode/found_segment.h"
#include "ringlog/tools/decode/inputs.h"
#include "ringlog/tools/decode/item_spool.h"
#include "ringlog/tools/decode/memory_guard.h"
#include "ringlog/tools/decode/segment_facts.h"

namespace ringlog {
namespace {

class Planner {
 public:
  Planner(const std::vector<std::string>& paths, Report* report,
          const RingReader& read_ring)
      : files_(paths, report), report_(report), read_ring_(read_ring) {}

  std::vector<SourcePlan> Run();

 private:
  void AddRings();
  absl::StatusOr<RingImage> ReadRing(const InputFile& input);
  void AddRing(const InputFile& input);
  std::unique_ptr<RingPart> MakeRingPart(const InputFile& input,
                                         RingImage image,
                                         const ResumePoint& point);
  void ReportDamage(const InputFile& input, const RingImage& image,
                    const std::vector<FoundSegment>& segments,
                    const ResumePoint& point);
  void AddSegments(const std::vector<FoundSegment>& files,
                   const ResumePoint* point, SourcePlan* plan);
  void AddSegment(const FoundSegment& file, const CountedSegment& counted,
                  SourcePlan* plan);
  void ReportUnreadable(const FoundSegment& file);
  void AddSegmentsWithoutRing();

  FoundFiles files_;
  Report* report_;
  const RingReader& read_ring_;
  SpoolRoom room_;
  std::set<std::string> ring_paths_;  // of the rings that were read
  std::vector<SourcePlan> plans_;
};

std::vector<SourcePlan> Planner::Run() {
  AddRings();
  files_.Refresh();
  AddRings();
  files_.RefreshKnown();
  AddRings();
  AddSegmentsWithoutRing();
  return std::move(plans_);
}

void Planner::AddRings() {
  InputFile ring;
  while (files_.NextRing(&ring)) {
    const absl::Status status = WithinMemory([&] { AddRing(ring); });
    if (!status.ok()) report_->Unusable(ring.path, status);
  }
}

// Reads the ring and then inspects the segments, so that all bytes that the
// cursor counts are there. If a process began its first segment meanwhile, the
// cursor seems to be lost; the ring is read a second time then.
absl::StatusOr<RingImage> Planner::ReadRing(const InputFile& input) {
  constexpr int kReadings = 2;
  for (int reading = 1;; ++reading) {
    absl::StatusOr<RingImage> read =
        read_ring_ ? read_ring_(input.path)
                   : RingImage::ReadInto(&room_, input.path);
    // The segment that the cursor names may have been begun after the directory
    // was read.
    files_.Refresh();
    if (!read.ok()) return read;
    if (read->header_is_rebuilt()) {
      read->SetRingId(
          IdOfRebuiltRing(RingIdOf(read->header()), input, files_.segments));
    }
    files_.rings.Add(input, read->header(), read->header_is_rebuilt());
    if (reading == kReadings) return read;
    std::vector<FoundSegment> segments;
    std::copy_if(files_.segments.begin(), files_.segments.end(),
                 std::back_inserter(segments), [&](const FoundSegment& s) {
                   return files_.rings.Owns(input.path, s);
                 });
    if (!CursorWasLost(read->facts(), KnownSegmentFacts(segments))) return read;
  }
}

void Planner::AddRing(const InputFile& input) {
  absl::StatusOr<RingImage> read = ReadRing(input);
  if (absl::IsNotFound(read.status()) && input.from_directory) {
    return;  // recovered meanwhile: its segments have all records
  }
  if (!read.ok()) {
    report_->Unusable(input.path, read.status());
    return;
  }
  if (const auto original = files_.rings.OriginalOf(input.path, ring_paths_)) {
    report_->Unusable(input.path, absl::InvalidArgumentError(absl::StrCat(
                                      "another copy of the ring ", *original,
                                      "; give one of them")));
    return;
  }
  ring_paths_.insert(input.path);
  std::vector<FoundSegment> segments =
      TakeSegments(&files_.segments, [&](const FoundSegment& segment) {
        return files_.rings.Owns(input.path, segment);
      });
  const RingFacts facts = read->facts();
  const ResumePoint point = DecideResumePoint(
      facts, ReadSegmentFacts(read->header(), facts, segments));
  ReportDamage(input, *read, segments, point);
  SourcePlan plan;
  AddSegments(segments, &point, &plan);
  plan.ring = MakeRingPart(input, *std::move(read), point);
  plans_.push_back(std::move(plan));
}

void Planner::ReportDamage(const InputFile& input, const RingImage& image,
                           const std::vector<FoundSegment>& segments,
                           const ResumePoint& point) {
  const std::string& path = input.path;
  const bool is_truncated = image.file_bytes() < image.header().file_bytes;
  if (image.header_is_rebuilt()) {
    report_->Damage(
        path,
        absl::StrCat("the header and its copy are damaged; the slots show ",
                     image.DescribeRebuilt(), ", but not the owner"));
  }
  if (is_truncated) {
    report_->Damage(path,
                    absl::StrCat("[", image.file_bytes(), "..",
                                 image.header().file_bytes, "): truncated"));
  }
  const RingFacts facts = image.facts();
  if (facts.cursor_state == CursorState::kUnreadable) {
    report_->Damage(
        path,
        absl::StrCat("the persist cursor's state: ",
                     DecodeCursorState(image.cursor()).status().message()));
  } else if (point.cursor_is_damaged && !is_truncated) {
    report_->Damage(path,
                    "the persist cursor is damaged; the segments decide which "
                    "records are only in the ring");
  }
  const SegmentCursor& cursor = facts.cursor;
  for (size_t i = 0; i < segments.size(); ++i) {
    if (!point.segments[i].lost_open_frame) continue;
    report_->Damage(
        segments[i].input.path,
        absl::StrCat("[", cursor.frame_offset, "..", cursor.segment_bytes,
                     "): not the bytes that the ring's cursor covers; the "
                     "positions ",
                     cursor.open_frame.first_position, " to ",
                     cursor.open_frame.end_position - 1, " were in them"));
  }
}

std::unique_ptr<RingPart> Planner::MakeRingPart(const InputFile& input,
                                                RingImage image,
                                                const ResumePoint& point) {
  auto part = std::make_unique<RingPart>();
  part->path = input.path;
  // If they overlap, Source finds the first record that segments lack.
  part->overlaps_segments = point.overlaps;
  part->from = point.overlaps ? RecoverFrom::kEverything : RecoverFrom::kCursor;
  part->first_position = point.overlaps ? 0 : point.first_position;
  part->program = image.program();
  part->process_id = image.header().process_id;
  part->may_be_alive = image.owner_may_be_alive();
  const RingSummary& summary = image.summary();
  DropCounts drops;
  static_assert(sizeof drops == sizeof summary.live.dropped, "the same counts");
  std::memcpy(&drops, &summary.live.dropped, sizeof drops);
  part->drops =
      DropGaps(drops, point.drops_known_to_reader(), summary.end_position);
  // Mostly only a few records are not yet in segments, and a directory may have
  // more rings than a process may open files. The source reports an error.
  image.KeepInMemory(&room_, part->from).IgnoreError();
  part->image = std::make_unique<RingImage>(std::move(image));
  part->image->FreeMemory();
  return part;
}

// Without a `point` all bytes count.
void Planner::AddSegments(const std::vector<FoundSegment>& files,
                          const ResumePoint* point, SourcePlan* plan) {
  const FoundSegment* previous = nullptr;
  for (size_t i = 0; i < files.size(); ++i) {
    const FoundSegment& file = files[i];
    CountedSegment counted;
    if (point != nullptr) {
      counted = point->segments[i];
      // If the cursor is intact, the ring has all records of later segments.
      if (counted.bytes == 0 && !point->cursor_is_damaged &&
          file.identity.number > point->last_segment) {
        continue;
      }
    }
    if (!file.status.ok()) {
      ReportUnreadable(file);
    } else if (previous != nullptr &&
               previous->identity.number == file.identity.number) {
      report_->Unusable(file.input.path,
                        absl::InvalidArgumentError(absl::StrCat(
                            "another copy of the segment ",
                            previous->input.path, "; give one of them")));
    } else {
      previous = &file;
      AddSegment(file, counted, plan);
    }
  }
}

void Planner::AddSegment(const FoundSegment& file,
                         const CountedSegment& counted, SourcePlan* plan) {
  if (counted.bytes == 0) {
    report_->Damage(file.input.path,
                    "no frame in it is intact, so nothing in it counts");
    return;
  }
  SegmentPart part;
  part.path = file.input.path;
  part.from_directory = file.input.from_directory;
  part.is_named_as_segment = file.input.name.kind == FileKind::kSegment;
  if (counted.bytes != kAllBytes) {
    part.limit_bytes = counted.bytes;
    part.is_limited = true;
    part.open_frame_begin = counted.open_frame_begin;
    part.limit_position = counted.end_position;
  }
  plan->segments.push_back(std::move(part));
}

void Planner::ReportUnreadable(const FoundSegment& file) {
  const std::string& path = file.input.path;
  if (file.input.bytes == 0 && (file.input.from_directory ||
                                file.input.name.kind == FileKind::kSegment)) {
    // Its process died directly after it had created the file.
    report_->Note(path, "empty: nothing was written to it");
  } else if (!absl::IsNotFound(file.status) || !file.input.from_directory) {
    report_->Unusable(path, file.status);
  }
}

void Planner::AddSegmentsWithoutRing() {
  // Segments that were begun after their ring was read, by its process or by
  // recovery, have only records that the ring had.
  for (const std::string& path : ring_paths_) {
    TakeSegments(&files_.segments, [&](const FoundSegment& segment) {
      return files_.rings.Owns(path, segment);
    });
  }
  // Segments without metadata join those with metadata of the same ring.
  std::vector<std::vector<FoundSegment>> groups;
  while (true) {
    std::vector<FoundSegment> group =
        TakeSegmentsOfOneProcess(&files_.segments);
    if (group.empty()) break;
    groups.push_back(std::move(group));
  }
  // The others are grouped by their names, or are sources of their own.
  std::map<std::pair<ProcessName, uid_t>, size_t> by_name;
  for (FoundSegment& segment : files_.segments) {
    const ParsedFileName& name = segment.input.name;
    if (name.kind == FileKind::kSegment) {
      const auto [place, is_new] = by_name.emplace(
          std::pair(ProcessOf(name), segment.input.owner), groups.size());
      if (is_new) groups.emplace_back();
      groups[place->second].push_back(std::move(segment));
    } else {
      groups.emplace_back();
      groups.back().push_back(std::move(segment));
    }
  }
  for (std::vector<FoundSegment>& group : groups) {
    std::stable_sort(group.begin(), group.end(),
                     [](const FoundSegment& a, const FoundSegment& b) {
                       return a.identity.number < b.identity.number;
                     });
    SourcePlan plan;
    AddSegments(group, nullptr, &plan);
    if (!plan.segments.empty()) plans_.push_back(std::move(plan));
  }
}

}  // namespace

std::vector<SourcePlan> MakePlan(const std::vector<std::string>& paths,
                                 Report* report, const RingReader& read_ring) {
  return Planner(paths, report, read_ring).Run();
}

}  // namespace ringlog
