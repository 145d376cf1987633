#include "ringlog/compress/segment/segment_index.h"

#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/ring/gap.h"

namespace ringlog {
namespace {

using Frame = SegmentIndex::Frame;

// Returns true if the frame at `offset` is damaged, even if it gave records
// before its damage was found.
bool IsSkipped(const std::vector<SkippedRegion>& skipped, uint64_t offset) {
  const auto after =
      std::upper_bound(skipped.begin(), skipped.end(), offset,
                       [](uint64_t at, const SkippedRegion& region) {
                         return at < region.begin;
                       });
  if (after == skipped.begin()) return false;
  const SkippedRegion& region = *std::prev(after);
  return !region.is_truncated && offset < region.end;
}

// Adds the metadata frame that `reader` has just read. Ignores it unless its
// frame is directly before it and not skipped.
void AddMetadata(const SegmentReader& reader, SegmentIndex* index) {
  const FrameMetadata& metadata = reader.metadata();
  const FrameSummary& summary = metadata.summary;
  std::vector<Frame>& frames = index->frames;
  const uint64_t metadata_begin = reader.frame_begin();
  const uint64_t begin = metadata_begin - metadata.compressed_bytes;
  if (metadata.compressed_bytes > metadata_begin ||
      summary.text_bytes > kMaxFrameTextBytes ||
      IsSkipped(reader.skipped(), begin)) {
    return;
  }
  const bool has_records = !frames.empty() && frames.back().begin == begin;
  if (!has_records) {
    const bool is_after = frames.empty() || begin >= frames.back().end;
    if (summary.text_bytes != 0 || !is_after) return;
    frames.emplace_back().begin = begin;
  }
  Frame& frame = frames.back();
  frame.is_intact = true;
  frame.metadata_begin = metadata_begin;
  frame.end = reader.offset();
  frame.text_bytes = summary.text_bytes;
  frame.first_position = summary.first_position;
  frame.end_position = summary.end_position;
  index->records += summary.record_count();
  index->gaps += metadata.gap_count;
  index->losses += static_cast<uint64_t>(
      std::count_if(metadata.gaps.begin(), metadata.gaps.end(),
                    [](const Gap& gap) { return IsLoss(gap.cause); }));
}

// Returns true if the file consists of `frames` without gaps, followed by their
// seek table.
absl::StatusOr<bool> HasExactly(const std::string& path,
                                const std::vector<Frame>& frames) {
  std::vector<SeekEntry> entries;
  uint64_t end = 0;
  for (const Frame& frame : frames) {
    if (!frame.is_intact || frame.begin != end) return false;
    AddSeekEntries(frame, &entries);
    end = frame.end;
  }
  const std::string expected = EncodeSeekTableFrame(entries);
  const absl::StatusOr<SegmentFile> file = SegmentFile::Open(path, O_RDONLY);
  if (!file.ok()) return file.status();
  std::string found(expected.size() + 1, '\0');
  const absl::StatusOr<size_t> got =
      file->ReadAt(end, found.data(), found.size());
  if (!got.ok()) return got.status();
  return absl::string_view(found.data(), *got) == expected;
}

}  // namespace

void AddSeekEntries(const Frame& frame, std::vector<SeekEntry>* entries) {
  AddSeekEntries(frame.metadata_begin - frame.begin, frame.text_bytes,
                 frame.end - frame.metadata_begin, entries);
}

absl::StatusOr<SegmentIndex> BuildSegmentIndex(const std::string& path) {
  absl::StatusOr<std::unique_ptr<SegmentReader>> reader =
      SegmentReader::Open(path);
  if (!reader.ok()) return reader.status();
  const FrameMetadata* const first = (*reader)->first_metadata();
  if (first == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("cannot identify ", path, ": no intact metadata frame"));
  }
  SegmentIndex index;
  index.identity = first->identity;
  std::vector<Frame>& frames = index.frames;
  absl::string_view lines;
  SegmentReader::Result result;
  while ((result = (*reader)->NextRecords(&lines)) !=
         SegmentReader::Result::kEnd) {
    if (result == SegmentReader::Result::kMetadata) {
      AddMetadata(**reader, &index);
      continue;
    }
    const uint64_t begin = (*reader)->frame_begin();
    if (frames.empty() || frames.back().begin != begin) {
      frames.emplace_back().begin = begin;
    }
    frames.back().end = (*reader)->offset();
  }
  index.skipped = (*reader)->skipped();
  index.is_closed = (*reader)->is_closed();
  frames.erase(std::remove_if(frames.begin(), frames.end(),
                              [&](const Frame& frame) {
                                return !frame.is_intact &&
                                       IsSkipped(index.skipped, frame.begin);
                              }),
               frames.end());
  if (!index.is_closed || !index.skipped.empty()) return index;
  const absl::StatusOr<bool> is_exact = HasExactly(path, frames);
  if (!is_exact.ok()) return is_exact.status();
  index.is_intact = *is_exact;
  return index;
}

}  // namespace ringlog
