#include "ringlog/tools/decode/plan.h"

#include <cstddef>
#include <cstring>
#include <map>
#include <set>
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
  // A ring that was read.
  struct ReadRing {
    InputFile input;
    absl::StatusOr<RingImage> image;
    bool was_read_again = false;
  };

  void AddRings();
  std::vector<ReadRing> ReadSomeRings();
  void Read(ReadRing* ring);
  void Identify(std::vector<ReadRing>* rings);
  bool ReadLostCursorsAgain(std::vector<ReadRing>* rings);
  bool Accept(const ReadRing& ring);
  void AddRing(ReadRing ring, std::vector<FoundSegment> segments);
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

// Adds the rings in groups: each group costs one reading of all directories,
// and each ring in it an open file.
void Planner::AddRings() {
  std::vector<ReadRing> rings;
  while (!(rings = ReadSomeRings()).empty()) {
    std::set<std::string> accepted;
    for (const ReadRing& ring : rings) {
      if (Accept(ring)) accepted.insert(ring.input.path);
    }
    SegmentsByRing segments;
    const absl::Status taken = WithinMemory([&] {
      segments = files_.TakeSegments(accepted, /*notes_copies=*/true);
    });
    for (ReadRing& ring : rings) {
      const std::string path = ring.input.path;
      if (accepted.count(path) == 0) continue;
      absl::Status status = taken;
      if (taken.ok()) {
        status = WithinMemory(
            [&] { AddRing(std::move(ring), std::move(segments[path])); });
      } else {
        ring_paths_.erase(path);  // its segments are read without it
      }
      if (!status.ok()) report_->Unusable(path, status);
    }
    rings.clear();  // closes the files of those that do not count
  }
}

// Reads the next rings, as many as may be open at once, and then inspects the
// segments, so that all bytes that the cursors count are there. Returns none if
// none are left.
std::vector<Planner::ReadRing> Planner::ReadSomeRings() {
  std::vector<ReadRing> rings;
  InputFile input;
  for (size_t i = RingImage::MaxOpen(); i > 0 && files_.NextRing(&input); --i) {
    rings.push_back({input, absl::UnknownError("")});
    Read(&rings.back());
  }
  if (rings.empty()) return rings;
  const absl::Status status = WithinMemory([&] {
    // The segments that the cursors name may have been begun after the
    // directories were read.
    do {
      files_.Refresh();
      Identify(&rings);
    } while (ReadLostCursorsAgain(&rings));
  });
  for (ReadRing& ring : rings) {
    if (!status.ok() && ring.image.ok()) ring.image = status;
  }
  return rings;
}

void Planner::Read(ReadRing* ring) {
  const std::string& path = ring->input.path;
  const absl::Status status = WithinMemory([&] {
    ring->image =
        read_ring_ ? read_ring_(path) : RingImage::ReadInto(&room_, path);
    if (ring->image.ok()) ring->image->FreeMemory();
  });
  if (!status.ok()) ring->image = status;
  if (!ring->image.ok()) return;
  const absl::Status is_same =
      CheckOwner(ring->input.owner, ring->image->owner());
  if (!is_same.ok()) ring->image = is_same;
}

// Completes the ids of rings without headers. A ring that cannot be known
// becomes an error.
void Planner::Identify(std::vector<ReadRing>* rings) {
  for (ReadRing& ring : *rings) {
    if (!ring.image.ok()) continue;
    RingImage& image = *ring.image;
    if (image.header_is_rebuilt()) {
      image.SetRingId(IdOfRebuiltRing(RingIdOf(image.header()), ring.input,
                                      files_.segments));
    }
    const absl::Status added =
        files_.AddRing(ring.input, image.header(), image.header_is_rebuilt());
    if (!added.ok()) ring.image = added;
  }
}

// If a process began its first segment after its ring was read, the cursor
// seems to be lost: reads the ring a second time. Returns true if there is such
// a ring. Then the directories must be read again, and may show the same of
// another ring.
bool Planner::ReadLostCursorsAgain(std::vector<ReadRing>* rings) {
  std::set<std::string> paths;
  for (const ReadRing& ring : *rings) {
    if (!ring.was_read_again && ring.image.ok() &&
        ring.image->cursor_state() == CursorState::kNone) {
      paths.insert(ring.input.path);
    }
  }
  if (paths.empty()) return false;
  std::vector<FoundSegment> all = files_.segments;
  const SegmentsByRing segments = files_.TakeSegments(paths);
  files_.segments = std::move(all);
  bool any = false;
  for (ReadRing& ring : *rings) {
    const auto its = segments.find(ring.input.path);
    if (its == segments.end() || !ring.image.ok() ||
        !CursorWasLost(ring.image->facts(), KnownSegmentFacts(its->second))) {
      continue;
    }
    Read(&ring);
    ring.was_read_again = true;
    any = true;
  }
  return any;
}

// Returns true if the ring counts. Reports it otherwise.
bool Planner::Accept(const ReadRing& ring) {
  const InputFile& input = ring.input;
  const absl::Status& status = ring.image.status();
  if (absl::IsNotFound(status) && input.from_directory) {
    return false;  // recovered meanwhile: its segments have all records
  }
  if (!status.ok()) {
    report_->Unusable(input.path, status);
    return false;
  }
  if (const auto original = files_.rings.OriginalOf(input.path, ring_paths_)) {
    report_->Unusable(input.path, absl::InvalidArgumentError(absl::StrCat(
                                      "another copy of the ring ", *original,
                                      "; give one of them")));
    return false;
  }
  ring_paths_.insert(input.path);
  return true;
}

void Planner::AddRing(ReadRing ring, std::vector<FoundSegment> segments) {
  const InputFile& input = ring.input;
  std::vector<FoundSegment> foreign = TakeForeign(&segments);
  RingImage image = *std::move(ring.image);
  const RingFacts facts = image.facts();
  const ResumePoint point = DecideResumePoint(
      facts, ReadSegmentFacts(image.header(), facts, segments));
  ReportDamage(input, image, segments, point);
  SourcePlan plan;
  AddSegments(segments, &point, &plan);
  plan.ring = MakeRingPart(input, std::move(image), point);
  files_.ReturnForeign(point, std::move(foreign));
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
  part.owner = file.input.owner;
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
  files_.TakeSegments(ring_paths_);
  // Segments without metadata join those with metadata of the same ring.
  std::vector<std::vector<FoundSegment>> groups =
      TakeSegmentsByProcess(&files_.segments);
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
    SortByNumber(group.front().input.owner, &group);
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
