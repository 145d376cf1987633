#include "ringlog/compress/recovery/segment_scan.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

void AddToldDrops(const FrameMetadata& metadata, DropCounts* drops) {
  for (const Gap& gap : metadata.gaps) {
    const auto cause = static_cast<size_t>(gap.cause);
    if (cause >= drops->size()) continue;
    for (size_t severity = 0; severity < gap.records.size(); ++severity) {
      (*drops)[cause][severity] += gap.records[severity];
    }
  }
}

absl::Status Read(uint64_t from, ScannedSegment* segment) {
  absl::StatusOr<std::unique_ptr<SegmentReader>> opened =
      SegmentReader::Open(segment->path);
  if (absl::IsInvalidArgument(opened.status())) return absl::OkStatus();
  if (!opened.ok()) return opened.status();
  SegmentReader& reader = **opened;
  if (!reader.read_status().ok()) return reader.read_status();
  const FrameMetadata* const first = reader.first_metadata();
  if (first != nullptr &&
      first->identity.ring_id != segment->identity.ring_id) {
    return absl::NotFoundError(
        absl::StrCat(segment->path, ": is another ring's"));
  }
  size_t skipped = 0;
  bool is_proven = true;  // all so far
  absl::string_view lines;
  SegmentReader::Result result;
  while ((result = reader.NextRecords(&lines)) != SegmentReader::Result::kEnd) {
    if (result != SegmentReader::Result::kMetadata) {
      is_proven = false;
      continue;
    }
    const FrameMetadata& metadata = reader.metadata();
    const bool is_whole = reader.skipped().size() == skipped;
    skipped = reader.skipped().size();
    if (!is_whole || !metadata.identity.IsSameSegment(segment->identity)) {
      continue;
    }
    is_proven = true;
    segment->proven_bytes = reader.offset();
    segment->end_position = metadata.summary.end_position;
    if (metadata.summary.end_position > from) {
      AddToldDrops(metadata, &segment->drops);
    }
  }
  if (!reader.read_status().ok()) return reader.read_status();
  segment->is_closed = reader.is_closed();
  segment->is_whole =
      segment->is_closed && is_proven && reader.skipped().size() == skipped;
  segment->identity.is_recovered =
      first != nullptr && first->identity.is_recovered;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ScannedSegment> SurveySegment(const RingHeader& header,
                                             const std::string& path,
                                             uint64_t number, uint64_t from) {
  ScannedSegment segment;
  segment.path = path;
  segment.identity.ring_id = RingIdOf(header);
  segment.identity.number = number;
  if (absl::Status s = Read(from, &segment); !s.ok()) return s;
  return segment;
}

absl::StatusOr<std::vector<ScannedSegment>> ScanSegments(
    const RingHeader& header, const std::string& directory,
    uint64_t first_number, uint64_t from) {
  const ParsedFileName ring = ParseFileName(RingFileName(header));
  std::vector<ScannedSegment> segments;
  absl::Status listed;
  for (const std::string& name : ListDirectory(directory, &listed)) {
    const ParsedFileName parsed = ParseFileName(name);
    if (parsed.kind != FileKind::kSegment ||
        parsed.ring_id_prefix != ring.ring_id_prefix ||
        parsed.process_id != ring.process_id ||
        parsed.segment_number < first_number) {
      continue;
    }
    const std::string path = absl::StrCat(directory, "/", name);
    struct stat st;
    if (lstat(path.c_str(), &st) == 0 && !S_ISREG(st.st_mode)) continue;
    absl::StatusOr<ScannedSegment> segment =
        SurveySegment(header, path, parsed.segment_number, from);
    if (absl::IsNotFound(segment.status())) continue;
    if (!segment.ok()) return segment.status();
    segment->open_time_ns = parsed.time_ns;
    segment->identity.format = parsed.format;
    segments.push_back(*std::move(segment));
  }
  if (!listed.ok()) return listed;
  std::stable_sort(segments.begin(), segments.end(),
                   [](const ScannedSegment& a, const ScannedSegment& b) {
                     return a.identity.number < b.identity.number;
                   });
  return segments;
}

}  // namespace ringlog
