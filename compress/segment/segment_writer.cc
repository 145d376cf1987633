#include "ringlog/compress/segment/segment_writer.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/crc/crc32c.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/frame_decoder.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/memory_limit.h"
#include "zstd.h"

namespace ringlog {
namespace {

constexpr size_t kMaxFrameBytes = 256 << 20;
static_assert(kMaxFrameBytes + SegmentWriter::kMaxBatchBytes <
                  kMaxFrameTextBytes,
              "no batch can make a frame too long for the seek table");

// A zstd block has at most 128 KiB of text, and zstd may split a block of that
// size. A shorter text becomes exactly one block.
constexpr size_t kMaxBlockTextBytes = 127 << 10;

// Returns the number of bytes of `lines` for the next block. The bytes are
// complete records, so that the intact blocks of a truncated file end between
// records. A record longer than kMaxBlockTextBytes takes several blocks.
size_t BlockTextBytes(LineFormat format, absl::string_view lines) {
  if (lines.size() <= kMaxBlockTextBytes) return lines.size();
  const size_t complete =
      CompleteRecordsBytes(format, lines.substr(0, kMaxBlockTextBytes));
  return complete != 0 ? complete : FirstRecordBytes(format, lines, true);
}

absl::Status ZstdError(size_t result) {
  return absl::InternalError(absl::StrCat("zstd: ", ZSTD_getErrorName(result)));
}

constexpr int kMaxLevelWithSmallWindow = 19;

// Returns a context for frames with checksums. Internal: zstd is out of memory.
absl::StatusOr<ZstdCompressor> MakeContext(int compression_level) {
  ZstdCompressor context(ZSTD_createCCtx());
  if (context == nullptr) return absl::InternalError("zstd: out of memory");
  for (const auto& [parameter, value] :
       {std::pair(ZSTD_c_compressionLevel, compression_level),
        std::pair(ZSTD_c_checksumFlag, 1)}) {
    const size_t result =
        ZSTD_CCtx_setParameter(context.get(), parameter, value);
    if (ZSTD_isError(result)) return ZstdError(result);
  }
  // Levels above 19 have windows that readers refuse.
  if (compression_level <= kMaxLevelWithSmallWindow) return context;
  const size_t result = ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog,
                                               FrameDecoder::kMaxWindowLog);
  if (ZSTD_isError(result)) return ZstdError(result);
  return context;
}

}  // namespace

SegmentWriter::SegmentWriter(SegmentFile file, ZstdCompressor context,
                             const SegmentIdentity& identity,
                             const SegmentWriterOptions& options)
    : file_(std::move(file)),
      frame_bytes_(std::min(options.frame_bytes, kMaxFrameBytes)),
      is_recovered_(identity.is_recovered),
      context_(std::move(context)) {
  frame_.identity = identity;
  next_.segment_number = identity.number;
  next_.format = identity.format;
  written_ = synced_ = next_;
}

SegmentWriter::~SegmentWriter() = default;

absl::StatusOr<std::unique_ptr<SegmentWriter>> SegmentWriter::Create(
    const Directory& directory, const std::string& name,
    const SegmentIdentity& identity, const SegmentWriterOptions& options) {
  // Before the file, which would stay after an error.
  absl::StatusOr<ZstdCompressor> context =
      MakeContext(options.compression_level);
  if (!context.ok()) return context.status();
  absl::StatusOr<SegmentFile> file =
      SegmentFile::Create(directory, name, options.mode);
  if (!file.ok()) return file.status();
  // For lack of memory; otherwise no later attempt would find the file.
  auto delete_file = absl::MakeCleanup(
      [&] { FitsInMemory([&] { directory.Delete(name).IgnoreError(); }); });
  auto writer = absl::WrapUnique(new SegmentWriter(
      *std::move(file), *std::move(context), identity, options));
  std::move(delete_file).Cancel();
  return writer;
}

absl::StatusOr<std::unique_ptr<SegmentWriter>> SegmentWriter::Create(
    const std::string& path, const SegmentIdentity& identity,
    const SegmentWriterOptions& options) {
  const absl::StatusOr<Directory> directory = Directory::Open(Dirname(path));
  if (!directory.ok()) return PrependPath(directory.status(), path);
  return Create(*directory, std::string(Basename(path)), identity, options);
}

