#include "ringlog/compress/segment/segment_resume.h"

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
#include "ringlog/compress/segment/frame_search.h"
#include "ringlog/compress/segment/identify_segment.h"
#include "ringlog/compress/segment/zstd_frame.h"
#include "zstd.h"
#include "zstd_errors.h"

namespace ringlog {
namespace {

absl::Status Damaged(const SegmentFile& file, absl::string_view cause) {
  return absl::DataLossError(
      absl::StrCat("cannot resume ", file.path(), ": ", cause));
}

absl::StatusOr<std::string> ReadRange(const SegmentFile& file, uint64_t begin,
                                      uint64_t end) {
  // A damaged cursor or header may claim more bytes than the file has or the
  // memory can hold.
  if (end > file.opened_bytes()) return Damaged(file, "file is too short");
  std::string bytes(static_cast<size_t>(end - begin), '\0');
  absl::StatusOr<size_t> got = file.ReadAt(begin, bytes.data(), bytes.size());
  if (!got.ok()) return got.status();
  if (*got != bytes.size()) return Damaged(file, "file has become shorter");
  return bytes;
}

// Reads the metadata frame at `offset`, which must end at `limit` or before,
// and sets `end` to its end. BelongsToAnotherRing() has checked the version of
// the file: a later version in another frame is damage.
absl::StatusOr<FrameMetadata> ReadMetadata(const SegmentFile& file,
                                           uint64_t offset, uint64_t limit,
                                           uint64_t* end) {
  absl::StatusOr<FrameMetadata> metadata =
      ReadMetadataFrame(file, offset, limit, end);
  if (absl::IsNotFound(metadata.status()) ||
      absl::IsUnimplemented(metadata.status())) {
    return Damaged(file, absl::StrCat("no metadata frame at byte ", offset));
  }
  return metadata;
}

bool Matches(const FrameMetadata& metadata, const SegmentIdentity& identity) {
  return metadata.identity.IsSameSegment(identity) &&
         metadata.identity.format == identity.format;
}

// Checks the frames in [0, end) and adds them to `state`.
absl::Status CheckCompleteFrames(const SegmentFile& file,
                                 const SegmentIdentity& identity, uint64_t end,
                                 ResumeState* state) {
  for (uint64_t at = 0; at < end;) {
    absl::StatusOr<FrameExtent> extent = ParseFrameExtent(file, at, end);
    if (!extent.ok()) return extent.status();
    uint64_t metadata_end = 0;
    absl::StatusOr<FrameMetadata> metadata =
        extent->is_complete
            ? ReadMetadata(file, extent->end, end, &metadata_end)
            : Damaged(file, absl::StrCat("no complete frame at byte ", at));
    if (!metadata.ok()) return metadata.status();
    if (!Matches(*metadata, identity)) {
      return Damaged(file, "file belongs to another segment");
    }
    if (metadata->compressed_bytes != extent->end - at ||
        metadata->summary.text_bytes > kMaxFrameTextBytes) {
      return Damaged(file, absl::StrCat("the frame at byte ", at,
                                        " does not match its metadata"));
    }
    AddSeekEntries(extent->end - at, metadata->summary.text_bytes,
                   metadata_end - extent->end, &state->seek_entries);
    state->text_bytes += metadata->summary.text_bytes;
    at = metadata_end;
  }
  return absl::OkStatus();
}

// Decompresses a frame that has no end. Returns DataLoss unless it has exactly
// `text_bytes` of text.
absl::StatusOr<std::string> Decompress(const SegmentFile& file,
                                       absl::string_view frame,
                                       uint64_t text_bytes) {
  const ZstdDecompressor context(ZSTD_createDCtx());
  if (context == nullptr) {
    return absl::ResourceExhaustedError("zstd: out of memory");
  }
  std::string text;
  std::string chunk(ZSTD_DStreamOutSize(), '\0');
  ZSTD_inBuffer in = {frame.data(), frame.size(), 0};
  while (true) {
    ZSTD_outBuffer out = {chunk.data(), chunk.size(), 0};
    const size_t result = ZSTD_decompressStream(context.get(), &out, &in);
    if (ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation) {
      return absl::ResourceExhaustedError("zstd: out of memory");
    }
    if (ZSTD_isError(result)) {
      return Damaged(file, absl::StrCat("cannot decompress the open frame: ",
                                        ZSTD_getErrorName(result)));
    }
    text.append(chunk.data(), out.pos);
    // A longer text may be endless, and does not match the cursor.
    if (text.size() > text_bytes) break;
    if (in.pos == in.size && out.pos < out.size) break;
  }
  if (text.size() != text_bytes) {
    return Damaged(file, absl::StrCat("the open frame does not have ",
                                      text_bytes, " bytes of text"));
  }
  return text;
}

// Returns the checksum that ends a frame of `text`: the low 32 bits of its
// XXH64. zstd does not export that function, so this function compresses `text`
// and returns the last bytes of the frame.
absl::StatusOr<std::string> ContentChecksum(absl::string_view text) {
  absl::StatusOr<std::string> frame = CompressFrame(text, ZSTD_minCLevel());
  if (!frame.ok()) return frame.status();
  return frame->substr(frame->size() - 4);
}

// Adds the gaps among the lines of `text` to `frame`, because the cursor does
// not have them.
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

// Returns OK if the open frame in `file` matches the checksum in `cursor`.
absl::Status CheckOpenFrameIn(const SegmentFile& file,
                              const SegmentCursor& cursor) {
  // zstd adds a few bytes to each block that it cannot compress. The bound
  // limits the work for a damaged cursor on a sparse file.
  constexpr uint64_t kMargin = 1 << 20;
  if (cursor.open_frame.text_bytes > kMaxFrameTextBytes ||
      cursor.segment_bytes - cursor.frame_offset >
          2 * cursor.open_frame.text_bytes + kMargin) {
    return Damaged(file, "the cursor has an impossible frame");
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
  return Damaged(file, "the open frame does not match the cursor's checksum");
}

absl::Status PrepareOpenFrame(const SegmentFile& file,
                              const SegmentCursor& cursor, ResumeState* state) {
  if (absl::Status s = CheckOpenFrameIn(file, cursor); !s.ok()) return s;
  absl::StatusOr<FrameExtent> extent =
      ParseFrameExtent(file, cursor.frame_offset, cursor.segment_bytes);
  if (!extent.ok()) return extent.status();
  // A batch ends at the cursor, so the frame must have a block boundary there.
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
  state->frame_end = absl::StrCat(kEmptyLastBlock, *checksum);
  CollectGaps(*text, &state->open_frame);
  return absl::OkStatus();
}

bool HasOpenFrame(const SegmentCursor& cursor) {
  return cursor.frame_offset < cursor.segment_bytes;
}

// Returns the state at `cursor`, without frame_end, the checksum, the gaps and
// the frames before the open frame.
ResumeState MakeResumeState(const SegmentIdentity& identity,
                            const SegmentCursor& cursor) {
  ResumeState state;
  state.has_open_frame = HasOpenFrame(cursor);
  if (!state.has_open_frame) return state;
  constexpr uint64_t kEndBytes = kEmptyLastBlock.size() + sizeof(uint32_t);
  state.open_frame.identity = identity;
  state.open_frame.identity.is_recovered = true;
  state.open_frame.compressed_bytes =
      cursor.segment_bytes - cursor.frame_offset + kEndBytes;
  state.open_frame.summary = cursor.open_frame;
  return state;
}

}  // namespace

absl::StatusOr<ResumeState> PrepareResume(const SegmentFile& file,
                                          const SegmentIdentity& identity,
                                          const SegmentCursor& cursor) {
  if (cursor.segment_number != identity.number ||
      cursor.format != identity.format ||
      cursor.frame_offset > cursor.segment_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot resume ", file.path(),
                     ": the cursor belongs to another segment"));
  }
  if (file.opened_bytes() < cursor.segment_bytes) {
    return Damaged(file, absl::StrCat("file has ", file.opened_bytes(),
                                      " bytes, not ", cursor.segment_bytes));
  }
  if (HasOpenFrame(cursor) &&
      (cursor.frame_offset == 0 ||
       cursor.open_frame.text_bytes > kMaxFrameTextBytes)) {
    // The first frame is never open, because its metadata frame identifies the
    // segment.
    return Damaged(file, "the cursor has an impossible frame");
  }
  ResumeState state = MakeResumeState(identity, cursor);
  absl::Status status =
      CheckCompleteFrames(file, identity, cursor.frame_offset, &state);
  if (status.ok() && state.has_open_frame) {
    status = PrepareOpenFrame(file, cursor, &state);
  }
  if (!status.ok()) return status;
  return state;
}

