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

// The frame at `offset` gave records before its damage was found, or none.
bool IsSkipped(const std::vector<SkippedRegion>& skipped, uint64_t offset) {
  const auto behind =
      std::upper_bound(skipped.begin(), skipped.end(), offset,
                       [](uint64_t at, const SkippedRegion& region) {
                         return at < region.begin;
                       });
  if (behind == skipped.begin()) return false;
  const SkippedRegion& region = *std::prev(behind);
  return !region.is_cut && offset < region.end;
}

// `reader` stands behind metadata. They count if the frame that they are of
// was right before them.
void AddMetadata(const SegmentReader& reader, SegmentIndex* content) {
  const FrameMetadata& metadata = reader.metadata();
  const FrameSummary& summary = metadata.summary;
  std::vector<Frame>& frames = content->frames;
  const uint64_t metadata_begin = reader.frame_begin();
  const uint64_t begin = metadata_begin - metadata.compressed_bytes;
  if (metadata.compressed_bytes > metadata_begin ||
      summary.text_bytes > kMaxFrameTextBytes ||
      IsSkipped(reader.skipped(), begin)) {
    return;
  }
  const bool has_records = !frames.empty() && frames.back().begin == begin;
  if (!has_records) {
    const bool is_behind = frames.empty() || begin >= frames.back().end;
    if (summary.text_bytes != 0 || !is_behind) return;
    frames.emplace_back().begin = begin;
  }
  Frame& frame = frames.back();
  frame.is_whole = true;
  frame.metadata_begin = metadata_begin;
  frame.end = reader.offset();
  frame.text_bytes = summary.text_bytes;
  frame.first_position = summary.first_position;
  frame.end_position = summary.end_position;
  content->records += summary.record_count();
  content->gaps += metadata.gap_count;
  content->losses += static_cast<uint64_t>(
      std::count_if(metadata.gaps.begin(), metadata.gaps.end(),
                    [](const Gap& gap) { return IsLoss(gap.cause); }));
}

// Whether the file is these frames, one behind the other, and their seek table.
absl::StatusOr<bool> IsAllThereIs(const std::string& path,
                                  const std::vector<Frame>& frames) {
  std::vector<SeekEntry> entries;
  uint64_t end = 0;
  for (const Frame& frame : frames) {
    if (!frame.is_whole || frame.begin != end) return false;
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
  entries->push_back({static_cast<uint32_t>(frame.metadata_begin - frame.begin),
                      static_cast<uint32_t>(frame.text_bytes)});
  entries->push_back(
      {static_cast<uint32_t>(frame.end - frame.metadata_begin), 0});
}

absl::StatusOr<SegmentIndex> BuildSegmentIndex(const std::string& path) {
  absl::StatusOr<std::unique_ptr<SegmentReader>> reader =
      SegmentReader::Open(path);
  if (!reader.ok()) return reader.status();
  const FrameMetadata* const first = (*reader)->first_metadata();
  if (first == nullptr) {
    return absl::NotFoundError(
        absl::StrCat(path, ": nothing in it says whose segment it is"));
  }
  SegmentIndex content;
  content.identity = first->identity;
  std::vector<Frame>& frames = content.frames;
  absl::string_view lines;
  SegmentReader::Result result;
  while ((result = (*reader)->NextRecords(&lines)) !=
         SegmentReader::Result::kEnd) {
    if (result == SegmentReader::Result::kMetadata) {
      AddMetadata(**reader, &content);
      continue;
    }
    const uint64_t begin = (*reader)->frame_begin();
    if (frames.empty() || frames.back().begin != begin) {
      frames.emplace_back().begin = begin;
    }
    frames.back().end = (*reader)->offset();
  }
  content.skipped = (*reader)->skipped();
  content.is_closed = (*reader)->is_closed();
  frames.erase(std::remove_if(frames.begin(), frames.end(),
                              [&](const Frame& frame) {
                                return !frame.is_whole &&
                                       IsSkipped(content.skipped, frame.begin);
                              }),
               frames.end());
  if (!content.is_closed || !content.skipped.empty()) return content;
  const absl::StatusOr<bool> is_all = IsAllThereIs(path, frames);
  if (!is_all.ok()) return is_all.status();
  content.is_whole = *is_all;
  return content;
}

}  // namespace ringlog
