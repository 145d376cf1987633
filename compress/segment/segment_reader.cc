#include "ringlog/compress/segment/segment_reader.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/identify_segment.h"
#include "ringlog/compress/segment/zstd_frame.h"

namespace ringlog {
namespace {

constexpr size_t kMagicBytes = sizeof(uint32_t);

// Maximum size of SegmentReader::known_frames_. Segments have fewer frames.
constexpr size_t kMaxKnownFrames = 100000;

// Returns the four bytes at `offset`, or nullopt if they cannot be read.
std::optional<uint32_t> Load32(const SegmentFile& file, uint64_t offset) {
  uint32_t value;
  if (!file.ReadIntegers(offset, &value)) return std::nullopt;
  return value;
}

// Returns true if the header of the zstd frame announces a content checksum.
bool HasChecksum(const SegmentFile& file, uint64_t frame_begin) {
  char descriptor;
  return file.ReadIntegers(frame_begin + kMagicBytes, &descriptor) &&
         (descriptor & 4) != 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SegmentReader>> SegmentReader::Open(
    const std::string& path, uint64_t limit_bytes) {
  absl::StatusOr<SegmentFile> file = SegmentFile::Open(path, O_RDONLY);
  if (!file.ok()) return file.status();
  return Open(*std::move(file), limit_bytes);
}

absl::StatusOr<std::unique_ptr<SegmentReader>> SegmentReader::Open(
    SegmentFile file, uint64_t limit_bytes) {
  if (file.opened_bytes() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(file.path(), ": empty"));
  }
  const uint64_t limit = std::min(limit_bytes, file.opened_bytes());
  std::optional<FrameMetadata> first = IdentifySegment(file, limit);
  if (!first.has_value() && !IsFrameBoundary(file, 0, limit)) {
    if (!file.read_status().ok()) return file.read_status();
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": not a zstd file, as segments are"));
  }
  std::unique_ptr<SegmentReader> reader(
      new SegmentReader(std::move(file), limit));
  if (first.has_value()) {
    reader->format_ = first->identity.format;
    reader->search_.SetSegment(first->identity.ring_id, first->identity.number);
  }
  reader->first_metadata_ = std::move(first);
  return reader;
}

SegmentReader::SegmentReader(SegmentFile file, uint64_t limit)
    : file_(std::move(file)),
      limit_(limit),
      decoder_(&file_, limit),
      search_(&file_, limit) {}

SegmentReader::~SegmentReader() = default;

SegmentReader::Result SegmentReader::Next(absl::string_view* lines) {
  return NextLines(/*all=*/false, lines);
}

SegmentReader::Result SegmentReader::NextRecords(absl::string_view* lines) {
  return NextLines(/*all=*/true, lines);
}

SegmentReader::Result SegmentReader::NextLines(bool all,
                                               absl::string_view* lines) {
  *lines = {};
  while (true) {
    const absl::string_view rest = absl::string_view(text_).substr(text_begin_);
    size_t bytes = rest.size();
    if (!all && !rest.empty()) {
      bytes = FirstRecordBytes(format(), rest, /*at_end=*/!in_frame_);
    } else if (in_frame_) {
      bytes = CompleteRecordsBytes(format(), rest);
    }
    if (bytes == 0 && rest.size() >= kMaxWholeBytes) bytes = rest.size();
    if (bytes != 0) {
      text_begin_ += bytes;
      *lines = rest.substr(0, bytes);
      return Result::kRecord;
    }
    if (in_frame_) {
      ContinueFrame();
    } else if (std::optional<Result> result = Advance()) {
      return *result;
    }
  }
}

