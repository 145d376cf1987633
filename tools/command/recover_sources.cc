#include "ringlog/tools/command/recover_sources.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
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

absl::StatusOr<RingHeader> Rebuild(const InputFile& input) {
  const absl::StatusOr<RingImage> image = RingImage::Read(input.path);
  if (!image.ok()) return image.status();
  if (absl::Status s = CheckOwner(input.owner, image->owner()); !s.ok()) {
    return s;
  }
  return image->header();
}

// Returns true if only the user of this process may write to the file or
// directory, which is not a symlink.
bool IsPrivate(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) == 0 && !S_ISLNK(st.st_mode) &&
         st.st_uid == geteuid() && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
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

absl::StatusOr<LeftoverRing> ReadFoundRing(const FoundRing& found) {
  const std::string& path = found.input.path;
  absl::StatusOr<LeftoverRing> ring =
      found.rebuilt_header ? ReadLeftover(path, *found.rebuilt_header)
                           : ReadLeftover(path);
  // A locked ring of another user must not count as the found one either.
  struct stat st;
  const int result =
      ring.ok() ? fstat(ring->file.fd(), &st) : stat(path.c_str(), &st);
  if (result != 0) return ring.ok() ? FileStatus(errno, "stat") : ring.status();
  if (absl::Status s = CheckOwner(found.input.owner, st.st_uid); !s.ok()) {
    return s;
  }
  return ring;
}

std::string HomeOf(const FoundRing& found,
                   const std::vector<FoundSegment>& segments) {
  if (!segments.empty()) return Dirname(segments.back().input.path);
  const std::string& recorded = found.segment_directory;
  if (absl::StartsWith(recorded, "/") && access(recorded.c_str(), F_OK) == 0) {
    return recorded;
  }
  return Dirname(found.input.path);
}

RecoverSources::RecoverSources(const std::vector<std::string>& paths,
                               const std::string& output, Report* report)
    : report_(report), files_(paths, report) {
  const std::string resolved_output = ResolvePath(output);
  InputFile input;
  const auto find_rings = [&] {
    while (files_.NextRing(&input)) {
      if (!input.is_nearby) FindRing(input, resolved_output);
    }
  };
  find_rings();
  if (has_lost_ring_) {
    files_.Refresh();
    find_rings();
  }
  IdentifyRebuiltRings();
  std::stable_partition(rings.begin(), rings.end(), [](const FoundRing& ring) {
    return ring.input.owner == 0 || ring.input.owner == geteuid();
  });
}

// Adds a ring, and the files next to it and in its segment directory.
void RecoverSources::FindRing(const InputFile& input,
                              const std::string& output) {
  FoundRing ring;
  ring.input = input;
  absl::StatusOr<RingHeader> header =
      RingImage::ReadHeader(input.path, input.owner);
  if (absl::IsNotFound(header.status()) && input.from_directory) {
    has_lost_ring_ = true;
    return;
  }
  if (absl::IsDataLoss(header.status()) ||
      absl::IsInvalidArgument(header.status())) {
    header = Rebuild(input);
    if (header.ok()) ring.rebuilt_header = *header;
  }
  if (!header.ok()) {
    report_->Unusable(input.path, header.status());
    return;
  }
  ring.id = RingIdOf(*header);
  ring.segment_directory = std::string(SegmentDirectory(*header));
  const bool names_output =
      !ring.segment_directory.empty() &&
      ring.segment_directory == SegmentDirectoryField(output);
  if (names_output) ring.segment_directory = output;
  if (!ring.rebuilt_header) {
    if (!IsKnown(ring, *header) || IsCopy(ring)) return;
    ring_paths_.insert(input.path);
  }
  files_.AddNearby(Dirname(input.path));
  if (names_output || (absl::StartsWith(ring.segment_directory, "/") &&
                       input.owner == geteuid() && IsPrivate(input.path) &&
                       IsPrivate(ring.segment_directory))) {
    files_.AddNearby(ring.segment_directory);
  }
  rings.push_back(std::move(ring));
}

