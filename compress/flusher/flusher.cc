#include "ringlog/compress/flusher/flusher.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/os/background_thread.h"
#include "ringlog/ring/os/monotonic_time.h"
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {
namespace {

// How often the ring is looked at. Writers never wake the thread, for that
// would be a system call: so this, and not the flush interval, has to be short
// enough for a burst not to fill the ring in between.
constexpr absl::Duration kPollInterval = absl::Milliseconds(5);

// How long the end waits for records that are just being written.
constexpr absl::Duration kSealTimeout = absl::Milliseconds(500);

// Besides at the beginning of each segment.
constexpr absl::Duration kLookInterval = absl::Minutes(1);

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
      leftovers_(LogDirectoriesOf(*ring, options.directory),
                 options.leftover_interval, !options.limits_wait),
      fork_generation_(ForkGeneration::Now()) {}

Flusher::~Flusher() { Stop().IgnoreError(); }

bool Flusher::Flush(absl::Duration timeout) {
  if (!IsOwner() || IsOwnThread()) return false;
  const uint64_t target = ring_->tail_position();
  ForkSafeMutexLock lock(&monitor_);
  flush_target_ = std::max(flush_target_, target);
  const auto done = [this, target]() ABSL_SHARED_LOCKS_REQUIRED(monitor_) {
    return persisted_ >= target || has_ended_;
  };
  monitor_.AwaitWithTimeout(done, timeout);
  return persisted_ >= target;
}

void Flusher::Reconfigure(const FlusherOptions& options) {
  if (!IsOwner()) return;
  ForkSafeMutexLock lock(&monitor_);
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
  { ForkSafeMutexLock lock(&monitor_); }
  return rotations_.Await(number, timeout);
}

absl::Status Flusher::Stop() {
  if (!IsOwner()) return absl::OkStatus();
  // A program that ends there leaves its ring.
  if (IsOwnThread()) return CannotWaitForItself();
  absl::call_once(stop_once_, [this] {
    if (!thread_.has_value()) return;  // it was not to be had
    {
      ForkSafeMutexLock lock(&monitor_);
      stopping_ = true;
    }
    pthread_join(*thread_, nullptr);
  });
  return result_;
}

bool Flusher::IsOwnThread() const { return this_threads_flusher == this; }

// True if it is the last.
bool Flusher::WaitForTurn() {
  ForkSafeMutexLock lock(&monitor_);
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
  RunHousekeeping();
  while (!WaitForTurn()) {
    Turn(/*flush=*/false).IgnoreError();
    RunHousekeeping();
    LookForRing();
  }
  result_ = Finish();
  ring_->StopConsuming();
  EndSegment().IgnoreError();
  result_.Update(end_status_);
  TellWhatIsLost();
  rotations_.Close(result_);
  RunHousekeeping();
  retention_.TellLosses();
  ForkSafeMutexLock lock(&monitor_);
  has_ended_ = true;
}

absl::Status Flusher::Turn(bool flush) {
  std::optional<FlusherOptions> next_options;
  {
    ForkSafeMutexLock lock(&monitor_);
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
// it is sealed there can be no more of them. Tried again in another segment if
// that of before needs no recovery, which goes by the ring's cursor, and that
// names the last one alone.
absl::Status Flusher::Finish() {
  const absl::Duration begin = MonotonicTime();
  is_ending_ = true;
  for (int failures = 0;;) {
    may_restart_ = false;
    if (absl::Status s = Turn(/*flush=*/true); !s.ok()) {
      if (!may_restart_ || !MayRetry(++failures)) return s;
      continue;
    }
    if (ring_->Seal()) break;
    if (MonotonicTime() - begin >= kSealTimeout) {
      return absl::UnavailableError("records are still being written");
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
  ForkSafeMutexLock lock(&monitor_);
  persisted_ = std::numeric_limits<uint64_t>::max();
  return absl::OkStatus();
}

// With the ring, when nobody will find it and it could not be written.
void Flusher::TellWhatIsLost() {
  if (result_.ok() || ring_->outlives_process()) return;
  uint64_t records = batch_.batch().summary.record_count();
  uint64_t position;
  do {
    position = ring_->take_position();
    while (const std::optional<Ring::Taken> taken = ring_->Take()) {
      if (!taken->gap) ++records;
    }
    // Others may have logged behind a writer that is stuck.
    ring_->Skip(ring_->tail_position());
  } while (ring_->take_position() != position);
  if (records == 0) return;
  WarnDataLoss(
      absl::StrCat("lost: ", records,
                   records == 1 ? " record that was" : " records that were",
                   " in memory only: ", result_.message(), "; ",
                   TotalOf(ring_->dropped()), " had been dropped before"));
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
    RunHousekeeping();
    has_more_ = batch_.end_position() >= end;
    if (has_more_) break;
  }
  return absl::OkStatus();
}

void Flusher::RunHousekeeping() {
  if (!keeps_to_limits_.load()) return;
  // The end of the process would cut a recovery short.
  if (!is_ending_ && leftovers_.RunIfDue(MonotonicTime(), options_.segment)) {
    retention_.SetDue();
  }
  // What is being recovered counts, and takes less room then. A process that
  // never lives to see that keeps to its limits at its start and its end.
  const bool may_wait = has_kept_to_limits_ && !is_ending_;
  if (!options_.retention.has_limit() ||
      (may_wait && leftovers_.is_running())) {
    return;
  }
  has_kept_to_limits_ = true;
  retention_.RunIfDue();
  FlusherCounters* const counters = ring_->flusher_counters();
  Slots::Set(&counters->deleted_files, retention_.deleted_files());
  Slots::Set(&counters->delete_errors, retention_.errors());
}

// Somebody may have deleted it, perhaps with all of its directory.
void Flusher::LookForRing() {
  const absl::Duration now = MonotonicTime();
  if (ring_is_lost_ || now - looked_for_ring_at_ < kLookInterval) return;
  looked_for_ring_at_ = now;
  if (!ring_->is_deleted()) return;
  ring_is_lost_ = true;
  WarnDataLoss(absl::StrCat("somebody has deleted ", ring_->path(),
                            ": records do not survive the process before "
                            "they are in a segment"));
}

}  // namespace ringlog
