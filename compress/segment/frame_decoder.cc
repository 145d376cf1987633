#include "ringlog/compress/segment/frame_decoder.h"

#include <algorithm>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "zstd.h"

namespace ringlog {
namespace {

constexpr int kLargeWindowLog = 27;

}  // namespace

FrameDecoder::FrameDecoder(const SegmentFile* file, uint64_t limit)
    : file_(file),
      limit_(limit),
      context_(ZSTD_createDCtx()),
      in_(ZSTD_DStreamInSize(), '\0'),
      out_(ZSTD_DStreamOutSize(), '\0') {
  if (context_ == nullptr) return;
  ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
}

void FrameDecoder::PermitLargeWindows() {
  if (context_ == nullptr) return;
  ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kLargeWindowLog);
}

FrameDecoder::~FrameDecoder() = default;

void FrameDecoder::Begin(uint64_t offset) {
  error_.clear();
  // Most of the time, the next frame is already in the buffer.
  const uint64_t held_from = read_offset_ - in_size_;
  if (offset >= held_from && offset <= read_offset_) {
    in_pos_ = static_cast<size_t>(offset - held_from);
  } else {
    read_offset_ = offset;
    in_size_ = in_pos_ = 0;
  }
  if (context_ != nullptr) {
    ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
  }
}

// Fills `in_` with the next bytes of the file. Returns false at the limit, at a
// hole, or if pread(2) fails. A hole up to the limit counts as the limit.
bool FrameDecoder::Read() {
  if (read_offset_ >= limit_) return false;
  const FileRange data = file_->FindData(read_offset_, limit_);
  if (data.begin > read_offset_) {
    if (data.begin < limit_) {
      error_ = absl::StrCat("the file has a hole at byte ", read_offset_);
    }
    return false;
  }
  const auto bytes = static_cast<size_t>(
      std::min<uint64_t>(in_.size(), data.end - read_offset_));
  const absl::StatusOr<size_t> got =
      file_->ReadAt(read_offset_, in_.data(), bytes);
  if (!got.ok()) error_ = std::string(got.status().message());
  if (!got.ok() || *got == 0) return false;
  read_offset_ += *got;
  in_size_ = *got;
  in_pos_ = 0;
  return true;
}

FrameDecoder::Result FrameDecoder::Decode(size_t max_bytes, std::string* text) {
  if (context_ == nullptr) {
    error_ = "zstd has no memory";
    return Result::kDamaged;
  }
  while (text->size() < max_bytes) {
    ZSTD_outBuffer out = {out_.data(), out_.size(), 0};
    ZSTD_inBuffer in = {in_.data(), in_size_, in_pos_};
    const size_t result = ZSTD_decompressStream(context_.get(), &out, &in);
    in_pos_ = in.pos;
    text->append(out_, 0, out.pos);
    if (ZSTD_isError(result)) {
      error_ = ZSTD_getErrorName(result);
      return Result::kDamaged;
    }
    if (result == 0) return Result::kEnd;
    // Room left in `out` means that zstd has returned all text of its input.
    if (out.pos < out_.size() && in_pos_ == in_size_ && !Read()) {
      return error_.empty() ? Result::kTruncated : Result::kDamaged;
    }
  }
  return Result::kMore;
}

}  // namespace ringlog
