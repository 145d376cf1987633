#include "ringlog/compress/segment/segment_resume.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/identify_segment.h"
#include "ringlog/compress/segment/zstd_frame.h"
#include "zstd.h"

namespace ringlog {
namespace {

absl::Status Damaged(const SegmentFile& file, absl::string_view what) {
  return absl::DataLossError(absl::StrCat(file.path(), ": ", what));
}

absl::StatusOr<std::string> ReadRange(const SegmentFile& file, uint64_t begin,
                                      uint64_t end) {
  // What is claimed need not be there, and may be more than there is memory.
  if (end > file.opened_bytes()) return Damaged(file, "it is shorter");
  std::string bytes(static_cast<size_t>(end - begin), '\0');
  absl::StatusOr<size_t> got = file.ReadAt(begin, bytes.data(), bytes.size());
  if (!got.ok()) return got.status();
  if (*got != bytes.size()) return Damaged(file, "it has become shorter");
  return bytes;
}

// The metadata frame at `offset`; `end` gets where it ends.
absl::StatusOr<FrameMetadata> ReadMetadata(const SegmentFile& file,
                                           uint64_t offset, uint64_t limit,
                                           uint64_t* end) {
  if (limit - offset < kSkippableHeaderBytes) {
    return Damaged(file, absl::StrCat("no metadata frame at byte ", offset));
  }
  absl::StatusOr<std::string> header =
      ReadRange(file, offset, offset + kSkippableHeaderBytes);
  if (!header.ok()) return header.status();
  uint32_t magic, bytes;
  std::memcpy(&magic, header->data(), sizeof magic);
  std::memcpy(&bytes, header->data() + sizeof magic, sizeof bytes);
  const uint64_t begin = offset + kSkippableHeaderBytes;
  if (magic != kMetadataFrameMagic || bytes > kMaxMetadataPayloadBytes ||
      bytes > limit - begin) {
    return Damaged(file, absl::StrCat("no metadata frame at byte ", offset));
  }
  absl::StatusOr<std::string> payload = ReadRange(file, begin, begin + bytes);
  if (!payload.ok()) return payload.status();
  absl::StatusOr<FrameMetadata> metadata = DecodeMetadataPayload(*payload);
  if (absl::IsNotFound(metadata.status())) {
    return Damaged(file, metadata.status().message());
  }
  *end = begin + bytes;
  return metadata;
}

bool IsOf(const FrameMetadata& metadata, const SegmentIdentity& identity) {
  return metadata.identity.IsSameSegment(identity) &&
         metadata.identity.format == identity.format;
}

// The complete frames, up to cursor.frame_offset.
absl::Status WalkCompleteFrames(const SegmentFile& file,
                                const SegmentIdentity& identity, uint64_t end,
                                SegmentTail* tail) {
  for (uint64_t at = 0; at < end;) {
    absl::StatusOr<FrameExtent> extent = ParseFrameExtent(file, at, end);
    if (!extent.ok()) return extent.status();
    uint64_t metadata_end = 0;
    absl::StatusOr<FrameMetadata> metadata =
        extent->is_complete
            ? ReadMetadata(file, extent->end, end, &metadata_end)
            : Damaged(file, absl::StrCat("no whole frame at byte ", at));
    if (!metadata.ok()) return metadata.status();
    if (!IsOf(*metadata, identity)) {
      return Damaged(file, "it is another ring's, or has another number");
    }
    if (metadata->compressed_bytes != extent->end - at ||
        metadata->summary.text_bytes > kMaxFrameTextBytes) {
      return Damaged(file, absl::StrCat("the frame at byte ", at,
                                        " is not what its metadata say"));
    }
    tail->seek_entries.push_back(
        {static_cast<uint32_t>(extent->end - at),
         static_cast<uint32_t>(metadata->summary.text_bytes)});
    tail->seek_entries.push_back(
        {static_cast<uint32_t>(metadata_end - extent->end), 0});
    tail->text_bytes += metadata->summary.text_bytes;
    at = metadata_end;
  }
  return absl::OkStatus();
}

struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// The text of a frame that has no end; exactly `text_bytes` of it.
absl::StatusOr<std::string> Decompress(const SegmentFile& file,
                                       absl::string_view frame,
                                       uint64_t text_bytes) {
  const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  if (context == nullptr) return absl::InternalError("zstd has no memory");
  std::string text;
  std::string chunk(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in = {frame.data(), frame.size(), 0};
  while (true) {
    ZSTD_outBuffer out = {chunk.data(), chunk.size(), 0};
    const size_t result = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_isError(result)) {
      return Damaged(file, absl::StrCat("the open frame cannot be read: ",
                                        ZSTD_getErrorName(result)));
    }
    text.append(chunk.data(), out.pos);
    // Too long is not the cursor's frame, and may be endless.
    if (text.size() > text_bytes) break;
    if (in.pos == in.size && out.pos < out.size) break;
  }
  if (text.size() != text_bytes) {
    return Damaged(file,
                   absl::StrCat("the open frame does not have the ", text_bytes,
                                " bytes of text that the cursor says"));
  }
  return text;
}

// The low 32 bits of XXH64 of `text`, as a frame with a checksum ends with.
// zstd does not export the function, but uses it.
absl::StatusOr<std::string> ContentChecksum(absl::string_view text) {
  std::string frame(ZSTD_compressBound(text.size()), '\0');
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  if (context == nullptr) return absl::InternalError("zstd has no memory");
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, ZSTD_minCLevel());
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  const size_t bytes = ZSTD_compress2(context, frame.data(), frame.size(),
                                      text.data(), text.size());
  ZSTD_freeCCtx(context);
  if (ZSTD_isError(bytes)) {
    return absl::InternalError(
        absl::StrCat("zstd: ", ZSTD_getErrorName(bytes)));
  }
  return frame.substr(bytes - 4, 4);
}

// The gaps that the lines tell of: the cursor does not have them.
void CollectGaps(absl::string_view text, FrameMetadata* frame) {
  ParsedRecord parsed;
  while (!text.empty()) {
    const size_t bytes = FirstRecordBytes(frame->identity.format, text, true);
    if (ParseLines(frame->identity.format, text.substr(0, bytes), &parsed) &&
        parsed.is_gap) {
      ++frame->gap_count;
      if (frame->gaps.size() < kMaxFrameGaps) frame->gaps.push_back(parsed.gap);
    }
    text.remove_prefix(bytes);
  }
}

constexpr absl::string_view kEmptyLastBlock("\1\0\0", 3);

// Whether the frame that is open at the cursor has the bytes that it had.
absl::Status CheckOpenFrameOf(const SegmentFile& file,
                              const SegmentCursor& cursor) {
  // What zstd cannot compress grows by a few bytes a block. A cursor may claim
  // anything, and a file be long without having anything.
  constexpr uint64_t kMargin = 1 << 20;
  if (cursor.open_frame.text_bytes > kMaxFrameTextBytes ||
      cursor.segment_bytes - cursor.frame_offset >
          2 * cursor.open_frame.text_bytes + kMargin) {
    return Damaged(file, "the cursor speaks of no frame that can be");
  }
  constexpr uint64_t kChunkBytes = 1 << 20;
  absl::crc32c_t checksum{0};
  for (uint64_t at = cursor.frame_offset; at < cursor.segment_bytes;) {
    const uint64_t end = std::min(at + kChunkBytes, cursor.segment_bytes);
    absl::StatusOr<std::string> chunk = ReadRange(file, at, end);
    if (!chunk.ok()) return chunk.status();
    checksum = absl::ExtendCrc32c(checksum, *chunk);
    at = end;
  }
  if (checksum == cursor.open_frame_checksum) return absl::OkStatus();
  return Damaged(file, "the open frame is not what has been written");
}

absl::Status ExamineOpenFrame(const SegmentFile& file,
                              const SegmentCursor& cursor, SegmentTail* tail) {
  if (absl::Status s = CheckOpenFrameOf(file, cursor); !s.ok()) return s;
  absl::StatusOr<FrameExtent> extent =
      ParseFrameExtent(file, cursor.frame_offset, cursor.segment_bytes);
  if (!extent.ok()) return extent.status();
  // The cursor stands where a batch was flushed.
  if (extent->is_complete || extent->end != cursor.segment_bytes ||
      !extent->has_checksum) {
    return Damaged(file,
                   absl::StrCat("no open frame from byte ", cursor.frame_offset,
                                " to ", cursor.segment_bytes));
  }
  absl::StatusOr<std::string> frame =
      ReadRange(file, cursor.frame_offset, cursor.segment_bytes);
  if (!frame.ok()) return frame.status();
  absl::StatusOr<std::string> text =
      Decompress(file, *frame, cursor.open_frame.text_bytes);
  if (!text.ok()) return text.status();
  absl::StatusOr<std::string> checksum = ContentChecksum(*text);
  if (!checksum.ok()) return checksum.status();
  tail->frame_end = absl::StrCat(kEmptyLastBlock, *checksum);
  CollectGaps(*text, &tail->open_frame);
  return absl::OkStatus();
}

bool HasOpenFrame(const SegmentCursor& cursor) {
  return cursor.frame_offset < cursor.segment_bytes;
}

// All but frame_end and what depends on it.
SegmentTail TailOf(const SegmentIdentity& identity,
                   const SegmentCursor& cursor) {
  SegmentTail tail;
  tail.has_open_frame = HasOpenFrame(cursor);
  if (!tail.has_open_frame) return tail;
  constexpr uint64_t kEndBytes = kEmptyLastBlock.size() + sizeof(uint32_t);
  tail.open_frame.identity = identity;
  tail.open_frame.identity.is_recovered = true;
  tail.open_frame.compressed_bytes =
      cursor.segment_bytes - cursor.frame_offset + kEndBytes;
  tail.open_frame.summary = cursor.open_frame;
  return tail;
}

// No frame that can be read begins with what another ring's begins with.
bool IsAnothers(const SegmentFile& file, const SegmentIdentity& identity) {
  const std::optional<FrameMetadata> first =
      IdentifySegment(file, file.opened_bytes());
  return first.has_value() && first->identity.ring_id != identity.ring_id;
}

}  // namespace

