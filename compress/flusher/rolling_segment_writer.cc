#include "ringlog/compress/flusher/rolling_segment_writer.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_file.h"

namespace ringlog {
namespace {

// Points NAME in `directory` at `target`, by a rename, so that it is never
// missing. A convenience for people: what fails is not told, and what is there
// and no symlink stays.
void UpdateCurrentLink(const std::string& directory, const std::string& name,
                       const std::string& target) {
  const std::string path = absl::StrCat(directory, "/", name);
  struct stat st;
  if (lstat(path.c_str(), &st) == 0 && !S_ISLNK(st.st_mode)) return;
  const std::string temporary =
      absl::StrCat(directory, "/.", name, ".", getpid());
  unlink(temporary.c_str());
  if (symlink(target.c_str(), temporary.c_str()) == 0 &&
      rename(temporary.c_str(), path.c_str()) != 0) {
    unlink(temporary.c_str());
  }
}

bool HasGone(const std::string& path) {
  struct stat st;
  return lstat(path.c_str(), &st) != 0 && errno == ENOENT;
}

absl::Status DeleteFile(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, absl::StrCat("delete ", path));
}

// A batch that reaches this ends its frame.
SegmentSequenceOptions OneFramePerBatch(SegmentSequenceOptions options) {
  if (options.sync) options.segment.frame_bytes = 1;
  return options;
}

}  // namespace

RollingSegmentWriter::RollingSegmentWriter(
    Ring* ring, const SegmentSequenceOptions& options)
    : ring_(ring),
      options_(OneFramePerBatch(options)),
      published_end_(ring->take_position()) {
  cursor_.format = options.format;
  // Recovery goes on in the format of the segments, also before the first one.
  PublishCursor();
}

RollingSegmentWriter::~RollingSegmentWriter() = default;

void RollingSegmentWriter::Reconfigure(const SegmentSequenceOptions& options) {
  options_ = OneFramePerBatch(options);
}

uint64_t RollingSegmentWriter::segment_bytes() const {
  return writer_ == nullptr ? 0 : writer_->segment_bytes();
}

void RollingSegmentWriter::PublishCursor() {
  ring_->PublishCursor(published_end_, EncodeSegmentCursor(cursor_));
}

void RollingSegmentWriter::NameNext() {
  if (!names_next_) cursor_.segment_number += 1;
  names_next_ = true;
  cursor_.segment_open_time_ns = absl::GetCurrentTimeNanos();
  cursor_.segment_bytes = cursor_.frame_offset = 0;
  cursor_.open_frame = FrameSummary();
  cursor_.open_frame_checksum = absl::crc32c_t{0};
  PublishCursor();
}

// Numbers have no holes, however often it is tried.
void RollingSegmentWriter::TakeBackBegin() {
  names_next_ = before_.segment_number == cursor_.segment_number;
  cursor_ = before_;
  PublishCursor();
}

absl::Status RollingSegmentWriter::Begin() {
  before_ = cursor_;
  // The ring names the file before it exists: a kill in between leaves a name
  // for recovery to begin anew, and never a file that nobody knows of.
  NameNext();
  const std::string name =
      SegmentFileName(ring_->header(), cursor_.segment_number,
                      cursor_.segment_open_time_ns, options_.format);
  const std::string path = absl::StrCat(options_.directory, "/", name);
  absl::StatusOr<std::unique_ptr<SegmentWriter>> writer = CreateSegment(path);
  if (writer.ok() && options_.sync) {
    if (absl::Status s = SyncDirectory(options_.directory); !s.ok()) {
      unlink(path.c_str());
      writer = s;
    }
  }
  if (!writer.ok()) {
    TakeBackBegin();
    return writer.status();
  }
  writer_ = *std::move(writer);
  names_next_ = false;
  UpdateCurrentLink(options_.directory, SymlinkName(ring_->header()), name);
  return absl::OkStatus();
}

