#include "ringlog/compress/flusher/rolling_segment_writer.h"

#include <errno.h>
#include <fcntl.h>
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
#include "ringlog/ring/os/directory.h"
#include "ringlog/ring/os/directory_trust.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {
namespace {

// Points the symlink at `path` to the file `target` in its directory, by a
// rename, so that it is never missing. Returns false if another file stays
// there: one that is no symlink, or that this process may not replace.
// The symlink only serves people, so other errors are ignored.
bool UpdateCurrentLink(const std::string& path, const std::string& target) {
  struct stat st;
  if (lstat(path.c_str(), &st) == 0 && !S_ISLNK(st.st_mode)) return false;
  std::string temporary =
      absl::StrCat(Dirname(path), "/.", Basename(path), ".", getpid());
  unlink(temporary.c_str());  // of a process that was killed
  if (symlink(target.c_str(), temporary.c_str()) != 0) {
    if (errno != EEXIST) return true;
    // Another log of this process, or another user, has the name. Not the first
    // choice, because no process would delete it after a kill.
    absl::StrAppend(&temporary, ".", absl::Hex(NewNameSalt()));
    if (symlink(target.c_str(), temporary.c_str()) != 0) return true;
  }
  if (rename(temporary.c_str(), path.c_str()) == 0) return true;
  const int error = errno;
  unlink(temporary.c_str());
  return error != EPERM && error != EACCES && error != EISDIR;
}

// Returns `options` with frames that end after one batch, if `sync` is set.
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
  if (absl::StatusOr<Directory> directory = Directory::Open(options.directory);
      directory.ok()) {
    directory_ = *std::move(directory);
  }
  // Recovery uses this format, also before the first segment is begun.
  published_.cursor.format = options.format;
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
  ring_->PublishCursor(published_end_, EncodeSegmentCursor(published_.cursor));
}

void RollingSegmentWriter::NameNext(uint32_t salt) {
  SegmentCursor& cursor = published_.cursor;
  if (!published_.names_next) cursor.segment_number += 1;
  published_.names_next = true;
  cursor.segment_open_time_ns = absl::GetCurrentTimeNanos();
  cursor.name_salt = salt;
  cursor.segment_bytes = cursor.frame_offset = 0;
  cursor.open_frame = FrameSummary();
  cursor.open_frame_checksum = absl::crc32c_t{0};
  PublishCursor();
}

// Numbers have no holes, even after several attempts.
void RollingSegmentWriter::TakeBackBegin() {
  published_ = before_begin_;
  PublishCursor();
}

// The ring names the file before it exists. Death here: recovery begins a
// segment of this name. After an error CreateSegment() has deleted the file, so
// that no file is left that no cursor names.
absl::StatusOr<std::unique_ptr<SegmentWriter>> RollingSegmentWriter::CreateNext(
    uint32_t salt) {
  NameNext(salt);
  return CreateSegment(SegmentFileName(ring_->header(), published_.cursor));
}

absl::Status RollingSegmentWriter::Begin() {
  before_begin_ = published_;
  absl::StatusOr<std::unique_ptr<SegmentWriter>> writer = CreateNext(0);
  // Another user can predict the name of a segment, and make files of all the
  // next names, but cannot predict a salt.
  if (absl::IsAlreadyExists(writer.status())) {
    WarnRateLimited(absl::StrCat(writer.status().message(),
                                 "; the segment gets another name"));
    writer = CreateNext(NewNameSalt());
  }
  if (!writer.ok()) {
    TakeBackBegin();
    return writer.status();
  }
  writer_ = *std::move(writer);
  published_.names_next = false;
  end_ = SegmentEnd::kOpen;
  must_truncate_ = false;
  PointCurrentLink();
  return absl::OkStatus();
}

void RollingSegmentWriter::PointCurrentLink() {
  if (ring_->has_successor()) return;
  const std::string link =
      absl::StrCat(options_.directory, "/", SymlinkName(ring_->header()));
  if (UpdateCurrentLink(link, std::string(Basename(writer_->path()))) ||
      has_reported_link_) {
    return;
  }
  has_reported_link_ = WarnRateLimited(absl::StrCat(
      link,
      ": cannot become the link to the current segment: a file that this "
      "program did not make has this name; delete it"));
}

SegmentIdentity RollingSegmentWriter::Identity() const {
  SegmentIdentity identity;
  identity.ring_id = RingIdOf(ring_->header());
  identity.number = published_.cursor.segment_number;
  identity.format = options_.format;
  return identity;
}

absl::StatusOr<std::unique_ptr<SegmentWriter>>
RollingSegmentWriter::CreateSegment(const std::string& name) {
  // The segments of a ring must be in one directory. A ring that was replaced
  // was moved away with its directory, or deleted.
  if (ring_->has_successor() && directory_.has_value()) {
    absl::StatusOr<std::unique_ptr<SegmentWriter>> writer =
        CreateSegmentIn(*directory_, name);
    if (writer.ok() || absl::IsAlreadyExists(writer.status())) return writer;
  }
  absl::StatusOr<Directory> directory = Directory::Open(options_.directory);
  // The directory may have been deleted.
  if (absl::IsNotFound(directory.status()) &&
      MakeDirectory(options_.directory).ok()) {
    directory = Directory::Open(options_.directory);
  }
  if (!directory.ok()) return directory.status();
  directory_ = *std::move(directory);
  return CreateSegmentIn(*directory_, name);
}

absl::StatusOr<std::unique_ptr<SegmentWriter>>
RollingSegmentWriter::CreateSegmentIn(const Directory& directory,
                                      const std::string& name) const {
  absl::StatusOr<std::unique_ptr<SegmentWriter>> writer =
      SegmentWriter::Create(directory, name, Identity(), options_.segment);
  if (!writer.ok() || !options_.sync) return writer;
  if (absl::Status s = directory.Sync(); !s.ok()) {
    directory.Delete(name).IgnoreError();
    return s;
  }
  return writer;
}

