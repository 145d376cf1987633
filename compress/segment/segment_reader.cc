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

// More than a segment has.
constexpr size_t kMaxKnownFrames = 100000;

// The four bytes at `offset`; nothing if the file cannot be read there.
std::optional<uint32_t> Load32(const SegmentFile& file, uint64_t offset) {
  uint32_t value;
  if (!file.ReadIntegers(offset, &value)) return std::nullopt;
  return value;
}

bool HasChecksum(const SegmentFile& file, uint64_t frame_begin) {
  char descriptor;
  return file.ReadIntegers(frame_begin + kMagicBytes, &descriptor) &&
         (descriptor & 4) != 0;
}

}  // namespace

std::string ToString(const SkippedRegion& region) {
  return absl::StrCat("[", region.begin, "..", region.end, "): ", region.why);
}

absl::StatusOr<std::unique_ptr<SegmentReader>> SegmentReader::Open(
    const std::string& path, uint64_t limit_bytes) {
  absl::StatusOr<SegmentFile> file = SegmentFile::Open(path, O_RDONLY);
  if (!file.ok()) return file.status();
  if (file->opened_bytes() == 0) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": empty"));
  }
  const uint64_t limit = std::min(limit_bytes, file->opened_bytes());
  std::optional<FrameMetadata> first = IdentifySegment(*file, limit);
  if (!first.has_value() && !IsFrameBoundary(*file, 0, limit)) {
    if (!file->read_status().ok()) return file->read_status();
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": not a zstd file, as segments are"));
  }
  std::unique_ptr<SegmentReader> reader(
      new SegmentReader(*std::move(file), limit));
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

// One step: into a frame, or over what is not one.
std::optional<SegmentReader::Result> SegmentReader::Advance() {
  if (offset_ >= limit_) return Result::kEnd;
  if (limit_ - offset_ < kMagicBytes) {
    CutAt(offset_);
    return std::nullopt;
  }
  frame_begin_ = offset_;
  in_zstd_frame_ = false;
  const std::optional<uint32_t> magic = Load32(file_, offset_);
  if (magic.has_value() && IsSkippableMagic(*magic)) {
    return ReadSkippable(*magic);
  }
  if (magic == kZstdFrameMagic) {
    BeginFrame();
  } else {
    FailFrame("no frame begins here");
  }
  return std::nullopt;
}

void SegmentReader::BeginFrame() {
  text_.clear();
  text_begin_ = 0;
  is_unverified_ = false;
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
      is_unverified_ = true;
      break;
    case FrameDecoder::Result::kEnd:
      EndFrame();
      break;
    case FrameDecoder::Result::kCut:
      if (!CutFrameAtZeros()) CutFrame();
      break;
    case FrameDecoder::Result::kDamaged:
      if (!CutFrameAtZeros()) FailFrame(decoder_.error());
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
  if (is_unverified_) return;
  // zstd has checked the checksum, where there is one.
  if (is_ours && !HasChecksum(file_, frame_begin_)) {
    FailFrame("the frame has no checksum");
  } else if (is_its && (metadata->summary.text_bytes != text_.size() ||
                        metadata->text_checksum !=
                            Load32(file_, offset_ - sizeof(uint32_t)))) {
    FailFrame("the frame is not what its metadata say");
  } else if (is_its && !IsNew(*metadata)) {
    FailFrame("the frame has been there before");
  }
}

bool SegmentReader::IsNew(const FrameMetadata& metadata) {
  const std::pair id(metadata.summary.first_position, metadata.text_checksum);
  return known_frames_.size() < kMaxKnownFrames
             ? known_frames_.insert(id).second
             : known_frames_.count(id) == 0;
}

// A damaged header may look as if the frame went on to the end of the file; but
// then there is more behind it. Headers that lead to the limit are whole.
void SegmentReader::CutFrame() {
  const absl::StatusOr<FrameExtent> extent =
      ParseFrameExtent(file_, frame_begin_, limit_);
  const bool leads_to_limit = extent.ok() && extent->end == limit_;
  if (!leads_to_limit && search_.FindMetadata(frame_begin_ + kMagicBytes)) {
    FailFrame("the frame's end is not where its headers say");
    return;
  }
  // zstd gives out a raw block's bytes as they come. What is not whole may end
  // between two lines of a record, which nobody would notice.
  if (extent.ok()) {
    text_.resize(text_.size() -
                 std::min<size_t>(text_.size(), extent->cut_raw_bytes));
  }
  text_.resize(text_.rfind('\n') + 1);  // npos + 1 is 0
  CutAt(extent.ok() && !text_.empty() ? extent->end : frame_begin_);
}

