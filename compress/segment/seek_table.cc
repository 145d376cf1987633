#include "ringlog/compress/segment/seek_table.h"

#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "ringlog/compress/segment/frame_search.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/zstd_frame.h"

namespace ringlog {
namespace {

// Bytes of count, descriptor and magic.
constexpr size_t kFooterBytes = 9;

// The seek table at the end of a file.
class SeekTable {
 public:
  explicit SeekTable(const SegmentFile& file) : file_(file) {}

  // Finds the table. Returns false if the file does not end with one. The other
  // methods require that it returned true.
  bool Find() {
    const uint64_t bytes = file_.opened_bytes();
    if (bytes < kSkippableHeaderBytes + kFooterBytes) return false;
    unsigned char footer[kFooterBytes];
    if (!file_.ReadIntegers(bytes - kFooterBytes, &footer)) return false;
    uint32_t magic;
    std::memcpy(&count_, footer, sizeof count_);
    std::memcpy(&magic, footer + 5, sizeof magic);
    const uint64_t payload = count_ * sizeof(SeekEntry) + kFooterBytes;
    // A descriptor other than 0 announces entries of another layout.
    if (magic != kSeekTableFooterMagic || footer[4] != 0 ||
        payload > bytes - kSkippableHeaderBytes) {
      return false;
    }
    begin_ = bytes - payload - kSkippableHeaderBytes;
    uint32_t header[2];
    return file_.ReadIntegers(begin_, &header) &&
           header[0] == kSeekTableFrameMagic && header[1] == payload;
  }

  uint64_t begin() const { return begin_; }
  uint64_t count() const { return count_; }

  // Returns the next entry. Returns nullopt after the last one, or if pread(2)
  // fails.
  std::optional<SeekEntry> Next() {
    if (next_ == read_.size()) {
      constexpr uint64_t kEntriesAtOnce = 512;
      read_.resize(static_cast<size_t>(
          std::min<uint64_t>(kEntriesAtOnce, count_ - taken_)));
      next_ = 0;
      const size_t bytes = read_.size() * sizeof(SeekEntry);
      const absl::StatusOr<size_t> got = file_.ReadAt(
          begin_ + kSkippableHeaderBytes + taken_ * sizeof(SeekEntry),
          reinterpret_cast<char*>(read_.data()), bytes);
      if (read_.empty() || !got.ok() || *got != bytes) return std::nullopt;
    }
    ++taken_;
    return read_[next_++];
  }

 private:
  const SegmentFile& file_;
  uint64_t begin_ = 0;
  uint32_t count_ = 0;
  uint64_t taken_ = 0;
  std::vector<SeekEntry> read_;
  size_t next_ = 0;
};

// The sizes of a frame, by its headers and its metadata frame.
struct ActualFrame {
  uint64_t compressed_bytes = 0;
  std::optional<uint64_t> text_bytes;
};

// Returns the frame at `offset`, or nullopt if it is damaged or truncated by
// `limit`.
std::optional<ActualFrame> FrameAt(const SegmentFile& file, uint64_t offset,
                                   uint64_t limit) {
  ActualFrame frame;
  uint32_t header[2];
  if (limit - offset < sizeof header || !file.ReadIntegers(offset, &header)) {
    return std::nullopt;
  }
  if (IsSkippableMagic(header[0])) {
    frame.compressed_bytes = kSkippableHeaderBytes + header[1];
    frame.text_bytes = 0;
    if (frame.compressed_bytes > limit - offset) return std::nullopt;
    return frame;
  }
  const absl::StatusOr<FrameExtent> extent =
      ParseFrameExtent(file, offset, limit);
  if (!extent.ok() || !extent->is_complete) return std::nullopt;
  frame.compressed_bytes = extent->end - offset;
  uint64_t end = 0;
  const absl::StatusOr<FrameMetadata> metadata =
      ReadMetadataFrame(file, extent->end, limit, &end);
  if (metadata.ok()) frame.text_bytes = metadata->summary.text_bytes;
  return frame;
}

}  // namespace

absl::Status CheckSeekTable(const std::string& path) {
  const absl::StatusOr<SegmentFile> file = SegmentFile::Open(path, O_RDONLY);
  if (!file.ok()) return file.status();
  SeekTable table(*file);
  if (!table.Find()) return absl::NotFoundError("no seek table at its end");
  uint64_t at = 0;
  for (uint64_t i = 0; at < table.begin(); ++i) {
    const std::optional<ActualFrame> frame = FrameAt(*file, at, table.begin());
    if (!frame.has_value()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "the seek table could be compared up to byte ", at, " only"));
    }
    const std::optional<SeekEntry> entry = table.Next();
    if (!entry.has_value()) {
      return absl::DataLossError(
          absl::StrCat("the seek table has ", table.count(),
                       " entries, and none for byte ", at));
    }
    if (entry->compressed_bytes != frame->compressed_bytes ||
        entry->decompressed_bytes !=
            frame->text_bytes.value_or(entry->decompressed_bytes)) {
      return absl::DataLossError(absl::StrCat(
          "entry ", i, " of the seek table has ", entry->compressed_bytes,
          " bytes with ", entry->decompressed_bytes,
          " of text; the frame at byte ", at, " has ", frame->compressed_bytes,
          frame->text_bytes.has_value()
              ? absl::StrCat(" with ", *frame->text_bytes)
              : ""));
    }
    at += frame->compressed_bytes;
  }
  if (table.Next().has_value()) {
    return absl::DataLossError(absl::StrCat(
        "the seek table has ", table.count(), " entries, more than frames"));
  }
  return absl::OkStatus();
}

bool HasSeekTable(const SegmentFile& file) { return SeekTable(file).Find(); }

}  // namespace ringlog