// Begins the next zstd frame, takes a skippable frame, or skips damage.
std::optional<SegmentReader::Result> SegmentReader::Advance() {
  if (offset_ >= limit_) return Result::kEnd;
  if (limit_ - offset_ < kMagicBytes) {
    TruncateAt(offset_);
    return std::nullopt;
  }
  const uint64_t previous_begin = std::exchange(frame_begin_, offset_);
  const bool lacked_checksum = std::exchange(lacks_checksum_, false);
  in_zstd_frame_ = false;
  const std::optional<uint32_t> magic = Load32(file_, offset_);
  if (magic.has_value() && IsSkippableMagic(*magic)) {
    return ReadSkippable(*magic);
  }
  if (magic == kZstdFrameMagic) {
    BeginFrame();
  } else {
    FailFrame("no frame begins here");
    // The frame before may have lost the flag that announces its checksum.
    if (lacked_checksum) skipped_.MarkUnverified(previous_begin, frame_begin_);
  }
  return std::nullopt;
}

void SegmentReader::BeginFrame() {
  text_.clear();
  text_begin_ = 0;
  has_early_records_ = false;
  in_zstd_frame_ = true;
  decoder_.Begin(frame_begin_);
  ContinueFrame();
}

void SegmentReader::ContinueFrame() {
  text_.erase(0, text_begin_);
  text_begin_ = 0;
  const FrameDecoder::Result result = decoder_.Decode(kMaxWholeBytes, &text_);
  if (!format_.has_value() && !text_.empty()) {
    format_ = text_[0] == '{' ? LineFormat::kJson : LineFormat::kText;
  }
  in_frame_ = result == FrameDecoder::Result::kMore;
  switch (result) {
    case FrameDecoder::Result::kMore:
      has_early_records_ = true;
      break;
    case FrameDecoder::Result::kEnd:
      EndFrame();
      break;
    case FrameDecoder::Result::kTruncated:
      if (!EndFrameAtZeros()) EndTruncatedFrame();
      break;
    case FrameDecoder::Result::kDamaged:
      if (!EndFrameAtZeros()) FailFrame(decoder_.error());
      break;
  }
}

void SegmentReader::EndFrame() {
  offset_ = decoder_.offset();
  uint64_t end;
  const absl::StatusOr<FrameMetadata> metadata =
      ReadMetadataFrame(file_, offset_, limit_, &end);
  const bool is_its =
      metadata.ok() && metadata->compressed_bytes == offset_ - frame_begin_;
  const bool is_ours = is_its || first_metadata_.has_value();
  lacks_metadata_ = is_ours;
  lacks_checksum_ = !HasChecksum(file_, frame_begin_);
  if (has_early_records_) return;
  // zstd has checked the checksum, where there is one.
  if (is_ours && lacks_checksum_) {
    FailFrame("the frame has no checksum");
  } else if (is_its && (metadata->summary.text_bytes != text_.size() ||
                        metadata->text_checksum !=
                            Load32(file_, offset_ - kZstdChecksumBytes))) {
    FailFrame("the frame does not match its metadata frame");
  } else if (is_its && !IsNew(*metadata)) {
    FailFrame("the frame was written before");
  }
}

bool SegmentReader::IsNew(const FrameMetadata& metadata) {
  const std::pair id(metadata.summary.first_position, metadata.text_checksum);
  return known_frames_.size() < kMaxKnownFrames
             ? known_frames_.insert(id).second
             : known_frames_.count(id) == 0;
}

// Returns true if the metadata frame at `offset` describes the frame at
// frame_begin_.
bool SegmentReader::IsEndOfFrame(uint64_t offset) const {
  uint64_t end = 0;
  const absl::StatusOr<FrameMetadata> metadata =
      ReadMetadataFrame(file_, offset, limit_, &end);
  return metadata.ok() && metadata->compressed_bytes == offset - frame_begin_;
}