absl::Status CheckOpenFrame(const SegmentFile& file,
                            const SegmentCursor& cursor) {
  return HasOpenFrame(cursor) ? CheckOpenFrameIn(file, cursor)
                              : absl::OkStatus();
}

absl::Status EndDamagedSegment(SegmentFile* file,
                               const SegmentIdentity& identity,
                               const SegmentCursor& cursor) {
  // Extending a file by more zeros would make every reader read them.
  constexpr uint64_t kMaxLostBytes = 64 << 20;
  const bool is_possible =
      cursor.segment_bytes <= file->opened_bytes() + kMaxLostBytes;
  if (!is_possible) return absl::OkStatus();
  const absl::StatusOr<bool> is_foreign =
      BelongsToAnotherRing(*file, identity.ring_id);
  if (!is_foreign.ok()) return is_foreign.status();
  if (*is_foreign) return absl::OkStatus();
  ResumeState state = MakeResumeState(identity, cursor);
  absl::Status frame;
  if (state.has_open_frame) frame = PrepareOpenFrame(*file, cursor, &state);
  // Another error does not show that the frame is damaged, and an invalid
  // checksum would make it unreadable.
  if (!frame.ok() && !absl::IsDataLoss(frame)) return frame;
  if (absl::Status s = file->Truncate(cursor.segment_bytes); !s.ok()) return s;
  if (state.has_open_frame) {
    if (!frame.ok()) {
      // Any constant will do: it matches one text in 4 billion.
      constexpr absl::string_view kInvalidChecksum("\0\0\0\0", 4);
      state.frame_end = absl::StrCat(kEmptyLastBlock, kInvalidChecksum);
    }
    std::memcpy(&state.open_frame.text_checksum,
                state.frame_end.data() + kEmptyLastBlock.size(),
                sizeof state.open_frame.text_checksum);
    const std::string end =
        absl::StrCat(state.frame_end, EncodeMetadataFrame(state.open_frame));
    if (absl::Status s = file->WriteAt(cursor.segment_bytes, end); !s.ok()) {
      return s;
    }
  }
  return file->Sync();
}

}  // namespace ringlog