absl::StatusOr<SegmentTail> PrepareResume(const SegmentFile& file,
                                          const SegmentIdentity& identity,
                                          const SegmentCursor& cursor) {
  if (cursor.segment_number != identity.number ||
      cursor.format != identity.format ||
      cursor.frame_offset > cursor.segment_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(file.path(), ": the cursor is not this segment's"));
  }
  if (file.opened_bytes() < cursor.segment_bytes) {
    return Damaged(
        file, absl::StrCat("it has ", file.opened_bytes(), " bytes, and had ",
                           cursor.segment_bytes, " once"));
  }
  if (HasOpenFrame(cursor) &&
      (cursor.frame_offset == 0 ||
       cursor.open_frame.text_bytes > kMaxFrameTextBytes)) {
    // The first frame is never left open: it says whose the file is.
    return Damaged(file, "the cursor speaks of no frame that can be");
  }
  SegmentTail tail = TailOf(identity, cursor);
  absl::Status status =
      WalkCompleteFrames(file, identity, cursor.frame_offset, &tail);
  if (status.ok() && tail.has_open_frame) {
    status = ExamineOpenFrame(file, cursor, &tail);
  }
  if (!status.ok()) return status;
  return tail;
}

absl::Status CheckOpenFrame(const std::string& path,
                            const SegmentCursor& cursor) {
  if (!HasOpenFrame(cursor)) return absl::OkStatus();
  absl::StatusOr<SegmentFile> file = SegmentFile::Open(path, O_RDONLY);
  if (!file.ok()) return file.status();
  return CheckOpenFrameOf(*file, cursor);
}

