// The part of Flusher that writes a batch to a segment and handles errors.

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/flusher/flusher_options.h"
#include "ringlog/ring/os/monotonic_time.h"
#include "ringlog/ring/os/stderr_log.h"
#include "ringlog/ring/relaxed.h"

namespace ringlog {
namespace {

constexpr absl::Duration kMinRetryDelay = absl::Milliseconds(10);
constexpr absl::Duration kMaxRetryDelay = absl::Seconds(1);
// Attempts of each operation while Stop() waits.
constexpr int kAttemptsWhenStopping = 3;

// Failed writes to one file, with errors that the file itself may cause. After
// each kAttemptsOfAFile of them, tries to close the segment. After
// kMaxAttemptsOfAFile, some ten seconds later, abandons it without an end.
constexpr int kAttemptsOfAFile = 3;
constexpr int kMaxAttemptsOfAFile = 15;

}  // namespace

// Writes the batch to the segment, publishes the cursor, releases the slots.
// Death here: between two of these steps the records are both in the segment
// and in the ring, and the cursor decides which copies count.
//
// After an error the batch stays, and the next iteration tries again.
absl::Status Flusher::WriteBatch() {
  // A batch that is tried again already has these gaps.
  if (failed_batches_ == 0) drain_.AddDropGaps(&batch_);
  batch_.SetEnd(ring_->take_position());
  if (!batch_.empty()) {
    if (absl::Status s = WriteToSegment(); !s.ok()) return s;
  }
  failed_batches_ = 0;
  PublishAndRelease();
  if (options_.on_write != nullptr) options_.on_write(absl::OkStatus());
  return RotateIfWanted();
}

// Adds the batch to the current segment; begins one if none is open. After an
// error the compressor or the file may be unusable, so it closes the segment,
// and the next attempt begins another one after a delay. The data that was
// written before stays valid.
absl::Status Flusher::WriteToSegment() {
  if (!segments_.is_open()) {
    // The abandoned segment still needs its end. Recovery adds that end, if the
    // cursor goes on naming that segment.
    if (is_ending_ && !segments_.abandoned().ok()) {
      return segments_.abandoned();
    }
    // First, because Begin() may create the directory that was the ring's, too.
    CheckRingFile(/*at_once=*/true);
    absl::Status status = Persist([this] { return segments_.Begin(); });
    if (!status.ok()) return status;
    AddRelaxed(&ring_->flusher_counters()->segments, 1);
    retention_.SetDue();
  }
  absl::Status status = Reported(segments_.Add(batch_.batch()));
  if (!status.ok()) {
    Reported(segments_.SealPublished()).IgnoreError();
  } else {
    status = WriteOrSealEarly();
    if (status.ok()) status = SyncOrAbandon();
    if (status.ok()) return status;
  }
  CloseFile(status);
  MayRetry(++failed_batches_);
  return status;
}

// Writes until it succeeds. Goes by the error:
//
//   full disk        tries again in the same file
//   file is deleted  returns the error
//   other errors     the file may cause them (it is at its size limit, or its
//                    server has lost it): seals the published bytes, or
//                    abandons the segment, and returns the error
absl::Status Flusher::WriteOrSealEarly() {
  for (int attempts = 1;; ++attempts) {
    absl::Status status = Reported(segments_.Write());
    if (status.ok() || absl::IsNotFound(status)) return status;
    PrepareRetry(status);
    if (!absl::IsResourceExhausted(status) &&
        attempts % kAttemptsOfAFile == 0) {
      if (segments_.SealPublished().ok()) return status;
      // The records matter more than the segment's end.
      if (attempts >= kMaxAttemptsOfAFile && segments_.Abandon().ok()) {
        return status;
      }
    }
    if (!MayRetry(attempts)) return status;
  }
}

// Syncs the segment. After an error removes the batch from the segment, because
// the next segment will have it.
absl::Status Flusher::SyncOrAbandon() {
  absl::Status status = Reported(segments_.Sync());
  if (status.ok()) return status;
  if (Persist([this] { return segments_.Abandon(); }).ok()) {
    Reported(segments_.Sync()).IgnoreError();
  }
  return status;
}

absl::Status Flusher::CloseSegment() {
  rotations_.SegmentClosed();
  if (!segments_.is_open()) return absl::OkStatus();
  end_status_ = WriteEnd();
  CloseFile(end_status_);
  return end_status_;
}

// Writes the segment's end. Until CloseFile() the cursor stays in front of
// the end: recovery may add records there, and closes the segment again.
absl::Status Flusher::WriteEnd() {
  absl::Status status = Reported(segments_.AddEnd());
  if (!status.ok()) return status;
  status = WriteOrSealEarly();
  // The file was deleted, and all its records had been persisted.
  if (absl::IsNotFound(status)) return absl::OkStatus();
  return status.ok() ? Reported(segments_.Sync()) : status;
}

void Flusher::CloseFile(const absl::Status& cause) {
  const SegmentEnd end = segments_.Close(cause);
  may_restart_ = !cause.ok() && end != SegmentEnd::kAbandoned;
  retention_.SetDue();
  ReportClosedSegments();
}

// Calls on_segment_closed for each closed segment, unless recovery could still
// add to one of them.
void Flusher::ReportClosedSegments() {
  for (const std::string& path : segments_.TakeClosed()) {
    CallOnSegmentClosed(options_, path);
  }
}

// Calls `attempt` until it succeeds; after Stop(), at most
// kAttemptsWhenStopping times. The records stay in the ring.
template <typename Attempt>
absl::Status Flusher::Persist(Attempt attempt) {
  for (int attempts = 1;; ++attempts) {
    absl::Status status = Reported(attempt());
    if (status.ok()) return status;
    PrepareRetry(status);
    if (!MayRetry(attempts)) return status;
  }
}

// Does what may help the next attempt, or explains the error: runs retention if
// the disk is full, and otherwise checks the ring, which may have been deleted
// with its directory.
void Flusher::PrepareRetry(const absl::Status& status) {
  if (absl::IsResourceExhausted(status)) {
    retention_.SetDueSoon();
    RunHousekeeping();
    // Without room, there is nothing else to do.
    retention_.AwaitRun(kMaxRetryDelay);
  }
  CheckRingFile(/*at_once=*/!absl::IsResourceExhausted(status));
}

// Waits before the next attempt, longer after each one. Returns false if there
// must be none.
bool Flusher::MayRetry(int attempt) {
  const absl::Duration delay = std::min(
      kMaxRetryDelay, kMinRetryDelay * (1 << std::min(attempt - 1, 10)));
  ForkSafeMutexLock lock(&monitor_);
  if (stopping_ && attempt >= kAttemptsWhenStopping) return false;
  if (stopping_) {
    // There is no event to wait for after Stop().
    const auto never = []() { return false; };
    monitor_.AwaitWithTimeout(never, kMinRetryDelay);
  } else {
    const auto is_stopping = [this]() ABSL_SHARED_LOCKS_REQUIRED(monitor_) {
      return stopping_;
    };
    monitor_.AwaitWithTimeout(is_stopping, delay);
  }
  return true;
}

void Flusher::PublishAndRelease() {
  const uint64_t end = batch_.end_position();
  written_at_ = MonotonicTime();
  {
    ForkSafeMutexLock lock(&monitor_);
    if (batch_.empty() && end == persisted_) return;
  }
  segments_.Publish(end, drain_.reported_drops());
  ring_->Release();
  UpdateCounters();
  batch_.Clear();
  {
    ForkSafeMutexLock lock(&monitor_);
    persisted_ = end;
  }
  ReportClosedSegments();
}

absl::Status Flusher::RotateIfWanted() {
  if (!rotations_.IsReady(batch_.end_position())) {
    return ShouldRotate(options_.rotation, segments_.segment_bytes())
               ? CloseSegment()
               : absl::OkStatus();
  }
  absl::Status status = CloseSegment();
  if (rotations_.IsReady(batch_.end_position())) rotations_.Answer(status);
  return status;
}

void Flusher::UpdateCounters() {
  FlusherCounters* const counters = ring_->flusher_counters();
  const SegmentWriter::Batch batch = batch_.batch();
  AddRelaxed(&counters->records, batch.summary.record_count());
  AddRelaxed(&counters->text_bytes, batch.lines.size());
  StoreRelaxed(&counters->compressed_bytes, segments_.total_bytes());
  const int64_t now = absl::GetCurrentTimeNanos();
  if (batch_.min_time_ns() != 0) {
    StoreRelaxed(&counters->lag_ns, now - batch_.min_time_ns());
  }
  StoreRelaxed(&counters->last_write_time_ns, now);
}

// Counts and reports an error, and returns `status`.
absl::Status Flusher::Reported(absl::Status status) {
  if (status.ok()) return status;
  FlusherCounters* const counters = ring_->flusher_counters();
  AddRelaxed(&counters->write_errors, 1);
  StoreRelaxed(&counters->last_error, static_cast<uint64_t>(status.raw_code()));
  if (options_.on_write != nullptr) {
    options_.on_write(status);
    return status;
  }
  WarnRateLimited(absl::StrCat(
      status.message(), batch_.empty() ? absl::string_view() : kRecordsStay));
  return status;
}

}  // namespace ringlog
