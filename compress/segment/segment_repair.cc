#include "ringlog/compress/segment/segment_repair.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/line/parsed_record.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/compress/segment/zstd_frame.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

using Frame = SegmentIndex::Frame;

constexpr size_t kCopyBytes = 1 << 20;
// Text bytes after which a new frame ends, with the record that reaches them.
constexpr size_t kNewFrameBytes = 1 << 20;

// A new file that is written sequentially.
class NewFile {
 public:
  // Creates the file with those permissions of `from` that are in `mode`.
  static absl::StatusOr<NewFile> Create(const std::string& path,
                                        const SegmentFile& from, mode_t mode) {
    const absl::StatusOr<struct stat> st = from.Stat();
    if (!st.ok()) return st.status();
    const absl::StatusOr<Directory> directory = Directory::Open(Dirname(path));
    if (!directory.ok()) return directory.status();
    absl::StatusOr<SegmentFile> file = SegmentFile::Create(
        *directory, std::string(Basename(path)), st->st_mode & mode);
    if (!file.ok()) return file.status();
    return NewFile(*std::move(file));
  }

  uint64_t bytes() const { return bytes_; }

  absl::Status Append(absl::string_view bytes) {
    if (absl::Status s = file_.WriteAt(bytes_, bytes); !s.ok()) return s;
    bytes_ += bytes.size();
    return absl::OkStatus();
  }

  // Appends the bytes [begin, end) of `from`, or fewer if `from` ended before
  // when it was opened. A hole stays a hole.
  absl::Status AppendRange(const SegmentFile& from, uint64_t begin,
                           uint64_t end) {
    std::string chunk;
    end = std::min(end, from.opened_bytes());
    while (begin < end) {
      const FileRange data = from.FindData(begin, end);
      if (data.begin > begin) {
        bytes_ += data.begin - begin;
        begin = data.begin;
        if (absl::Status s = file_.Truncate(bytes_); !s.ok()) return s;
        continue;
      }
      chunk.resize(static_cast<size_t>(
          std::min<uint64_t>(data.end - begin, kCopyBytes)));
      const absl::StatusOr<size_t> got =
          from.ReadAt(begin, chunk.data(), chunk.size());
      if (!got.ok()) return got.status();
      if (*got == 0) break;
      if (absl::Status s = Append({chunk.data(), *got}); !s.ok()) return s;
      begin += *got;
    }
    return absl::OkStatus();
  }

  absl::Status Sync() { return file_.Sync(); }

 private:
  explicit NewFile(SegmentFile file) : file_(std::move(file)) {}

  SegmentFile file_;
  uint64_t bytes_ = 0;
};

// Copies or rebuilds the frames of an index, in the order of the file.
class Repairer {
 public:
  Repairer(const SegmentIndex& index, SegmentFile from, NewFile to)
      : index_(index), from_(std::move(from)), to_(std::move(to)) {
    BeginFrame();
  }

  absl::Status Run(SegmentReader* reader) {
    absl::string_view lines;
    SegmentReader::Result result;
    while ((result = reader->NextRecords(&lines)) !=
           SegmentReader::Result::kEnd) {
      if (result != SegmentReader::Result::kRecord) continue;
      if (absl::Status s = FinishFramesBefore(reader->frame_begin()); !s.ok()) {
        return s;
      }
      if (next_ == index_.frames.size()) continue;
      const Frame& frame = index_.frames[next_];
      if (frame.is_intact || frame.begin != reader->frame_begin()) continue;
      if (absl::Status s = AddLines(lines); !s.ok()) return s;
    }
    if (absl::Status s = FinishFramesBefore(kWholeFile); !s.ok()) return s;
    if (absl::Status s = to_.Append(EncodeSeekTableFrame(entries_)); !s.ok()) {
      return s;
    }
    return to_.Sync();
  }

 private:
  // Writes the remaining frames that begin before `offset`.
  absl::Status FinishFramesBefore(uint64_t offset) {
    for (; next_ < index_.frames.size() && index_.frames[next_].begin < offset;
         ++next_) {
      const Frame& frame = index_.frames[next_];
      if (absl::Status s = frame.is_intact ? CopyFrame(frame) : EndFrame(true);
          !s.ok()) {
        return s;
      }
    }
    return absl::OkStatus();
  }

  absl::Status CopyFrame(const Frame& frame) {
    const uint64_t before = to_.bytes();
    if (absl::Status s = to_.AppendRange(from_, frame.begin, frame.end);
        !s.ok()) {
      return s;
    }
    if (to_.bytes() - before != frame.end - frame.begin) {
      return absl::DataLossError(absl::StrCat("cannot repair ", from_.path(),
                                              ": file has become shorter"));
    }
    AddSeekEntries(frame, &entries_);
    end_position_ = frame.end_position;
    BeginFrame();
    return absl::OkStatus();
  }

  void BeginFrame() {
    metadata_ = FrameMetadata();
    metadata_.identity = index_.identity;
    metadata_.identity.is_recovered = true;
    metadata_.summary.first_position = end_position_;
    metadata_.summary.end_position = end_position_;
    text_.clear();
  }

  absl::Status AddLines(absl::string_view lines) {
    while (!lines.empty()) {
      const size_t bytes =
          FirstRecordBytes(metadata_.identity.format, lines, true);
      AddRecord(lines.substr(0, bytes));
      lines.remove_prefix(bytes);
      if (text_.size() < kNewFrameBytes) continue;
      if (absl::Status s = EndFrame(false); !s.ok()) return s;
    }
    return absl::OkStatus();
  }

