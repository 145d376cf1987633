#include "ringlog/compress/flusher.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "ringlog/compress/background_thread.h"
#include "ringlog/compress/complain.h"
#include "ringlog/ring/monotonic_time.h"

namespace ringlog {
namespace {

// How often the ring is looked at. Writers never wake the thread, for that
// would be a system call: so this, and not the flush interval, has to be short
// enough for a burst not to fill the ring in between.
constexpr absl::Duration kPollInterval = absl::Milliseconds(5);

constexpr absl::Duration kMinRetryDelay = absl::Milliseconds(10);
constexpr absl::Duration kMaxRetryDelay = absl::Seconds(1);
// With the process waiting for its end.
constexpr int kAttemptsWhenStopping = 3;
// How long the end waits for records that are just being written.
constexpr absl::Duration kSealTimeout = absl::Milliseconds(500);

// Of writing to one segment, for reasons that are the file's perhaps: every so
// many it is tried to end it; after the last, some ten seconds later, it is
// left without an end.
constexpr int kAttemptsOfAFile = 3;
constexpr int kMaxAttemptsOfAFile = 15;

// Of the thread that is one.
thread_local const Flusher* this_threads_flusher = nullptr;

absl::Status CannotWaitForItself() {
  return absl::FailedPreconditionError(
      "the flusher cannot wait for itself: called from on_segment_closed");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Flusher>> Flusher::Start(
    Ring* ring, const FlusherOptions& options) {
  std::unique_ptr<Flusher> flusher(new Flusher(ring, options));
  const absl::StatusOr<pthread_t> thread =
      StartBackgroundThread("ringlog", [f = flusher.get()] { f->Run(); });
  if (!thread.ok()) return thread.status();
  flusher->thread_ = *thread;
  return flusher;
}

Flusher::Flusher(Ring* ring, const FlusherOptions& options)
    : ring_(ring),
      rotations_(ring, options.rotation),
      persisted_(ring->take_position()),
      recent_(options.recent_records == 0
                  ? nullptr
                  : std::make_unique<RecentLines>(options.recent_records)),
      keeps_to_limits_(!options.limits_wait),
      options_(options),
      batch_(options.format, ring->take_position(), recent_.get()),
      drain_(ring, options.stuck_writer_timeout),
      segments_(ring, SequenceOptions(options)),
      retention_(options.retention, LogDirectoriesOf(*ring, options.directory)),
      fork_generation_(ForkGeneration::Now()) {}

Flusher::~Flusher() { Stop().IgnoreError(); }

bool Flusher::Flush(absl::Duration timeout) {
  if (!IsOwner() || IsOwnThread()) return false;
  const uint64_t target = ring_->tail_position();
  MonitorLock lock(&monitor_);
  flush_target_ = std::max(flush_target_, target);
  const auto done = [this, target]() ABSL_SHARED_LOCKS_REQUIRED(monitor_) {
    return persisted_ >= target;
  };
  return monitor_.AwaitWithTimeout(done, timeout);
}

void Flusher::Reconfigure(const FlusherOptions& options) {
  if (!IsOwner()) return;
  MonitorLock lock(&monitor_);
  next_options_ = options;
}

std::vector<std::string> Flusher::Recent(size_t count) const {
  if (recent_ == nullptr || !IsOwner()) return {};
  return recent_->Last(count);
}

absl::Status Flusher::Rotate(absl::Duration timeout) {
  if (!IsOwner()) {
    return absl::FailedPreconditionError(
        "a forked child has no flusher of its own");
  }
  if (IsOwnThread()) return CannotWaitForItself();
  const uint64_t number = rotations_.Ask();
  if (number == 0) {
    return absl::FailedPreconditionError("the flusher has been stopped");
  }
  // It may look at its conditions now.
  { MonitorLock lock(&monitor_); }
  return rotations_.Await(number, timeout);
}

absl::Status Flusher::Stop() {
  if (!IsOwner()) return absl::OkStatus();
  // A program that ends there leaves its ring.
  if (IsOwnThread()) return CannotWaitForItself();
  absl::call_once(stop_once_, [this] {
    if (!thread_.has_value()) return;  // it was not to be had
    {
      MonitorLock lock(&monitor_);
      stopping_ = true;
    }
    pthread_join(*thread_, nullptr);
  });
  return result_;
}

bool Flusher::IsOwnThread() const { return this_threads_flusher == this; }

// True if it is the last.
bool Flusher::WaitForTurn() {
  MonitorLock lock(&monitor_);
  const auto wanted = [this]() ABSL_SHARED_LOCKS_REQUIRED(monitor_) {
    return stopping_ || flush_target_ > std::max(persisted_, tried_target_) ||
           rotations_.has_news();
  };
  monitor_.AwaitWithTimeout(wanted,
                            has_more_ ? absl::ZeroDuration() : kPollInterval);
  return stopping_;
}

void Flusher::Run() {
  this_threads_flusher = this;
  KeepToLimits();
  while (!WaitForTurn()) {
    Turn(/*flush=*/false).IgnoreError();
    KeepToLimits();
  }
  result_ = Finish();
  result_.Update(EndSegment());
  rotations_.Close(result_);
  KeepToLimits();
}

absl::Status Flusher::Turn(bool flush) {
  std::optional<FlusherOptions> next_options;
  {
    MonitorLock lock(&monitor_);
    next_options.swap(next_options_);
    flush |= flush_target_ > persisted_;
    // What is not reached now waits for a writer: it is looked at again after a
    // while, like everything.
    tried_target_ = flush_target_;
  }
  // By the schedule that was in force until now.
  rotations_.Look(absl::Now(), segments_.is_open());
  if (next_options) Adopt(*next_options);
  if (absl::Status s = TakeAll(); !s.ok()) return s;
  return IsDue(flush) ? WriteBatch() : absl::OkStatus();
}

// A segment is synced from its beginning to its end, or not at all.
void Flusher::Adopt(const FlusherOptions& options) {
  if (options.sync != options_.sync) EndSegment().IgnoreError();
  options_ = options;
  segments_.Reconfigure(SequenceOptions(options_));
  rotations_.Reconfigure(options_.rotation, absl::Now());
  retention_.Reconfigure(options_.retention);
}

bool Flusher::IsDue(bool flush) const {
  if (flush || rotations_.is_pending()) return true;
  const absl::Duration waited = MonotonicTime() - written_at_;
  if (!options_.sync) return waited >= options_.flush_interval;
  if (waited >= options_.sync_interval) return true;
  return batch_.has_record_of(options_.sync_severity);
}

// The last turn, as often as records are still on their way into the ring; when
// it is sealed there can be no more of them.
absl::Status Flusher::Finish() {
  const absl::Duration begin = MonotonicTime();
  for (;;) {
    if (absl::Status s = Turn(/*flush=*/true); !s.ok()) return s;
    if (ring_->Seal()) break;
    if (MonotonicTime() - begin >= kSealTimeout) {
      return absl::UnavailableError("records are still being written");
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
  MonitorLock lock(&monitor_);
  persisted_ = std::numeric_limits<uint64_t>::max();
  return absl::OkStatus();
}

// What there is now: others may log faster than this writes, and there is more
// to a turn. Writes the batch as often as it is full.
absl::Status Flusher::TakeAll() {
  const size_t batch_bytes =
      options_.sync ? options_.segment.frame_bytes : options_.batch_bytes;
  const uint64_t end = ring_->tail_position();
  has_more_ = false;
  while (drain_.FillBatch(batch_bytes, &batch_)) {
    if (absl::Status s = WriteBatch(); !s.ok()) return s;
    // Writers may keep it here for as long as they like.
    rotations_.Look(absl::Now(), segments_.is_open());
    KeepToLimits();
    has_more_ = batch_.end_position() >= end;
    if (has_more_) break;
  }
  return absl::OkStatus();
}

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
  return RotateIfWanted();
}

// After an error the segment's compressor or file may be of no more use; what
// has been written is. The next batch begins another one, after a while.
absl::Status Flusher::WriteToSegment() {
  if (!segments_.is_open()) {
    absl::Status status = Persist([this] { return segments_.Begin(); });
    if (!status.ok()) return status;
    Slots::Add(&ring_->flusher_counters()->segments, 1);
    retention_.SetDue();
  }
  absl::Status status = Reported(segments_.Add(batch_.batch()));
  if (!status.ok()) {
    Reported(segments_.EndEarly()).IgnoreError();
  } else {
    status = WriteOrEndEarly();
    if (status.ok()) status = SyncOrCutBack();
    if (status.ok()) return status;
  }
  LeaveSegment();
  MayRetry(++failed_batches_);
  return status;
}

// A disk that is full will have room again, and the file goes on then. Of other
// errors it may be the file that has them: one that may not be longer, or whose
// server has lost it. Then it is ended, and the error returned.
absl::Status Flusher::WriteOrEndEarly() {
  for (int attempts = 1;; ++attempts) {
    absl::Status status = Reported(segments_.Write());
    if (status.ok() || absl::IsNotFound(status)) return status;
    if (absl::IsResourceExhausted(status)) {
      retention_.SetDueSoon();
      KeepToLimits();
    } else if (attempts % kAttemptsOfAFile == 0) {
      if (segments_.EndEarly().ok()) return status;
      // Better a segment without an end than none at all.
      if (attempts >= kMaxAttemptsOfAFile && segments_.CutToPublished().ok()) {
        return status;
      }
    }
    if (!MayRetry(attempts)) return status;
  }
}

// The batch comes again in the next segment after an error, and may not be in
// two.
absl::Status Flusher::SyncOrCutBack() {
  absl::Status status = Reported(segments_.Sync());
  if (status.ok()) return status;
  if (Persist([this] { return segments_.CutBack(); }).ok()) {
    Reported(segments_.SyncCut()).IgnoreError();
  }
  return status;
}

absl::Status Flusher::EndSegment() {
  rotations_.SegmentEnded();
  if (!segments_.is_open()) return absl::OkStatus();
  // The cursor stays where it was before the end: recovery ends the segment
  // again, and may add to it.
  absl::Status status = Reported(segments_.AddEnd());
  if (status.ok()) status = WriteOrEndEarly();
  if (status.ok()) status = Reported(segments_.Sync());
  LeaveSegment();
  return status;
}

void Flusher::LeaveSegment() {
  const std::string path = segments_.Leave();
  retention_.SetDue();
  if (!path.empty()) TellSegmentClosed(options_, path);
}

// Tries until it works, or until Stop() and a few times more. The ring keeps
// the records meanwhile.
template <typename Attempt>
absl::Status Flusher::Persist(Attempt attempt) {
  for (int attempts = 1;; ++attempts) {
    absl::Status status = Reported(attempt());
    if (status.ok()) return status;
    if (absl::IsResourceExhausted(status)) {
      retention_.SetDueSoon();
      KeepToLimits();
    }
    if (!MayRetry(attempts)) return status;
  }
}

// Waits before the next attempt. False if there should be none.
bool Flusher::MayRetry(int attempt) {
  const absl::Duration delay = std::min(
      kMaxRetryDelay, kMinRetryDelay * (1 << std::min(attempt - 1, 10)));
  MonitorLock lock(&monitor_);
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
    MonitorLock lock(&monitor_);
    if (batch_.empty() && end == persisted_) return;
  }
  segments_.Publish(end, drain_.reported_drops());
  ring_->Release();
  UpdateCounters();
  batch_.Clear();
  MonitorLock lock(&monitor_);
  persisted_ = end;
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

void Flusher::KeepToLimits() {
  if (!options_.retention.has_limit() || !keeps_to_limits_.load()) return;
  retention_.RunIfDue();
  FlusherCounters* const counters = ring_->flusher_counters();
  Slots::Set(&counters->deleted_files, retention_.deleted_files());
  Slots::Set(&counters->delete_errors, retention_.errors());
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
  Complain(absl::StrCat(status.message(),
                        "; the records stay in the ring, and are tried again"));
  return status;
}

}  // namespace ringlog
