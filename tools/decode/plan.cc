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
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/tools/decode/boundary.h"
#include "ringlog/tools/decode/found_segment.h"
#include "ringlog/tools/decode/inputs.h"

namespace ringlog {
namespace {

class Planner {
 public:
  Planner(const std::vector<std::string>& paths, Report* report,
          const RingReader& read_ring)
      : inputs_(paths, report), report_(report), read_ring_(read_ring) {}

  std::vector<SourcePlan> Run();

 private:
  void InspectSegments();
  absl::StatusOr<RingImage> ReadRing(const InputFile& input);
  void AddRing(const InputFile& input);
  std::unique_ptr<RingPart> MakeRingPart(const InputFile& input,
                                         std::shared_ptr<RingImage> image,
                                         const Boundary& boundary);
  void AddSegments(const std::vector<FoundSegment>& files,
                   const Boundary& boundary, SourcePlan* plan);
  void AddSegmentsWithoutRing();

  Inputs inputs_;
  Report* report_;
  const RingReader& read_ring_;
  size_t inspected_ = 0;                // of inputs_.files
  std::vector<FoundSegment> segments_;  // that no source has taken
  std::map<RingId, std::string> rings_;
  std::vector<SourcePlan> plans_;
};

std::vector<SourcePlan> Planner::Run() {
  InspectSegments();
  for (size_t i = 0; i < inputs_.files.size(); ++i) {
    // A copy: the vector grows.
    const InputFile input = inputs_.files[i];
    if (input.kind == FileKind::kRing) AddRing(input);
  }
  AddSegmentsWithoutRing();
  return std::move(plans_);
}

// Those that are new, and those of which there was nothing to see yet: a live
// process may have written to them since.
void Planner::InspectSegments() {
  for (FoundSegment& segment : segments_) {
    if (segment.status.ok()) continue;
    segment = InspectSegment(segment.input);
    // Written to at this very moment. It does not become empty again.
    if (!segment.status.ok() && segment.input.bytes != 0) {
      segment = InspectSegment(segment.input);
    }
  }
  for (; inspected_ < inputs_.files.size(); ++inspected_) {
    const InputFile& input = inputs_.files[inspected_];
    if (input.kind == FileKind::kSegment) {
      segments_.push_back(InspectSegment(input));
    }
  }
}

// What the segments hold is looked at after the ring: what its cursor counts is
// there then. But what a process has written that began its first segment
// meanwhile is not what the cursor has lost: the ring has to be read once more.
absl::StatusOr<RingImage> Planner::ReadRing(const InputFile& input) {
  constexpr int kReadings = 2;
  for (int reading = 1;; ++reading) {
    absl::StatusOr<RingImage> read = read_ring_(input.path);
    // The segment that the cursor names may have been begun after the directory
    // was read.
    inputs_.Relist();
    InspectSegments();
    if (!read.ok()) return read;
    if (read->header_is_rebuilt()) {
      read->SetRingId(
          IdOfRebuiltRing(RingIdOf(read->header()), input, segments_));
    }
    if (reading == kReadings) return read;
    const RingId id = RingIdOf(read->header());
    std::vector<FoundSegment> segments;
    std::copy_if(segments_.begin(), segments_.end(),
                 std::back_inserter(segments),
                 [&](const FoundSegment& s) { return BelongsTo(s, id); });
    if (!HidesSegments(*read, segments)) return read;
  }
}

void Planner::AddRing(const InputFile& input) {
  absl::StatusOr<RingImage> read = ReadRing(input);
  if (absl::IsNotFound(read.status()) && input.from_directory) {
    return;  // recovered meanwhile: its segments have everything
  }
  if (!read.ok()) {
    report_->Unusable(input.path, read.status());
    return;
  }
  auto image = std::make_shared<RingImage>(*std::move(read));
  const RingId id = RingIdOf(image->header());
  const auto [other, is_new] = rings_.emplace(id, input.path);
  if (!is_new) {
    report_->Unusable(input.path, absl::InvalidArgumentError(absl::StrCat(
                                      "another copy of the ring ",
                                      other->second, "; give one of them")));
    return;
  }
  if (image->header_is_rebuilt()) {
    report_->Damage(
        input.path,
        absl::StrCat("the header and its copy are damaged; what it holds tells "
                     "of ",
                     image->DescribeRebuilt(), ", not whose it is"));
  }
  if (image->file_bytes() < image->header().file_bytes) {
    report_->Damage(input.path,
                    absl::StrCat("[", image->file_bytes(), "..",
                                 image->header().file_bytes, "): cut off"));
  }
  std::vector<FoundSegment> segments = TakeSegments(id, &segments_);
  const Boundary boundary = FindBoundary(input.path, *image, segments, report_);
  SourcePlan plan;
  AddSegments(segments, boundary, &plan);
  plan.ring = MakeRingPart(input, std::move(image), boundary);
  plans_.push_back(std::move(plan));
}

// The records that a flusher has not written are mostly a small part of the
// ring: then only they are kept.
void Compact(RingPart* part, uint64_t ring_bytes) {
  size_t bytes = 0;
  for (const RingRecord& record : part->records) {
    bytes += record.head.size() + record.body.size();
  }
  if (bytes > ring_bytes / 4) return;
  auto text = std::make_shared<std::string>();
  text->reserve(bytes);
  for (RingRecord& record : part->records) {
    for (absl::string_view* piece : {&record.head, &record.body}) {
      const size_t begin = text->size();
      text->append(piece->data(), piece->size());
      *piece = absl::string_view(*text).substr(begin, piece->size());
    }
  }
  part->memory = std::move(text);
}

std::unique_ptr<RingPart> Planner::MakeRingPart(
    const InputFile& input, std::shared_ptr<RingImage> image,
    const Boundary& boundary) {
  struct Memory {
    std::shared_ptr<RingImage> image;
    RecoveredRing ring;
  };
  RecoveredRing ring = image->Recover(boundary.from);
  auto part = std::make_unique<RingPart>();
  part->path = input.path;
  part->overlaps_segments = boundary.overlaps;
  part->program = image->program();
  part->process_id = image->header().process_id;
  part->may_be_alive = image->owner_may_be_alive();
  for (Gap gap : ring.gaps) {
    gap.first_position = std::max(gap.first_position, boundary.first_position);
    if (static_cast<int>(gap.cause) >= kDropCauseCount &&
        gap.first_position < gap.end_position) {
      part->gaps.push_back(gap);
    }
  }
  DropCounts drops;
  static_assert(sizeof drops == sizeof ring.live.dropped, "the same counts");
  std::memcpy(&drops, &ring.live.dropped, sizeof drops);
  for (const Gap& gap :
       DropGaps(drops, boundary.reported_drops, ring.end_position)) {
    part->gaps.push_back(gap);
  }
  for (const RecoveredRecord& record : ring.records) {
    if (record.position < boundary.first_position) continue;
    part->records.push_back({record.position, record.head, record.body});
  }
  const uint64_t ring_bytes = image->header().file_bytes;
  part->memory =
      std::make_shared<Memory>(Memory{std::move(image), std::move(ring)});
  Compact(part.get(), ring_bytes);
  return part;
}

void Planner::AddSegments(const std::vector<FoundSegment>& files,
                          const Boundary& boundary, SourcePlan* plan) {
  const FoundSegment* previous = nullptr;
  for (const FoundSegment& file : files) {
    // Begun, but nothing in it was published: the ring has it.
    if (!boundary.any_segment || file.number > boundary.last_number) continue;
    const std::string& path = file.input.path;
    if (!file.status.ok()) {
      // A process that died right after it had created the file.
      if (file.input.bytes == 0 &&
          (file.input.from_directory ||
           file.input.name.kind == FileKind::kSegment)) {
        report_->Note(path, "empty: nothing was written to it");
      } else if (!absl::IsNotFound(file.status) || !file.input.from_directory) {
        report_->Unusable(path, file.status);
      }
      continue;
    }
    if (previous != nullptr && previous->number == file.number) {
      report_->Unusable(path, absl::InvalidArgumentError(absl::StrCat(
                                  "another copy of the segment ",
                                  previous->input.path, "; give one of them")));
      continue;
    }
    previous = &file;
    SegmentPart part;
    part.path = path;
    part.from_directory = file.input.from_directory;
    part.is_named_as_segment = file.input.name.kind == FileKind::kSegment;
    if (file.number == boundary.last_number &&
        boundary.last_bytes != kWholeFile) {
      part.limit_bytes = boundary.last_bytes;
      part.is_limited = true;
      part.open_frame_begin = boundary.open_frame_begin;
      part.limit_position = boundary.last_end_position;
    }
    plan->segments.push_back(std::move(part));
  }
}

void Planner::AddSegmentsWithoutRing() {
  InspectSegments();
  // What has been begun since a ring was read, by its process or by recovery,
  // has what the ring had.
  for (const auto& ring : rings_) TakeSegments(ring.first, &segments_);
  // Those without metadata come with those of the same ring that have them.
  std::vector<RingId> ids;
  for (const FoundSegment& segment : segments_) {
    if (segment.has_metadata &&
        std::find(ids.begin(), ids.end(), segment.ring_id) == ids.end()) {
      ids.push_back(segment.ring_id);
    }
  }
  std::vector<std::vector<FoundSegment>> groups;
  for (const RingId& id : ids) groups.push_back(TakeSegments(id, &segments_));
  // The rest by their names, or each alone.
  std::map<std::tuple<std::string, int64_t, uint32_t>, size_t> by_name;
  for (FoundSegment& segment : segments_) {
    const ParsedFileName& name = segment.input.name;
    if (name.kind == FileKind::kSegment) {
      const auto [place, is_new] = by_name.emplace(
          std::tuple(name.program, name.process_id, name.ring_id_prefix),
          groups.size());
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
                       return a.number < b.number;
                     });
    SourcePlan plan;
    AddSegments(group, Boundary(), &plan);
    if (!plan.segments.empty()) plans_.push_back(std::move(plan));
  }
}

}  // namespace

std::vector<SourcePlan> MakePlan(const std::vector<std::string>& paths,
                                 Report* report, const RingReader& read_ring) {
  return Planner(paths, report, read_ring).Run();
}

}  // namespace ringlog
