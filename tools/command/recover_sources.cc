#include "ringlog/tools/command/recover_sources.h"

#include <stdlib.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/tools/decode/ring_image.h"

namespace ringlog {

namespace {

// Returns the absolute path without symlinks; empty if there is no such file.
std::string ResolvePath(const std::string& path) {
  char* const resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return "";
  std::string result = resolved;
  free(resolved);
  return result;
}

absl::StatusOr<RingHeader> Rebuild(const std::string& path) {
  const absl::StatusOr<RingImage> image = RingImage::Read(path);
  if (!image.ok()) return image.status();
  return image->header();
}

void SetIdentity(const RingId& id, const ParsedFileName& name,
                 RingHeader* header) {
  std::copy(id.begin(), id.end(), header->ring_id);
  name.program.copy(header->program, sizeof header->program);
  name.host.copy(header->host, sizeof header->host);
  header->process_id = name.process_id;
  header->created_unix_ns = name.time_ns;
}

}  // namespace

RecoverSources::RecoverSources(const std::vector<std::string>& paths,
                               const std::string& output, Report* report)
    : report_(report), inputs_(paths, report) {
  FindRings(output);
  for (const InputFile& file : inputs_.files) {
    if (file.kind == FileKind::kSegment) {
      segments_.push_back(InspectSegment(file));
    }
  }
  IdentifyRebuiltRings();
}

// Finds the rings, and the files next to them and in their segment directories.
void RecoverSources::FindRings(const std::string& output) {
  const std::string resolved_output = ResolvePath(output);
  for (size_t i = 0; i < inputs_.files.size(); ++i) {
    const InputFile input = inputs_.files[i];  // a copy: the vector grows
    if (input.kind != FileKind::kRing || input.is_nearby) continue;
    FoundRing ring;
    ring.input = input;
    absl::StatusOr<RingHeader> header = ReadRingHeader(input.path, 0);
    if (absl::IsNotFound(header.status()) && input.from_directory) {
      inputs_.Relist();  // finds the segments made of it
      continue;
    }
    if (absl::IsDataLoss(header.status()) ||
        absl::IsInvalidArgument(header.status())) {
      header = Rebuild(input.path);
      if (header.ok()) ring.rebuilt_header = *header;
    }
    if (!header.ok()) {
      report_->Unusable(input.path, header.status());
      continue;
    }
    ring.id = RingIdOf(*header);
    ring.segment_directory = std::string(SegmentDirectory(*header));
    if (!ring.segment_directory.empty() &&
        ring.segment_directory == SegmentDirectoryField(resolved_output)) {
      ring.segment_directory = resolved_output;
    }
    if (!ring.rebuilt_header && IsCopy(ring)) continue;
    inputs_.AddNearby(Dirname(input.path));
    if (absl::StartsWith(ring.segment_directory, "/")) {
      inputs_.AddNearby(ring.segment_directory);
    }
    rings.push_back(std::move(ring));
  }
}

// Completes the headers of rebuilt rings: the id comes from the metadata of
// their segments; program, host and process come from file names.
void RecoverSources::IdentifyRebuiltRings() {
  std::vector<FoundRing> found = std::move(rings);
  rings.clear();
  for (FoundRing& ring : found) {
    if (ring.rebuilt_header) {
      ring.id = IdOfRebuiltRing(ring.id, ring.input, segments_);
      ParsedFileName name = ring.input.name;
      for (const FoundSegment& segment : segments_) {
        if (BelongsTo(segment, ring.id)) name = segment.input.name;
      }
      SetIdentity(ring.id, name, &*ring.rebuilt_header);
      report_->Damage(ring.input.path,
                      "the header and its copy are damaged; its slots show its "
                      "content");
      if (IsCopy(ring)) continue;
    }
    rings.push_back(std::move(ring));
  }
}

// Returns true, and reports the ring, if another ring has the same id.
bool RecoverSources::IsCopy(const FoundRing& ring) {
  const auto same =
      std::find_if(rings.begin(), rings.end(),
                   [&](const FoundRing& other) { return other.id == ring.id; });
  if (same == rings.end()) return false;
  report_->Unusable(ring.input.path,
                    absl::InvalidArgumentError(
                        absl::StrCat("another copy of the ring ",
                                     same->input.path, "; give one of them")));
  return true;
}

std::vector<FoundSegment> RecoverSources::TakeSegments(const RingId& id) {
  return ringlog::TakeSegments(id, &segments_);
}

void RecoverSources::PutBack(std::vector<FoundSegment> segments) {
  std::move(segments.begin(), segments.end(), std::back_inserter(segments_));
}

void RecoverSources::AddNewSegments(const FoundRing& ring) {
  const auto is_its = [&ring](const InputFile& file) {
    return file.kind == FileKind::kSegment &&
           file.name.ring_id_prefix == ring.input.name.ring_id_prefix;
  };
  // A segment may have been empty when it was inspected.
  for (FoundSegment& segment : segments_) {
    if (!segment.status.ok() && is_its(segment.input)) {
      segment = InspectSegment(segment.input);
    }
  }
  const size_t known = inputs_.files.size();
  inputs_.Relist();
  for (size_t i = known; i < inputs_.files.size(); ++i) {
    if (is_its(inputs_.files[i])) {
      segments_.push_back(InspectSegment(inputs_.files[i]));
    }
  }
}

void RecoverSources::RemoveCopies(std::vector<FoundSegment>* segments) {
  std::vector<FoundSegment> kept;
  for (FoundSegment& segment : *segments) {
    if (kept.empty() ||
        kept.back().identity.number != segment.identity.number) {
      kept.push_back(std::move(segment));
    } else if (!segment.input.is_nearby) {
      report_->Unusable(segment.input.path,
                        absl::InvalidArgumentError(absl::StrCat(
                            "another copy of the segment ",
                            kept.back().input.path, "; give one of them")));
    }
  }
  *segments = std::move(kept);
}

std::vector<FoundSegment> RecoverSources::TakeSegmentsWithoutRing() {
  for (const FoundSegment& segment : segments_) {
    if (!segment.has_metadata) ReportUnknown(segment);
  }
  segments_.erase(std::remove_if(segments_.begin(), segments_.end(),
                                 [](const FoundSegment& segment) {
                                   return segment.input.is_nearby ||
                                          !segment.has_metadata;
                                 }),
                  segments_.end());
  if (segments_.empty()) return {};
  const RingId id = segments_.front().identity.ring_id;
  std::vector<FoundSegment> segments = TakeSegments(id);
  RemoveCopies(&segments);
  return segments;
}

void RecoverSources::ReportUnknown(const FoundSegment& segment) {
  const InputFile& input = segment.input;
  if (input.is_nearby) return;
  if (!segment.status.ok()) {
    if (input.from_directory && absl::IsNotFound(segment.status)) return;
    if (input.from_directory && input.bytes == 0) {
      report_->Note(input.path, "empty: nothing was written to it");
    } else {
      report_->Unusable(input.path, segment.status);
    }
  } else if (input.name.kind == FileKind::kSegment) {
    report_->Damage(input.path,
                    "truncated or damaged: no intact metadata identifies it");
  } else if (input.from_directory) {
    report_->Note(input.path, "not a segment of ringlog; ignored");
  } else {
    report_->Unusable(input.path,
                      absl::InvalidArgumentError("not a segment of ringlog"));
  }
}

}  // namespace ringlog
