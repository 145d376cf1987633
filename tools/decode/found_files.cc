#include "ringlog/tools/decode/found_files.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/tools/decode/memory_guard.h"
#include "ringlog/tools/decode/ring_image.h"

namespace ringlog {

FoundFiles::FoundFiles(const std::vector<std::string>& paths, Report* report)
    : inputs_(paths, report), report_(report) {
  InspectNew();
}

void FoundFiles::AddNearby(const std::string& directory) {
  inputs_.AddNearby(directory);
  InspectNew();
}

void FoundFiles::Refresh() {
  inputs_.Relist();
  InspectAgain();
  InspectNew();
}

void FoundFiles::RefreshKnown() {
  std::map<ProcessName, uint64_t> highest;
  for (const FoundSegment& segment : segments) {
    uint64_t& number = highest[ProcessOf(segment.input.name)];
    number = std::max(number, segment.input.name.segment_number);
  }
  inputs_.Relist();
  for (size_t i = inspected_; i < inputs_.files.size(); ++i) {
    InputFile& file = inputs_.files[i];
    const auto known = highest.find(ProcessOf(file.name));
    if (known == highest.end() || (file.kind == FileKind::kSegment &&
                                   file.name.segment_number > known->second)) {
      file.kind = FileKind::kOther;
    }
  }
  InspectAgain();
  InspectNew();
}

bool FoundFiles::NextRing(InputFile* ring) {
  while (returned_ < inputs_.files.size()) {
    const InputFile& file = inputs_.files[returned_++];
    if (file.kind != FileKind::kRing) continue;
    *ring = file;
    return true;
  }
  return false;
}

absl::Status FoundFiles::AddRing(const InputFile& input,
                                 const RingHeader& header, bool is_rebuilt) {
  if (rings.Add(input, header, is_rebuilt)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("more than ", KnownRings::kMaxRingsOfId, " rings of user ",
                   input.owner, " have ids that begin with ",
                   absl::Hex(RingIdPrefix(RingIdOf(header)), absl::kZeroPad8),
                   "; give fewer of them"));
}

// Allocates all memory before it moves the first segment, so that a lack of
// memory changes nothing.
SegmentsByRing FoundFiles::TakeSegments(const std::set<std::string>& of,
                                        bool notes_copies) {
  SegmentsByRing taken;
  std::vector<FoundSegment> rest;
  std::vector<std::vector<FoundSegment>*> places;
  std::map<std::vector<FoundSegment>*, size_t> counts;
  for (const FoundSegment& segment : segments) {
    const std::string* const ring =
        segment.has_no_ring ? nullptr : rings.RingOf(segment, of);
    places.push_back(ring != nullptr ? &taken[*ring] : &rest);
    ++counts[places.back()];
  }
  for (const auto& [place, count] : counts) place->reserve(count);
  rest.reserve(segments.size());
  for (size_t i = 0; i < segments.size(); ++i) {
    places[i]->push_back(std::move(segments[i]));
  }
  segments = std::move(rest);
  for (auto& [ring, its] : taken) {
    const uid_t owner = rings.FileOwnerOf(ring);
    SortByNumber(owner, &its);
    const ForeignCopies copies = RemoveForeign(owner, &its, &segments);
    if (!notes_copies || copies.count == 0) continue;
    WithinMemory([&, &ring = ring] { NoteCopies(ring, copies); }).IgnoreError();
  }
  return taken;
}

void FoundFiles::ReturnForeign(const ResumePoint& point,
                               std::vector<FoundSegment> foreign) {
  segments.reserve(segments.size() + foreign.size());
  for (FoundSegment& segment : foreign) {
    if (!point.cursor_is_damaged &&
        segment.identity.number > point.last_segment) {
      continue;
    }
    segment.has_no_ring = true;
    segments.push_back(std::move(segment));
  }
}

void FoundFiles::NoteCopies(const std::string& ring,
                            const ForeignCopies& copies) {
  if (!noted_.insert(ring).second) return;
  report_->Note(
      copies.first_path,
      absl::StrCat("not read: the user of the ring ", ring,
                   " has a segment with this number",
                   copies.count == 1 ? ""
                                     : absl::StrCat("; and ", copies.count - 1,
                                                    " more such files")));
}

void FoundFiles::PutBack(SegmentsByRing* taken) {
  size_t count = segments.size();
  for (const auto& [ring, its] : *taken) count += its.size();
  segments.reserve(count);
  for (auto& [ring, its] : *taken) {
    std::move(its.begin(), its.end(), std::back_inserter(segments));
  }
  taken->clear();
}

// A process may have written to a segment since it was inspected, or during the
// inspection.
void FoundFiles::InspectAgain() {
  for (FoundSegment& segment : segments) {
    for (int i = 0; i < 2 && MayInspectAgain(segment); ++i) {
      segment = InspectSegment(segment.input);
    }
  }
}

// Knows all new rings before one of them takes its segments, because two of
// them may have the same id. The caller adds a ring without intact header.
void FoundFiles::InspectNew() {
  for (; inspected_ < inputs_.files.size(); ++inspected_) {
    const InputFile& input = inputs_.files[inspected_];
    if (input.kind == FileKind::kSegment) {
      segments.push_back(InspectSegment(input));
    } else if (input.kind == FileKind::kRing) {
      const absl::StatusOr<RingHeader> header =
          RingImage::ReadHeader(input.path, input.owner);
      if (header.ok()) rings.Add(input, *header, /*is_rebuilt=*/false);
    }
  }
}

}  // namespace ringlog