// Completes the headers of rebuilt rings: the id comes from the metadata of
// their segments; program, host and process come from file names.
void RecoverSources::IdentifyRebuiltRings() {
  std::vector<FoundRing> found = std::move(rings);
  rings.clear();
  for (FoundRing& ring : found) {
    if (ring.rebuilt_header) {
      ring.id = IdOfRebuiltRing(ring.id, ring.input, files_.segments);
      ParsedFileName name = ring.input.name;
      for (const FoundSegment& segment : files_.segments) {
        if (IsTrusted(segment.input.owner, ring.input.owner) &&
            BelongsTo(segment, ring.id)) {
          name = segment.input.name;
        }
      }
      SetIdentity(ring.id, name, &*ring.rebuilt_header);
      report_->Damage(ring.input.path,
                      "the header and its copy are damaged; its slots show its "
                      "content");
      if (!IsKnown(ring, *ring.rebuilt_header) || IsCopy(ring)) continue;
      ring_paths_.insert(ring.input.path);
    }
    rings.push_back(std::move(ring));
  }
}

// Returns false, and reports the ring, if there are too many with its id.
bool RecoverSources::IsKnown(const FoundRing& ring, const RingHeader& header) {
  const absl::Status added = files_.AddRing(
      ring.input, header, /*is_rebuilt=*/ring.rebuilt_header.has_value());
  if (!added.ok()) report_->Unusable(ring.input.path, added);
  return added.ok();
}

// Returns true, and reports the ring, if it is a copy of another one.
bool RecoverSources::IsCopy(const FoundRing& ring) {
  const std::optional<std::string> original =
      files_.rings.OriginalOf(ring.input.path, ring_paths_);
  if (!original.has_value()) return false;
  report_->Unusable(ring.input.path, absl::InvalidArgumentError(absl::StrCat(
                                         "another copy of the ring ", *original,
                                         "; give one of them")));
  return true;
}

std::vector<FoundSegment> RecoverSources::TakeSegments(const FoundRing& ring) {
  if (!by_ring_.has_value()) {
    by_ring_ = files_.TakeSegments(ring_paths_, /*notes_copies=*/true);
  }
  return std::exchange((*by_ring_)[ring.input.path], {});
}

void RecoverSources::PutBack(const FoundRing& ring,
                             std::vector<FoundSegment> segments) {
  (*by_ring_)[ring.input.path] = std::move(segments);
}

void RecoverSources::Refresh() {
  if (by_ring_.has_value()) files_.PutBack(&*by_ring_);
  by_ring_.reset();
  files_.Refresh();
}

void RecoverSources::RemoveCopies(std::vector<FoundSegment>* segments) {
  std::vector<FoundSegment> kept;
  kept.reserve(segments->size());  // a lack of memory loses no segment
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
  if (!without_ring_.has_value()) FinishSearch();
  if (without_ring_->empty()) return {};
  RemoveCopies(&without_ring_->back());
  std::vector<FoundSegment> segments = std::move(without_ring_->back());
  without_ring_->pop_back();
  return segments;
}

// Searches for the rest of the segments without a ring. Drops the segments that
// cannot be copied, and those of processes that have started since.
void RecoverSources::FinishSearch() {
  Refresh();
  files_.RefreshKnown();
  InputFile ring;
  std::set<std::string> new_rings;
  while (files_.NextRing(&ring)) new_rings.insert(ring.path);
  files_.TakeSegments(new_rings);
  std::vector<FoundSegment>& segments = files_.segments;
  for (const FoundSegment& segment : segments) {
    if (!segment.has_metadata) ReportUnknown(segment);
  }
  segments.erase(std::remove_if(segments.begin(), segments.end(),
                                [](const FoundSegment& segment) {
                                  return segment.input.is_nearby ||
                                         !segment.has_metadata;
                                }),
                 segments.end());
  without_ring_ = TakeSegmentsByProcess(&segments);
  std::reverse(without_ring_->begin(), without_ring_->end());
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