// Ends a frame that the limit truncates, and delivers its complete blocks. A
// damaged header may also lead to the limit or over it. Then a metadata frame
// follows that no truncated file has: if the blocks lead exactly to the limit,
// the metadata frame of this frame; otherwise any of the segment.
void SegmentReader::EndTruncatedFrame() {
  const absl::StatusOr<FrameExtent> extent =
      ParseFrameExtent(file_, frame_begin_, limit_);
  const bool leads_to_limit = extent.ok() && extent->end == limit_;
  const std::optional<uint64_t> metadata =
      search_.FindMetadata(frame_begin_ + kMagicBytes);
  if (metadata.has_value() && (!leads_to_limit || IsEndOfFrame(*metadata))) {
    FailFrame("the frame does not end where its headers lead to");
    return;
  }
  // zstd returns the bytes of a raw block as they come. A truncated raw block
  // may end between two lines of one record, and the record would look
  // complete.
  if (extent.ok()) {
    text_.resize(text_.size() -
                 std::min<size_t>(text_.size(), extent->truncated_raw_bytes));
  }
  text_.resize(text_.rfind('\n') + 1);  // npos + 1 is 0
  TruncateAt(extent.ok() && !text_.empty() ? extent->end : frame_begin_);
  if (has_early_records_ || !text_.empty()) {
    skipped_.MarkUnverified(frame_begin_,
                            extent.ok() ? extent->end : decoder_.offset());
  }
}

// Returns the offset of the zeros at the end of the file; the limit if there
// are none.
uint64_t SegmentReader::ZerosAtEnd() {
  if (zeros_at_end_.has_value()) return *zeros_at_end_;
  uint64_t begin = limit_;
  std::string bytes(64 << 10, '\0');
  while ((begin = file_.FindLastDataEnd(begin)) > 0) {
    const uint64_t from = begin - std::min<uint64_t>(begin, bytes.size());
    const uint64_t data = file_.FindData(from, begin).begin;
    const auto n = static_cast<size_t>(begin - data);
    const absl::StatusOr<size_t> got = file_.ReadAt(data, bytes.data(), n);
    if (!got.ok() || *got != n) break;
    const size_t last =
        absl::string_view(bytes.data(), n).find_last_not_of('\0');
    begin = data + last + 1;  // npos + 1 is 0
    if (last != absl::string_view::npos) break;
  }
  zeros_at_end_ = begin;
  return begin;
}

// Ends a frame that continues with the zeros at the end of the file. zstd takes
// the zeros for empty blocks or for the content of a block. Returns false if
// the frame does not continue with them.
bool SegmentReader::EndFrameAtZeros() {
  const uint64_t zeros = ZerosAtEnd();
  if (has_early_records_ || zeros == limit_ || zeros <= frame_begin_ ||
      search_.FindMetadata(frame_begin_ + kMagicBytes)) {
    return false;
  }
  // A block may itself end with one zero, its number of sequences. The text of
  // a block ends with a line break.
  for (const uint64_t limit : {zeros + 1, zeros}) {
    uint64_t blocks = 0;
    const absl::StatusOr<FrameExtent> extent =
        ParseFrameExtent(file_, frame_begin_, limit, &blocks);
    search_.ChargeBlocks(blocks);
    if (!extent.ok() || extent->is_complete) continue;
    text_.clear();
    FrameDecoder decoder(&file_, extent->end);
    if (permits_large_windows_) decoder.PermitLargeWindows();
    decoder.Begin(frame_begin_);
    if (decoder.Decode(kMaxWholeBytes, &text_) !=
            FrameDecoder::Result::kTruncated ||
        (limit > zeros && !absl::EndsWith(text_, "\n"))) {
      continue;
    }
    text_.resize(text_.rfind('\n') + 1);  // npos + 1 is 0
    TruncateAt(text_.empty() ? frame_begin_ : extent->end);
    if (!text_.empty()) skipped_.MarkUnverified(frame_begin_, extent->end);
    return true;
  }
  return false;
}

void SegmentReader::TruncateAt(uint64_t offset) {
  skipped_.AddTruncation(offset, limit_);
  offset_ = limit_;
}