  // Adds a record or gap to the new frame. A line without a position takes the
  // next one, because each record has at least one position.
  void AddRecord(absl::string_view lines) {
    text_.append(lines.data(), lines.size());
    FrameSummary& summary = metadata_.summary;
    ParsedRecord parsed;
    const bool is_known = ParseLines(metadata_.identity.format, lines, &parsed);
    if (is_known && parsed.is_gap) {
      ++metadata_.gap_count;
      if (metadata_.gaps.size() < kMaxFrameGaps) {
        metadata_.gaps.push_back(parsed.gap);
      }
      summary.end_position =
          std::max(summary.end_position, parsed.gap.end_position);
      return;
    }
    ++summary.end_position;
    if (!is_known) return;
    if (parsed.position != kNoPosition) {
      summary.end_position =
          std::max(summary.end_position, parsed.position + 1);
    }
    FrameSummary record;
    record.end_position = summary.end_position;
    record.min_time_ns = record.max_time_ns = parsed.record.time_ns;
    record.records[static_cast<size_t>(parsed.record.severity)] = 1;
    summary.Add(record);
  }

  // If the next frame is intact, uses its first position to correct the
  // positions of the new frame, which ends there.
  void AlignWithNextFrame() {
    const std::vector<Frame>& frames = index_.frames;
    if (next_ + 1 == frames.size() || !frames[next_ + 1].is_intact) return;
    const uint64_t position = frames[next_ + 1].first_position;
    FrameSummary& summary = metadata_.summary;
    if (summary.first_position == 0) {
      const uint64_t count = summary.end_position;
      summary.first_position = position - std::min(position, count);
      summary.end_position = position;
    } else if (summary.end_position > position ||
               HasOnlyMetadata(frames[next_].end, frames[next_ + 1].begin)) {
      summary.end_position = std::max(position, summary.first_position);
    }
  }

  // Returns true if [begin, end) is one metadata frame, intact or damaged.
  bool HasOnlyMetadata(uint64_t begin, uint64_t end) const {
    char header[kSkippableHeaderBytes];
    const absl::StatusOr<size_t> got =
        from_.ReadAt(begin, header, sizeof header);
    if (!got.ok() || *got != sizeof header) return false;
    uint32_t magic, bytes;
    std::memcpy(&magic, header, sizeof magic);
    std::memcpy(&bytes, header + sizeof magic, sizeof bytes);
    return magic == kMetadataFrameMagic && begin + sizeof header + bytes == end;
  }

  absl::Status EndFrame(bool is_last) {
    if (text_.empty()) return absl::OkStatus();
    if (is_last) AlignWithNextFrame();
    const absl::StatusOr<std::string> frame = CompressFrame(text_, /*level=*/1);
    if (!frame.ok()) return frame.status();
    metadata_.compressed_bytes = frame->size();
    metadata_.summary.text_bytes = text_.size();
    std::memcpy(&metadata_.text_checksum,
                frame->data() + frame->size() - sizeof(uint32_t),
                sizeof(uint32_t));
    const std::string encoded = EncodeMetadataFrame(metadata_);
    Frame written;
    written.begin = to_.bytes();
    written.metadata_begin = written.begin + frame->size();
    written.end = written.metadata_begin + encoded.size();
    written.text_bytes = text_.size();
    AddSeekEntries(written, &entries_);
    if (absl::Status s = to_.Append(absl::StrCat(*frame, encoded)); !s.ok()) {
      return s;
    }
    end_position_ = metadata_.summary.end_position;
    BeginFrame();
    return absl::OkStatus();
  }

  const SegmentIndex& index_;
  const SegmentFile from_;
  NewFile to_;
  // Seek table entries of the written frames.
  std::vector<SeekEntry> entries_;
  // Index in index_.frames of the first frame that is not written yet.
  size_t next_ = 0;
  // End position of the last written frame.
  uint64_t end_position_ = 0;
  // Text and metadata of the new frame.
  std::string text_;
  FrameMetadata metadata_;
};

}  // namespace

absl::Status RepairSegment(const std::string& from, const SegmentIndex& index,
                           const std::string& to) {
  absl::StatusOr<SegmentFile> file = SegmentFile::Open(from, O_RDONLY);
  if (!file.ok()) return file.status();
  absl::StatusOr<std::unique_ptr<SegmentReader>> reader =
      SegmentReader::Open(from);
  if (!reader.ok()) return reader.status();
  absl::StatusOr<NewFile> new_file = NewFile::Create(to, *file, ACCESSPERMS);
  if (!new_file.ok()) return new_file.status();
  return Repairer(index, *std::move(file), *std::move(new_file))
      .Run(reader->get());
}

absl::Status CopySegment(const std::string& from, uint64_t limit_bytes,
                         mode_t mode, const std::string& to) {
  const absl::StatusOr<SegmentFile> file = SegmentFile::Open(from, O_RDONLY);
  if (!file.ok()) return file.status();
  absl::StatusOr<NewFile> new_file = NewFile::Create(to, *file, mode);
  if (!new_file.ok()) return new_file.status();
  if (absl::Status s = new_file->AppendRange(*file, 0, limit_bytes); !s.ok()) {
    return s;
  }
  return new_file->Sync();
}

}  // namespace ringlog
