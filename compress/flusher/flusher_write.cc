// How a flusher brings a batch into a segment, and what it does about errors.

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/flusher/flusher_options.h"
#include "ringlog/ring/os/monotonic_time.h"
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {
namespace {

constexpr absl::Duration kMinRetryDelay = absl::Milliseconds(10);
constexpr absl::Duration kMaxRetryDelay = absl::Seconds(1);
// With the process waiting for its end.
constexpr int kAttemptsWhenStopping = 3;

// Of writing to one segment, for reasons that are the file's perhaps: every so
// many it is tried to end it; after the last, some ten seconds later, it is
// left without an end.
constexpr int kAttemptsOfAFile = 3;
constexpr int kMaxAttemptsOfAFile = 15;

}  // namespace

// The batch becomes part of the segment; then the ring is told so; then its
// slots are free. Death between two of these leaves records both in the segment
// and in the ring, and the cursor says which of them count.
//
// On an error the batch is still there, for the next turn.
absl::Status Flusher::WriteBatch() {
  // A batch that is tried again tells of them already.
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

// After an error the segment's compressor or file may be of no more use; what
// has been written is. The next batch begins another one, after a while.
absl::Status Flusher::WriteToSegment() {
  if (!segments_.is_open()) {
    // Only this turn could end it, and cannot: the ring stays, and recovery
    // does.
    if (is_ending_ && !segments_.abandoned().ok()) {
      return segments_.abandoned();
    }
    absl::Status status = Persist([this] { return segments_.Begin(); });
    if (!status.ok()) return status;
    Slots::Add(&ring_->flusher_counters()->segments, 1);
    retention_.SetDue();
    looked_for_ring_at_ = -absl::InfiniteDuration();
  }
  absl::Status status = Reported(segments_.Add(batch_.batch()));
  if (!status.ok()) {
    Reported(segments_.SealPublished()).IgnoreError();
  } else {
    status = WriteOrSealEarly();
    if (status.ok()) status = SyncOrAbandon();
    if (status.ok()) return status;
  }
  CloseSegment(status);
  MayRetry(++failed_batches_);
  return status;
}

// A disk that is full will have room again, and the file goes on then. Of other
// errors it may be the file that has them: one that may not be longer, or whose
// server has lost it. Then it is ended, and the error returned.
absl::Status Flusher::WriteOrSealEarly() {
  for (int attempts = 1;; ++attempts) {
    absl::Status status = Reported(segments_.Write());
    if (status.ok() || absl::IsNotFound(status)) return status;
    LookForReasons(status);
    if (!absl::IsResourceExhausted(status) &&
        attempts % kAttemptsOfAFile == 0) {
      if (segments_.SealPublished().ok()) return status;
      // Better a segment without an end than none at all.
      if (attempts >= kMaxAttemptsOfAFile && segments_.Abandon().ok()) {
        return status;
      }
    }
    if (!MayRetry(attempts)) return status;
  }
}

// The batch comes again in the next segment after an error, and may not be in
// two.
absl::Status Flusher::SyncOrAbandon() {
  absl::Status status = Reported(segments_.Sync());
  if (status.ok()) return status;
  if (Persist([this] { return segments_.Abandon(); }).ok()) {
    Reported(segments_.Sync()).IgnoreError();
  }
  return status;
}

absl::Status Flusher::EndSegment() {
  rotations_.SegmentEnded();
  if (!segments_.is_open()) return absl::OkStatus();
  end_status_ = WriteEnd();
  CloseSegment(end_status_);
  return end_status_;
}

// The cursor stays where it was before the end until CloseSegment(): recovery
// ends the segment again, and may add to it.
absl::Status Flusher::WriteEnd() {
  absl::Status status = Reported(segments_.AddEnd());
  if (!status.ok()) return status;
  status = WriteOrSealEarly();
  // All that was in it had been persisted, and went with the file.
  if (absl::IsNotFound(status)) return absl::OkStatus();
  return status.ok() ? Reported(segments_.Sync()) : status;
}

void Flusher::CloseSegment(const absl::Status& cause) {
  const SegmentEnd end = segments_.Close(cause);
  may_restart_ = !cause.ok() && end != SegmentEnd::kAbandoned;
  retention_.SetDue();
  TellOfLeft();
}

// Not as long as recovery could add to them.
void Flusher::TellOfLeft() {
  for (const std::string& path : segments_.TakeClosed()) {
    TellSegmentClosed(options_, path);
  }
}

// Tries until it works, or until Stop() and a few times more. The ring keeps
// the records meanwhile.
template <typename Attempt>
absl::Status Flusher::Persist(Attempt attempt) {
  for (int attempts = 1;; ++attempts) {
    absl::Status status = Reported(attempt());
    if (status.ok()) return status;
    LookForReasons(status);
    if (!MayRetry(attempts)) return status;
  }
}

// What the next attempt may profit from, or somebody should know before it.
void Flusher::LookForReasons(const absl::Status& status) {
  if (absl::IsResourceExhausted(status)) {
    retention_.SetDueSoon();
    RunHousekeeping();
  } else {
    // The ring may have gone with its directory.
    looked_for_ring_at_ = -absl::InfiniteDuration();
  }
  LookForRing();
}

// Waits before the next attempt. False if there should be none.
bool Flusher::MayRetry(int attempt) {
  const absl::Duration delay = std::min(
      kMaxRetryDelay, kMinRetryDelay * (1 << std::min(attempt - 1, 10)));
  ForkSafeMutexLock lock(&monitor_);
  if (stopping_ && attempt >= kAttemptsWhenStopping) return false;
  if (stopping_) {
    // Nobody wakes us again.
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
  TellOfLeft();
}

absl::Status Flusher::RotateIfWanted() {
  if (!rotations_.IsReady(batch_.end_position())) {
    return ShouldRotate(options_.rotation, segments_.segment_bytes())
               ? EndSegment()
               : absl::OkStatus();
  }
  absl::Status status = EndSegment();
  if (rotations_.IsReady(batch_.end_position())) rotations_.Answer(status);
  return status;
}

void Flusher::UpdateCounters() {
  FlusherCounters* const counters = ring_->flusher_counters();
  const SegmentWriter::Batch batch = batch_.batch();
  Slots::Add(&counters->records, batch.summary.record_count());
  Slots::Add(&counters->text_bytes, batch.lines.size());
  Slots::Set(&counters->compressed_bytes, segments_.total_bytes());
  const int64_t now = absl::GetCurrentTimeNanos();
  if (batch_.min_time_ns() != 0) {
    Slots::Set(&counters->lag_ns, now - batch_.min_time_ns());
  }
  Slots::Set(&counters->last_write_time_ns, now);
}

// Counts and tells an error.
absl::Status Flusher::Reported(absl::Status status) {
  if (status.ok()) return status;
  FlusherCounters* const counters = ring_->flusher_counters();
  Slots::Add(&counters->write_errors, 1);
  Slots::Set(&counters->last_error, static_cast<uint64_t>(status.raw_code()));
  if (options_.on_write != nullptr) {
    options_.on_write(status);
    return status;
  }
  WarnRateLimited(absl::StrCat(
      status.message(), batch_.empty() ? absl::string_view() : kRecordsStay));
  return status;
}

}  // namespace ringlog