absl::StatusOr<std::unique_ptr<SegmentWriter>> SegmentWriter::Reopen(
    SegmentFile file, const SegmentIdentity& identity,
    const SegmentCursor& cursor, const SegmentWriterOptions& options) {
  absl::StatusOr<ResumeState> state = PrepareResume(file, identity, cursor);
  if (!state.ok()) return state.status();
  absl::StatusOr<ZstdCompressor> context =
      MakeContext(options.compression_level);
  if (!context.ok()) return context.status();
  auto writer = absl::WrapUnique(new SegmentWriter(
      std::move(file), *std::move(context), identity, options));
  // Death here: the file is unchanged up to the cursor, so the next attempt
  // does the same.
  if (absl::Status s = writer->file_.Truncate(cursor.segment_bytes); !s.ok()) {
    return s;
  }
  writer->ResumeAfter(cursor, *std::move(state));
  if (absl::Status s = writer->Write(); !s.ok()) return s;
  return writer;
}

void SegmentWriter::ResumeAfter(const SegmentCursor& cursor,
                                ResumeState state) {
  seek_entries_ = std::move(state.seek_entries);
  written_text_bytes_ = next_text_bytes_ = state.text_bytes;
  written_.segment_bytes = cursor.segment_bytes;
  written_.frame_offset = cursor.frame_offset;
  written_.open_frame = cursor.open_frame;
  written_.open_frame_checksum = cursor.open_frame_checksum;
  next_ = written_;
  synced_ = written_;
  synced_text_bytes_ = written_text_bytes_;
  if (!state.has_open_frame) {
    written_.open_frame = next_.open_frame = FrameSummary();
    return;
  }
  written_text_bytes_ += cursor.open_frame.text_bytes;
  next_text_bytes_ = written_text_bytes_;
  AddToPending(state.frame_end);
  frame_ = std::move(state.open_frame);
  AddMetadata();
}

void SegmentWriter::AddToPending(absl::string_view bytes) {
  if (pending_.size() - pending_bytes_ < bytes.size()) {
    pending_.resize(pending_bytes_ + bytes.size());
  }
  std::memcpy(pending_.data() + pending_bytes_, bytes.data(), bytes.size());
  pending_bytes_ += bytes.size();
  next_.segment_bytes += bytes.size();
}

absl::Status SegmentWriter::Compress(absl::string_view text, bool end_frame) {
  ZSTD_inBuffer in = {text.data(), text.size(), 0};
  size_t left = 0;
  do {
    // The room is enough for a block. Growth by half keeps the number of copies
    // low.
    if (pending_.size() - pending_bytes_ < ZSTD_CStreamOutSize()) {
      pending_.resize(pending_bytes_ + pending_bytes_ / 2 +
                      ZSTD_CStreamOutSize());
    }
    ZSTD_outBuffer out = {pending_.data(), pending_.size(), pending_bytes_};
    left = ZSTD_compressStream2(context_.get(), &out, &in,
                                end_frame ? ZSTD_e_end : ZSTD_e_flush);
    if (ZSTD_isError(left)) return ZstdError(left);
    const size_t made = out.pos - pending_bytes_;
    next_.open_frame_checksum = absl::ExtendCrc32c(
        next_.open_frame_checksum,
        absl::string_view(pending_.data() + pending_bytes_, made));
    next_.segment_bytes += made;
    pending_bytes_ = out.pos;
  } while (left != 0);
  return absl::OkStatus();
}

absl::Status SegmentWriter::CompressBatch(absl::string_view lines,
                                          bool end_frame) {
  while (!lines.empty()) {
    const size_t block_bytes = BlockTextBytes(frame_.identity.format, lines);
    const bool is_last = block_bytes == lines.size();
    absl::Status status =
        Compress(lines.substr(0, block_bytes), is_last && end_frame);
    if (!status.ok()) return status;
    lines.remove_prefix(block_bytes);
  }
  return absl::OkStatus();
}

