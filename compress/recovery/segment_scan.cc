#include "ringlog/compress/recovery/segment_scan.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/recovery/own_segment.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/ring/gap.h"

namespace ringlog {
namespace {

// Adds the drops that the gaps in `metadata` report.
void AddReportedDrops(const FrameMetadata& metadata, DropCounts* drops) {
  for (const Gap& gap : metadata.gaps) {
    const auto cause = static_cast<size_t>(gap.cause);
    if (cause >= drops->size()) continue;
    for (size_t severity = 0; severity < gap.records.size(); ++severity) {
      (*drops)[cause][severity] += gap.records[severity];
    }
  }
}

// Reads all frames of `reader`. Sets the members of `facts` that depend on
// them.
absl::Status ScanFrames(const RingId& ring_id, uint64_t from,
                        SegmentReader* reader, SegmentFacts* facts) {
  size_t skipped = 0;
  bool is_proven = true;  // all frames so far
  absl::string_view lines;
  SegmentReader::Result result;
  while ((result = reader->NextRecords(&lines)) !=
         SegmentReader::Result::kEnd) {
    if (result != SegmentReader::Result::kMetadata) {
      is_proven = false;
      continue;
    }
    const FrameMetadata& metadata = reader->metadata();
    const bool is_intact = reader->skipped().size() == skipped;
    skipped = reader->skipped().size();
    if (!is_intact || metadata.identity.number != facts->number ||
        metadata.identity.ring_id != ring_id) {
      continue;
    }
    is_proven = true;
    facts->proven_bytes = reader->offset();
    facts->end_position = metadata.summary.end_position;
    if (metadata.summary.end_position > from) {
      AddReportedDrops(metadata, &facts->drops);
    }
  }
  if (!reader->read_status().ok()) return reader->read_status();
  facts->is_closed = reader->is_closed();
  facts->is_complete =
      facts->is_closed && is_proven && reader->skipped().size() == skipped;
  return absl::OkStatus();
}

}  // namespace

bool IsNamedForRing(const ParsedFileName& name, const ParsedFileName& ring) {
  return name.kind == FileKind::kSegment &&
         name.ring_id_prefix == ring.ring_id_prefix &&
         name.process_id == ring.process_id;
}

absl::StatusOr<std::vector<std::string>> ListSegments(
    const RingHeader& header, uint64_t first_number, Directory* directory,
    std::vector<uint64_t>* foreign_numbers) {
  const ParsedFileName ring = ParseFileName(RingFileName(header));
  // The directory may have any number of other files.
  return directory->List([&](const std::string& name) {
    const ParsedFileName parsed = ParseFileName(name);
    if (!IsNamedForRing(parsed, ring) || parsed.segment_number < first_number) {
      return false;
    }
    const absl::StatusOr<uid_t> owner = directory->OwnOwner();
    const absl::StatusOr<struct stat> st = directory->Stat(name);
    // Otherwise OpenOwnSegment() returns the error.
    if (!owner.ok() || !st.ok() || st->st_uid == *owner) return true;
    if (foreign_numbers != nullptr) {
      foreign_numbers->push_back(parsed.segment_number);
    }
    return false;
  });
}

absl::StatusOr<SegmentFacts> ScanSegment(const RingHeader& header,
                                         SegmentFile file, uint64_t number,
                                         uint64_t from) {
  SegmentFacts facts;
  facts.number = number;
  facts.bytes = file.opened_bytes();
  absl::StatusOr<std::unique_ptr<SegmentReader>> reader =
      SegmentReader::Open(std::move(file));
  if (absl::IsInvalidArgument(reader.status())) return facts;
  if (!reader.ok()) return reader.status();
  if (!(*reader)->read_status().ok()) return (*reader)->read_status();
  const RingId ring_id = RingIdOf(header);
  if (const FrameMetadata* first = (*reader)->first_metadata()) {
    if (first->identity.ring_id != ring_id) {
      facts.standing = SegmentFacts::Standing::kForeign;
      return facts;
    }
    facts.has_metadata = true;
    facts.is_recovered = first->identity.is_recovered;
  }
  if (absl::Status s = ScanFrames(ring_id, from, reader->get(), &facts);
      !s.ok()) {
    return s;
  }
  return facts;
}

absl::StatusOr<SegmentScan> ScanSegments(const RingHeader& header,
                                         Directory* directory,
                                         mode_t permitted_mode,
                                         uint64_t first_number, uint64_t from) {
  SegmentScan scan;
  const absl::StatusOr<std::vector<std::string>> names =
      ListSegments(header, first_number, directory, &scan.foreign_numbers);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const ParsedFileName parsed = ParseFileName(name);
    ScannedSegment segment;
    segment.name = name;
    segment.open_time_ns = parsed.time_ns;
    segment.name_salt = parsed.salt;
    segment.format = parsed.format;
    absl::StatusOr<SegmentFile> file =
        OpenOwnSegment(directory, name, {RingIdOf(header), permitted_mode},
                       SegmentAccess::kRead);
    if (absl::IsNotFound(file.status())) continue;
    if (absl::IsPermissionDenied(file.status())) {
      scan.foreign_numbers.push_back(parsed.segment_number);
      continue;
    }
    if (!file.ok()) return file.status();
    absl::StatusOr<SegmentFacts> facts =
        ScanSegment(header, *std::move(file), parsed.segment_number, from);
    if (!facts.ok()) return facts.status();
    if (facts->standing == SegmentFacts::Standing::kForeign) {
      scan.foreign_numbers.push_back(parsed.segment_number);
      continue;
    }
    segment.facts = *std::move(facts);
    scan.segments.push_back(std::move(segment));
  }
  std::sort(scan.foreign_numbers.begin(), scan.foreign_numbers.end());
  std::stable_sort(scan.segments.begin(), scan.segments.end(),
                   [](const ScannedSegment& a, const ScannedSegment& b) {
                     return a.facts.number < b.facts.number;
                   });
  return scan;
}

}  // namespace ringlog