void SegmentReader::FailFrame(absl::string_view why, uint64_t next) {
  const uint64_t decoded_end = decoder_.offset();
  const bool has_unverified = in_zstd_frame_ && has_early_records_;
  if (in_zstd_frame_) search_.Charge(decoded_end - frame_begin_);
  text_.clear();
  text_begin_ = 0;
  in_frame_ = false;
  in_zstd_frame_ = false;
  lacks_metadata_ = false;
  // The next frame may begin at the very next byte.
  offset_ =
      search_.FindFrame(frame_begin_ + 1).value_or(std::min(next, limit_));
  skipped_.AddDamage(frame_begin_, offset_, why);
  if (has_unverified) skipped_.MarkUnverified(frame_begin_, decoded_end);
}

std::optional<SegmentReader::Result> SegmentReader::ReadSkippable(
    uint32_t magic) {
  uint64_t end = 0;
  if (magic == kMetadataFrameMagic) {
    const absl::StatusOr<FrameMetadata> metadata =
        ReadMetadataFrame(file_, offset_, limit_, &end);
    if (metadata.ok()) return TakeMetadata(*metadata, end);
    if (!absl::IsNotFound(metadata.status())) {
      FailFrame(metadata.status().message(), EndOfDamagedMetadata());
      return std::nullopt;
    }
  }
  SkipSkippable(magic);
  return std::nullopt;
}

void SegmentReader::SkipSkippable(uint32_t magic) {
  const std::optional<uint32_t> bytes =
      limit_ - offset_ < kSkippableHeaderBytes
          ? std::nullopt
          : Load32(file_, offset_ + kMagicBytes);
  const uint64_t end = offset_ + kSkippableHeaderBytes + bytes.value_or(0);
  const std::optional<uint64_t> next =
      first_metadata_.has_value() || end > limit_
          ? search_.FindFrame(offset_ + kMagicBytes)
          : std::nullopt;
  // A damaged length may lead to another frame's end.
  const bool has_swallowed =
      first_metadata_.has_value() && next.value_or(limit_) < end;
  if (bytes.has_value() && !has_swallowed &&
      IsFrameBoundary(file_, end, limit_)) {
    offset_ = end;
    is_closed_ |= magic == kSeekTableFrameMagic;
    if (lacks_metadata_) {
      skipped_.AddDamage(frame_begin_, offset_,
                         "the frame has no metadata frame");
    }
    lacks_metadata_ = false;
  } else if (end > limit_ && !next.has_value()) {
    TruncateAt(offset_);
  } else {
    FailFrame("no frame follows this skippable frame");
  }
}

// Returns the end of the damaged metadata frame at offset_, if its length is
// one of a metadata frame and a zstd frame follows; otherwise the limit. No
// metadata frame leads to an open frame, but the open frame begins there.
uint64_t SegmentReader::EndOfDamagedMetadata() const {
  const std::optional<uint32_t> bytes = Load32(file_, offset_ + kMagicBytes);
  if (!bytes.has_value() || !IsMetadataPayloadLength(*bytes)) return limit_;
  const uint64_t end = offset_ + kSkippableHeaderBytes + *bytes;
  const bool is_frame =
      end + kMagicBytes <= limit_ && Load32(file_, end) == kZstdFrameMagic;
  return is_frame ? end : limit_;
}

std::optional<SegmentReader::Result> SegmentReader::TakeMetadata(
    const FrameMetadata& metadata, uint64_t end) {
  const uint64_t begin = std::exchange(offset_, end);
  const bool is_after_damage = !skipped().empty() &&
                               !skipped().back().is_truncated &&
                               skipped().back().end == begin;
  if (!is_after_damage && !lacks_metadata_) {
    skipped_.AddDamage(begin, offset_,
                       "the metadata frame has no frame before it");
    return std::nullopt;
  }
  if (is_after_damage &&
      skipped().back().begin + metadata.compressed_bytes == begin) {
    skipped_.SetPositions(metadata.summary.first_position,
                          metadata.summary.end_position);
  }
  metadata_ = metadata;
  lacks_metadata_ = false;
  return Result::kMetadata;
}

}  // namespace ringlog