absl::Status SegmentWriter::AddBatch(const Batch& batch) {
  if (!context_status_.ok()) return context_status_;
  if (batch.lines.size() > kMaxBatchBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot add a batch of ", batch.lines.size(),
                     " bytes: at most ", kMaxBatchBytes, " are allowed"));
  }
  if (batch.lines.empty()) return absl::OkStatus();
  const bool is_first = next_.segment_bytes == 0;
  const bool ends_frame =
      is_first ||
      next_.open_frame.text_bytes + batch.lines.size() >= frame_bytes_;
  context_status_ = CompressBatch(batch.lines, ends_frame);
  if (!context_status_.ok()) {
    pending_bytes_ = 0;
    next_ = written_;
    return context_status_;
  }
  FrameSummary summary = batch.summary;
  summary.text_bytes = batch.lines.size();
  next_.open_frame.Add(summary);
  next_text_bytes_ += batch.lines.size();
  frame_.gap_count += batch.gaps.size();
  const size_t room = kMaxFrameGaps - frame_.gaps.size();
  const absl::Span<const Gap> listed = batch.gaps.subspan(0, room);
  frame_.gaps.insert(frame_.gaps.end(), listed.begin(), listed.end());
  if (ends_frame) {
    frame_.summary = next_.open_frame;
    frame_.compressed_bytes = next_.segment_bytes - next_.frame_offset;
    AddMetadata();
  }
  return absl::OkStatus();
}

void SegmentWriter::AddMetadata() {
  std::memcpy(&frame_.text_checksum,
              pending_.data() + pending_bytes_ - sizeof frame_.text_checksum,
              sizeof frame_.text_checksum);
  const std::string metadata = EncodeMetadataFrame(frame_);
  AddToPending(metadata);
  AddSeekEntries(frame_.compressed_bytes, frame_.summary.text_bytes,
                 metadata.size(), &seek_entries_);
  next_.frame_offset = next_.segment_bytes;
  next_.open_frame = FrameSummary();
  next_.open_frame_checksum = absl::crc32c_t{0};
  frame_.identity.is_recovered = is_recovered_;
  frame_.compressed_bytes = 0;
  frame_.summary = FrameSummary();
  frame_.gaps.clear();
  frame_.gap_count = 0;
}

absl::Status SegmentWriter::AddEnd() {
  if (!context_status_.ok()) return context_status_;
  if (frame_is_open() || next_.segment_bytes == 0) {
    context_status_ = Compress({}, true);
    if (!context_status_.ok()) {
      pending_bytes_ = 0;
      next_ = written_;
      return context_status_;
    }
    frame_.summary = next_.open_frame;
    frame_.compressed_bytes = next_.segment_bytes - next_.frame_offset;
    AddMetadata();
  }
  AddToPending(EncodeSeekTableFrame(seek_entries_));
  next_.frame_offset = next_.segment_bytes;
  return absl::OkStatus();
}

absl::Status SegmentWriter::Write() {
  const absl::string_view bytes(pending_.data(), pending_bytes_);
  if (absl::Status s = file_.WriteAt(written_.segment_bytes, bytes); !s.ok()) {
    // If Truncate() fails too, the next attempt overwrites the same bytes.
    file_.Truncate(written_.segment_bytes).IgnoreError();
    return s;
  }
  pending_bytes_ = 0;
  written_ = next_;
  written_text_bytes_ = next_text_bytes_;
  return absl::OkStatus();
}

absl::Status SegmentWriter::Sync() {
  absl::Status status = file_.Sync();
  if (status.ok()) {
    synced_ = written_;
    synced_text_bytes_ = written_text_bytes_;
  } else {
    context_status_ = status;
  }
  return status;
}

absl::Status SegmentWriter::TruncateToSynced() {
  context_status_.Update(
      absl::FailedPreconditionError("segment was truncated"));
  if (absl::Status s = file_.Truncate(synced_.segment_bytes); !s.ok()) return s;
  written_ = next_ = synced_;
  written_text_bytes_ = next_text_bytes_ = synced_text_bytes_;
  pending_bytes_ = 0;
  return absl::OkStatus();
}

absl::Status SegmentWriter::SyncTruncation() { return file_.SyncLength(); }

absl::Status SegmentWriter::TruncateToCursor() {
  const absl::StatusOr<uint64_t> size = file_.Size();
  if (size.ok() && *size <= written_.segment_bytes) return absl::OkStatus();
  return file_.Truncate(written_.segment_bytes);
}

}  // namespace ringlog