// Where the zeros begin that the file ends with.
uint64_t SegmentReader::ZerosAtEnd() {
  if (zeros_at_end_.has_value()) return *zeros_at_end_;
  uint64_t begin = limit_;
  char bytes[4096];
  for (size_t n = sizeof bytes, zeros = n; begin > 0 && zeros == n;) {
    n = static_cast<size_t>(std::min<uint64_t>(sizeof bytes, begin));
    const absl::StatusOr<size_t> got = file_.ReadAt(begin - n, bytes, n);
    if (!got.ok() || *got != n) break;
    const absl::string_view rest(bytes, n);
    zeros = n - 1 - rest.find_last_not_of('\0');  // npos is -1
    begin -= zeros;
  }
  zeros_at_end_ = begin;
  return begin;
}

// zstd takes zeros for empty blocks, or for a block's content. False if it is
// not zeros that the frame goes on with.
bool SegmentReader::CutFrameAtZeros() {
  const uint64_t zeros = ZerosAtEnd();
  if (is_unverified_ || zeros == limit_ || zeros <= frame_begin_ ||
      search_.FindMetadata(frame_begin_ + kMagicBytes)) {
    return false;
  }
  // One zero, the count of its sequences, may be a block's own end. What a
  // block holds ends with a line break.
  for (const uint64_t limit : {zeros + 1, zeros}) {
    uint64_t blocks = 0;
    const absl::StatusOr<FrameExtent> extent =
        ParseFrameExtent(file_, frame_begin_, limit, &blocks);
    search_.ChargeBlocks(blocks);
    if (!extent.ok() || extent->is_complete) continue;
    text_.clear();
    FrameDecoder decoder(&file_, extent->end);
    decoder.Begin(frame_begin_);
    if (decoder.Decode(kMaxWholeBytes, &text_) != FrameDecoder::Result::kCut ||
        (limit > zeros && !absl::EndsWith(text_, "\n"))) {
      continue;
    }
    text_.resize(text_.rfind('\n') + 1);  // npos + 1 is 0
    CutAt(text_.empty() ? frame_begin_ : extent->end);
    return true;
  }
  return false;
}

void SegmentReader::CutAt(uint64_t offset) {
  skipped_.push_back({offset, limit_, "cut off", true});
  offset_ = limit_;
}

void SegmentReader::FailFrame(absl::string_view why, uint64_t next) {
  if (in_zstd_frame_) search_.Charge(decoder_.offset() - frame_begin_);
  text_.clear();
  text_begin_ = 0;
  in_frame_ = false;
  in_zstd_frame_ = false;
  lacks_metadata_ = false;
  // The next frame may begin at the very next byte.
  offset_ =
      search_.FindFrame(frame_begin_ + 1).value_or(std::min(next, limit_));
  SkipRegion(frame_begin_, why);
}

// From `begin` to offset_.
void SegmentReader::SkipRegion(uint64_t begin, absl::string_view why) {
  if (skipped_.size() < kMaxSkippedRegions) {
    skipped_.push_back({begin, offset_, std::string(why)});
    return;
  }
  SkippedRegion& last = skipped_.back();
  last = {last.begin, offset_, "damaged at many places from here on"};
}

std::optional<SegmentReader::Result> SegmentReader::ReadSkippable(
    uint32_t magic) {
  uint64_t end = 0;
  if (magic == kMetadataFrameMagic) {
    const absl::StatusOr<FrameMetadata> metadata =
        ReadMetadataFrame(file_, offset_, limit_, &end);
    if (metadata.ok()) return TakeMetadata(*metadata, end);
    if (!absl::IsNotFound(metadata.status())) {
      FailFrame(metadata.status().message(), BehindDamagedMetadata());
      return std::nullopt;
    }
  }
  PassSkippable(magic);
  return std::nullopt;
}

void SegmentReader::PassSkippable(uint32_t magic) {
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
    if (lacks_metadata_) SkipRegion(frame_begin_, "no metadata of the frame");
    lacks_metadata_ = false;
  } else if (end > limit_ && !next.has_value()) {
    CutAt(offset_);
  } else {
    FailFrame("no frame follows this skippable frame");
  }
}

// A frame that is open has no metadata to be found by; but it begins right
// behind those before it, if their length is one that metadata have.
uint64_t SegmentReader::BehindDamagedMetadata() const {
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
  const bool is_behind_damage = !skipped_.empty() && !skipped_.back().is_cut &&
                                skipped_.back().end == begin;
  if (!is_behind_damage && !lacks_metadata_) {
    SkipRegion(begin, "metadata without their frame");
    return std::nullopt;
  }
  if (is_behind_damage &&
      skipped_.back().begin + metadata.compressed_bytes == begin) {
    skipped_.back().first_position = metadata.summary.first_position;
    skipped_.back().end_position = metadata.summary.end_position;
  }
  metadata_ = metadata;
  lacks_metadata_ = false;
  return Result::kMetadata;
}

}  // namespace ringlog