absl::Status RollingSegmentWriter::Add(const SegmentWriter::Batch& batch) {
  return writer_->AddBatch(batch);
}

absl::Status RollingSegmentWriter::AddEnd() {
  absl::Status status = writer_->AddEnd();
  if (status.ok()) end_ = SegmentEnd::kEndAdded;
  return status;
}

absl::Status RollingSegmentWriter::Write() {
  absl::Status status =
      must_truncate_ ? TruncateToPublished() : absl::OkStatus();
  if (status.ok()) status = writer_->Write();
  if (status.ok() && end_ == SegmentEnd::kEndAdded) end_ = SegmentEnd::kSealed;
  if (!writer_->is_deleted()) return status;
  if (end_ != SegmentEnd::kSealed) end_ = SegmentEnd::kDeleted;
  return absl::NotFoundError(
      absl::StrCat("write ", writer_->path(), ": the file was deleted"));
}

absl::Status RollingSegmentWriter::Sync() {
  if (!options_.sync) return absl::OkStatus();
  if (end_ == SegmentEnd::kAbandoned) return writer_->SyncTruncation();
  absl::Status status = writer_->Sync();
  if (!status.ok()) end_ = SegmentEnd::kOpen;
  return status;
}

absl::Status RollingSegmentWriter::TruncateToPublished() {
  absl::Status status = writer_->TruncateToCursor();
  if (status.ok()) must_truncate_ = false;
  return status;
}

absl::Status RollingSegmentWriter::SealPublished() {
  const std::string& path = writer_->path();
  if (writer_->file().HasLostPath()) {
    end_ = SegmentEnd::kDeleted;
    return absl::OkStatus();
  }
  if (!published_.cursor.names_started_segment()) {
    absl::Status status = DeleteFile(path);
    if (status.ok()) end_ = SegmentEnd::kDeleted;
    return status;
  }
  must_truncate_ = true;
  absl::StatusOr<Directory> directory = Directory::Open(options_.directory);
  if (!directory.ok()) return directory.status();
  // Not locked, because writer_ holds the lock.
  absl::StatusOr<SegmentFile> file =
      SegmentFile::OpenIn(*directory, std::string(Basename(path)), O_RDWR);
  if (!file.ok()) return file.status();
  if (file->identity() != writer_->file().identity()) {
    end_ = SegmentEnd::kDeleted;
    return absl::OkStatus();
  }
  // It is this writer's file, with the mode that its user chose.
  if (absl::Status s = file->CheckIsOwn(&*directory, ACCESSPERMS); !s.ok()) {
    return s;
  }
  absl::StatusOr<std::unique_ptr<SegmentWriter>> writer = SegmentWriter::Reopen(
      *std::move(file), Identity(), published_.cursor, options_.segment);
  if (!writer.ok()) return writer.status();
  // The last frame is complete now, so zstd tools accept the file.
  const bool has_end = (*writer)->AddEnd().ok() && (*writer)->Write().ok();
  end_ = has_end ? SegmentEnd::kSealed : SegmentEnd::kClosed;
  return absl::OkStatus();
}

absl::Status RollingSegmentWriter::Abandon() {
  // A Sync() that failed leaves written bytes that will not be published.
  const bool has_unpublished =
      writer_->segment_bytes() > published_.cursor.segment_bytes;
  absl::Status status = has_unpublished ? writer_->TruncateToSynced()
                                        : writer_->TruncateToCursor();
  if (!status.ok() && !writer_->file().HasLostPath()) return status;
  end_ = SegmentEnd::kAbandoned;
  return absl::OkStatus();
}

void RollingSegmentWriter::Publish(uint64_t end_position,
                                   const DropCounts& reported_drops) {
  if (writer_ != nullptr) {
    const SegmentCursor named = published_.cursor;
    published_.cursor = writer_->cursor();
    published_.cursor.segment_open_time_ns = named.segment_open_time_ns;
    published_.cursor.name_salt = named.name_salt;
    last_is_named_ = false;
    abandoned_ = absl::OkStatus();
  }
  published_.cursor.reported_drops = reported_drops;
  published_end_ = end_position;
  PublishCursor();
}

// Deletes a segment in which nothing counts, or empties it. If both fail, the
// cursor goes on to name it with no bytes, and recovery deletes it.
bool RollingSegmentWriter::RemoveSegment() {
  // Another file may have the path now.
  if (writer_->file().HasLostPath()) return true;
  return DeleteFile(writer_->path()).ok() || writer_->TruncateToCursor().ok();
}

SegmentEnd RollingSegmentWriter::Close(const absl::Status& cause) {
  if (end_ == SegmentEnd::kOpen || end_ == SegmentEnd::kEndAdded) {
    end_ = SegmentEnd::kAbandoned;
  }
  bool has_file = !writer_->is_deleted();
  if (writer_->segment_bytes() == 0 && RemoveSegment()) {
    has_file = false;
    TakeBackBegin();
  } else if (end_ == SegmentEnd::kSealed) {
    NameNext(0);
  }
  if (has_file) {
    closed_paths_.push_back(writer_->path());
    last_is_named_ = end_ != SegmentEnd::kSealed;
    if (end_ == SegmentEnd::kAbandoned) abandoned_.Update(cause);
  }
  closed_bytes_ += writer_->segment_bytes();
  writer_.reset();
  return end_;
}

std::vector<std::string> RollingSegmentWriter::TakeClosed() {
  if (last_is_named_) return {};
  return std::exchange(closed_paths_, {});
}

}  // namespace ringlog