SegmentIdentity RollingSegmentWriter::Identity() const {
  SegmentIdentity identity;
  identity.ring_id = RingIdOf(ring_->header());
  identity.number = cursor_.segment_number;
  identity.format = options_.format;
  return identity;
}

absl::StatusOr<std::unique_ptr<SegmentWriter>>
RollingSegmentWriter::CreateSegment(const std::string& path) {
  absl::StatusOr<std::unique_ptr<SegmentWriter>> writer =
      SegmentWriter::Create(path, Identity(), options_.segment);
  // Somebody has removed the directory.
  if (absl::IsNotFound(writer.status()) &&
      mkdir(options_.directory.c_str(), 0777) == 0) {
    writer = SegmentWriter::Create(path, Identity(), options_.segment);
  }
  return writer;
}

absl::Status RollingSegmentWriter::Add(const SegmentWriter::Batch& batch) {
  return writer_->AddBatch(batch);
}

absl::Status RollingSegmentWriter::AddEnd() {
  absl::Status status = writer_->AddEnd();
  ends_ = status.ok();
  return status;
}

absl::Status RollingSegmentWriter::Write() {
  absl::Status status = must_cut_ ? CutToPublished() : absl::OkStatus();
  if (status.ok()) status = writer_->Write();
  has_end_ = ends_ && status.ok();
  if (!writer_->is_deleted()) return status;
  return absl::NotFoundError(
      absl::StrCat("somebody has deleted ", writer_->path()));
}

absl::Status RollingSegmentWriter::Sync() {
  absl::Status status = options_.sync ? writer_->Sync() : absl::OkStatus();
  has_end_ &= status.ok();
  return status;
}

absl::Status RollingSegmentWriter::CutBack() {
  absl::Status status = writer_->CutBack();
  if (status.ok() || HasGone(writer_->path())) return absl::OkStatus();
  return status;
}

absl::Status RollingSegmentWriter::SyncCut() { return writer_->SyncCut(); }

absl::Status RollingSegmentWriter::EndEarly() {
  if (HasGone(writer_->path())) return absl::OkStatus();
  if (!cursor_.names_started_segment()) return DeleteFile(writer_->path());
  // By a descriptor of its own, for it may be ours that is of no more use. What
  // it fails to do may leave its bytes behind ours.
  must_cut_ = true;
  absl::StatusOr<std::unique_ptr<SegmentWriter>> writer = SegmentWriter::Reopen(
      writer_->path(), Identity(), cursor_, options_.segment);
  if (!writer.ok()) return writer.status();
  // The frame has its end, and plain tools are content.
  has_end_ = (*writer)->AddEnd().ok() && (*writer)->Write().ok();
  return absl::OkStatus();
}

absl::Status RollingSegmentWriter::CutToPublished() {
  absl::Status status = writer_->CutToCursor();
  if (status.ok()) must_cut_ = false;
  return status;
}

void RollingSegmentWriter::Publish(uint64_t end_position,
                                   const DropCounts& reported_drops) {
  if (writer_ != nullptr) {
    const int64_t open_time_ns = cursor_.segment_open_time_ns;
    cursor_ = writer_->cursor();
    cursor_.segment_open_time_ns = open_time_ns;
  }
  cursor_.reported_drops = reported_drops;
  published_end_ = end_position;
  PublishCursor();
}

// Else the cursor goes on to name it, with no bytes: recovery deletes it then.
bool RollingSegmentWriter::IsRemoved() {
  return unlink(writer_->path().c_str()) == 0 || errno == ENOENT ||
         writer_->CutToCursor().ok();
}

std::string RollingSegmentWriter::Leave() {
  std::string path = writer_->is_deleted() ? "" : writer_->path();
  if (writer_->segment_bytes() == 0 && IsRemoved()) {
    path.clear();
    TakeBackBegin();
  } else if (has_end_) {
    NameNext();
  }
  must_cut_ = ends_ = has_end_ = false;
  left_bytes_ += writer_->segment_bytes();
  writer_.reset();
  return path;
}

}  // namespace ringlog
