#include "ringlog/tools/command/recover_ring.h"

#include <errno.h>
#include <fcntl.h>

#include <cstddef>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/recovery/leftover_segments.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_repair.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/tools/decode/segment_facts.h"

namespace ringlog {
namespace {

// Calls `visit` with the first and the last number of each range of segments
// that are missing up to number `last`. Segments before the first one were
// removed on purpose, by retention.
template <typename Visit>
void ForMissingRanges(const std::vector<FoundSegment>& segments, uint64_t last,
                      Visit visit) {
  uint64_t next = segments.empty() ? 1 : segments.front().identity.number;
  for (const FoundSegment& segment : segments) {
    if (segment.is_foreign) continue;
    const uint64_t number = segment.identity.number;
    if (next < number) visit(next, number - 1);
    next = number + 1;
  }
  if (next <= last) visit(next, last);
}

void ReportMissingSegments(const std::string& ring_path,
                           const RingHeader& header,
                           const SegmentCursor& cursor,
                           const std::vector<FoundSegment>& segments,
                           Report* report) {
  const uint64_t last = cursor.last_started_segment();
  if (last == 0) return;
  // The header has a hash of a long path.
  absl::string_view directory = SegmentDirectory(header);
  if (!absl::StartsWith(directory, "/")) directory = "";
  ForMissingRanges(segments, last, [&](uint64_t begin, uint64_t end) {
    report->Damage(
        ring_path,
        absl::StrCat("its segments ", begin, " to ", end,
                     " are not here; give their directory",
                     directory.empty() ? "" : ", which may be ", directory));
  });
  if (segments.empty() ||
      segments.back().identity.number != cursor.segment_number) {
    return;
  }
  const std::string& path = segments.back().input.path;
  const uint64_t bytes = FileBytes(path);
  if (bytes >= cursor.segment_bytes) return;
  report->Damage(path, absl::StrCat("[", bytes, "..", cursor.segment_bytes,
                                    "): truncated; the ring's cursor covers "
                                    "these bytes"));
}

}  // namespace

mode_t SegmentModeOf(const RingHeader& header) {
  const mode_t mode = header.segment_mode & ACCESSPERMS;
  return mode == 0 ? kUnknownSegmentMode : mode;
}

absl::Status CopyFoundSegment(const InputFile& input, uint64_t limit_bytes,
                              mode_t mode, const std::string& to) {
  const ForkClosedFile file =
      ForkClosedFile::Open(input.path, O_RDONLY | O_NONBLOCK);
  struct stat st;
  if (file.fd() < 0 || fstat(file.fd(), &st) != 0) {
    return FileStatus(errno, absl::StrCat("open ", input.path));
  }
  if (absl::Status s = CheckOwner(input.owner, st.st_uid); !s.ok()) return s;
  const std::string opened = DescriptorPath(file.fd());
  const absl::Status copied = CopySegment(opened, limit_bytes, mode, to);
  return absl::Status(
      copied.code(),
      absl::StrReplaceAll(copied.message(), {{opened, input.path}}));
}

bool MayLackSegments(const RingFacts& ring,
                     const std::vector<FoundSegment>& segments) {
  bool may_lack = ring.cursor_state == CursorState::kDamaged ||
                  ring.cursor_state == CursorState::kUnreadable;
  ForMissingRanges(segments, ring.cursor.last_started_segment(),
                   [&may_lack](uint64_t, uint64_t) { may_lack = true; });
  for (const FoundSegment& segment : segments) {
    may_lack |=
        !segment.is_foreign && (!segment.status.ok() || !segment.has_metadata);
  }
  return may_lack;
}

DecidedRing DecideRing(const LeftoverRing& ring,
                       std::vector<FoundSegment>* segments) {
  DecidedRing decided;
  decided.header = ring.ring->summary().header;
  decided.file_bytes = ring.source->size();
  decided.facts = RingFactsOf(ring.ring->summary());
  decided.point = DecideResumePoint(
      decided.facts,
      ReadSegmentFacts(decided.header, decided.facts, *segments));
  std::vector<FoundSegment> counted;
  for (size_t i = 0; i < segments->size(); ++i) {
    if (decided.point.segments[i].bytes != 0 ||
        (*segments)[i].identity.number <= decided.point.last_segment) {
      counted.push_back(std::move((*segments)[i]));
    }
  }
  *segments = std::move(counted);
  return decided;
}

void ReportMissing(const std::string& ring_path, const DecidedRing& ring,
                   const std::vector<FoundSegment>& segments, Report* report) {
  const bool is_truncated = ring.file_bytes < ring.header.file_bytes;
  if (!ring.point.cursor_is_damaged) {
    ReportMissingSegments(ring_path, ring.header, ring.facts.cursor, segments,
                          report);
  } else if (!is_truncated) {
    report->Damage(ring_path,
                   "the persist cursor is damaged; the segments decide which "
                   "records are only in the ring");
  }
  if (!is_truncated) return;
  report->Damage(ring_path,
                 absl::StrCat("[", ring.file_bytes, "..",
                              ring.header.file_bytes, "): truncated"));
}

}  // namespace ringlog