absl::Status EndDamagedSegment(const std::string& path,
                               const SegmentIdentity& identity,
                               const SegmentCursor& cursor) {
  absl::StatusOr<SegmentFile> file =
      SegmentFile::Open(path, O_RDWR | O_NOFOLLOW);
  if (!file.ok()) return file.status();
  // A file that has lost more is not worth as many zeros, which every reader
  // would have to go through.
  constexpr uint64_t kMaxLostBytes = 64 << 20;
  const bool is_possible =
      cursor.segment_bytes <= file->opened_bytes() + kMaxLostBytes;
  if (!is_possible || IsAnothers(*file, identity)) return absl::OkStatus();
  SegmentTail tail = TailOf(identity, cursor);
  const bool is_whole =
      tail.has_open_frame && ExamineOpenFrame(*file, cursor, &tail).ok();
  if (absl::Status s = file->Truncate(cursor.segment_bytes); !s.ok()) return s;
  if (tail.has_open_frame) {
    if (!is_whole) {
      // As good as any other: it fits one text of four thousand millions.
      constexpr absl::string_view kUnfitChecksum("\0\0\0\0", 4);
      tail.frame_end = absl::StrCat(kEmptyLastBlock, kUnfitChecksum);
    }
    std::memcpy(&tail.open_frame.text_checksum,
                tail.frame_end.data() + kEmptyLastBlock.size(),
                sizeof tail.open_frame.text_checksum);
    const std::string end =
        absl::StrCat(tail.frame_end, EncodeMetadataFrame(tail.open_frame));
    if (absl::Status s = file->WriteAt(cursor.segment_bytes, end); !s.ok()) {
      return s;
    }
  }
  return file->Sync();
}

}  // namespace ringlog
