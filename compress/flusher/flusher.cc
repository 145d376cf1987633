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
#include "ringlog/ring/relaxed.h"

namespace ringlog {
namespace {

// Time between two iterations. Writers never wake the thread, because that is a
// system call. So this interval, and not the flush interval, must be too short
// for a burst to fill the ring.
constexpr absl::Duration kPollInterval = absl::Milliseconds(5);

// Longest time that Stop() waits for records that are being written.
constexpr absl::Duration kSealTimeout = absl::Milliseconds(500);

// Time between two checks of the ring's path; each new segment and each error
// causes a check, too.
constexpr absl::Duration kRingCheckInterval = absl::Seconds(10);

// Longest time between two attempts to replace a lost ring. Each attempt
// allocates a complete ring.
constexpr absl::Duration kMaxReplaceInterval = absl::Minutes(1);

// The flusher whose thread this is; null in other threads.
thread_local const Flusher* this_threads_flusher = nullptr;

RetentionPolicy RetentionPolicyOf(const FlusherOptions& options) {
  return {options.retention, options.segment.mode};
}

absl::Status CannotWaitForItself() {
  return absl::FailedPreconditionError(
      "wait for the flusher: called from on_segment_closed, in its own thread");
}

}  // namespace

absl::StatusOr<std::unique_ptr<Flusher>> Flusher::Start(
    Ring* ring, const FlusherOptions& options, BackgroundRecovery* recovery) {
  std::unique_ptr<Flusher> flusher(new Flusher(ring, options, recovery));
  const absl::StatusOr<pthread_t> thread =
      StartBackgroundThread("ringlog", [f = flusher.get()] { f->Run(); });
  if (!thread.ok()) return thread.status();
  flusher->thread_ = *thread;
  return flusher;
}

Flusher::Flusher(Ring* ring, const FlusherOptions& options,
                 BackgroundRecovery* recovery)
    : ring_(ring),
      recovery_(recovery),
      rotations_(ring, options.rotation),
      persisted_(ring->take_position()),
      recent_(options.recent_records == 0
                  ? nullptr
                  : std::make_unique<RecentLines>(options.recent_records)),
      options_(options),
      batch_(options.format, ring->take_position(), recent_.get()),
      drain_(ring, options.stuck_writer_timeout),
      segments_(ring, SequenceOptions(options)),
      retention_(RetentionPolicyOf(options),
                 LogDirectoriesOf(*ring, options.directory), recovery),
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
        "rotate: a forked child has no flusher of its own");
  }
  if (IsOwnThread()) return CannotWaitForItself();
  const uint64_t number = rotations_.Ask();
  if (number == 0) {
    return absl::FailedPreconditionError("rotate: the flusher was stopped");
  }
  // Wakes the thread: an unlock makes it evaluate its condition again.
  { ForkSafeMutexLock lock(&monitor_); }
  return rotations_.Await(number, timeout);
}

absl::Status Flusher::Stop() {
  if (!IsOwner()) return absl::OkStatus();
  // A program that ends in on_segment_closed leaves its ring to recovery.
  if (IsOwnThread()) return CannotWaitForItself();
  absl::call_once(stop_once_, [this] {
    if (!thread_.has_value()) return;  // Start() has failed
    {
      ForkSafeMutexLock lock(&monitor_);
      stopping_ = true;
    }
    pthread_join(*thread_, nullptr);
  });
  return result_;
}

bool Flusher::IsOwnThread() const { return this_threads_flusher == this; }

bool Flusher::AwaitIteration() {
  ForkSafeMutexLock lock(&monitor_);
  const auto wanted = [this]() ABSL_SHARED_LOCKS_REQUIRED(monitor_) {
    return stopping_ || flush_target_ > std::max(persisted_, tried_target_) ||
           rotations_.has_new_requests();
  };
  monitor_.AwaitWithTimeout(wanted,
                            has_more_ ? absl::ZeroDuration() : kPollInterval);
  return stopping_;
}

void Flusher::Run() {
  this_threads_flusher = this;
  RunHousekeeping();
  while (!AwaitIteration()) {
    const bool flush = ring_->has_successor();
    const bool is_written = Iterate(flush).ok();
    RunHousekeeping();
    CheckRingFile();
    if (flush && is_written && ring_->Seal()) break;
  }
  result_ = ring_->is_sealed() ? absl::OkStatus() : Finish();
  ring_->SetFlusherEnded();
  CloseSegment().IgnoreError();
  result_.Update(end_status_);
  ReportLostRecords();
  rotations_.Close(result_);
  retention_.RunLast();
  UpdateRetentionCounters();
  DiscardRing();
  ForkSafeMutexLock lock(&monitor_);
  if (ring_->is_sealed()) persisted_ = std::numeric_limits<uint64_t>::max();
  has_ended_ = true;
}

// Deletes a ring that has been replaced and has no records, because its memory
// stays mapped until the process ends. (A crash report gets into a segment only
// by recovery.)
void Flusher::DiscardRing() {
  if (!result_.ok() || !ring_->has_successor() ||
      !ring_->crash_area().empty()) {
    return;
  }
  ring_->DeleteFile().IgnoreError();
  ring_->DiscardSlots();
}

// Writes a batch if one is due, at once if `flush` or a Flush() waits.
absl::Status Flusher::Iterate(bool flush) {
  std::optional<FlusherOptions> next_options;
  {
    ForkSafeMutexLock lock(&monitor_);
    next_options.swap(next_options_);
    flush |= flush_target_ > persisted_;
    // If this iteration does not reach the target, a writer is at work: the
    // next iteration tries again after the usual interval.
    tried_target_ = flush_target_;
  }
  // Before Adopt(), because the former schedule was in force until now.
  rotations_.Poll(absl::Now(), segments_.is_open());
  if (next_options) Adopt(*next_options);
  if (absl::Status s = TakeAll(); !s.ok()) return s;
  return IsDue(flush) ? WriteBatch() : absl::OkStatus();
}

// Starts to use `options`. Closes the segment if `sync` changes: either all of
// a segment is synced or nothing.
void Flusher::Adopt(const FlusherOptions& options) {
  if (options.sync != options_.sync) CloseSegment().IgnoreError();
  options_ = options;
  segments_.Reconfigure(SequenceOptions(options_));
  rotations_.Reconfigure(options_.rotation, absl::Now());
  retention_.Reconfigure(RetentionPolicyOf(options_));
}

bool Flusher::IsDue(bool flush) const {
  if (flush || rotations_.is_pending()) return true;
  const absl::Duration waited = MonotonicTime() - written_at_;
  if (!options_.sync) return waited >= options_.flush_interval;
  if (waited >= options_.sync_interval) return true;
  return batch_.has_record_of(options_.sync_severity);
}

// Runs the last iterations, until the ring can be sealed. On an error, tries
// again in a new segment, but only if the previous segment needs no recovery:
// recovery goes by the ring's cursor, which names one segment.
absl::Status Flusher::Finish() {
  const absl::Duration begin = MonotonicTime();
  is_ending_ = true;
  for (int failures = 0;;) {
    may_restart_ = false;
    if (absl::Status s = Iterate(/*flush=*/true); !s.ok()) {
      if (!may_restart_ || !MayRetry(++failures)) return s;
      continue;
    }
    if (ring_->Seal()) break;
    if (MonotonicTime() - begin >= kSealTimeout) {
      return absl::UnavailableError(
          "seal the ring: records are still being written");
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
  ForkSafeMutexLock lock(&monitor_);
  persisted_ = std::numeric_limits<uint64_t>::max();
  return absl::OkStatus();
}

// Reports the number of records that end with the process: those that could not
// be written and are in a ring without a file. Takes them from the ring.
void Flusher::ReportLostRecords() {
  if (result_.ok() || ring_->outlives_process()) return;
  uint64_t records = batch_.batch().summary.record_count();
  uint64_t position;
  do {
    position = ring_->take_position();
    while (const std::optional<Ring::Taken> taken = ring_->Take()) {
      if (!taken->gap) ++records;
    }
    // There may be records after those of a stuck writer.
    ring_->Skip(ring_->tail_position());
  } while (ring_->take_position() != position);
  if (records == 0) return;
  WarnDataLoss(
      absl::StrCat("lost: ", records,
                   records == 1 ? " record that was" : " records that were",
                   " in memory only: ", result_.message(), "; ",
                   TotalOf(ring_->dropped()), " had been dropped before"));
}

// Takes the records that are in the ring now, and writes each full batch. Does
// not take later records: if they come faster than they are written, the other
// work of an iteration would never be done.
absl::Status Flusher::TakeAll() {
  const size_t batch_bytes =
      options_.sync ? options_.segment.frame_bytes : options_.batch_bytes;
  const uint64_t end = ring_->tail_position();
  has_more_ = false;
  while (drain_.FillBatch(batch_bytes, &batch_)) {
    if (absl::Status s = WriteBatch(); !s.ok()) return s;
    // A large ring takes many batches.
    rotations_.Poll(absl::Now(), segments_.is_open());
    RunHousekeeping();
    has_more_ = batch_.end_position() >= end;
    if (has_more_) break;
  }
  return absl::OkStatus();
}

// Starts a round of recovery and a run of retention if they are due.
void Flusher::RunHousekeeping() {
  // The end of the process would interrupt a new round.
  if (recovery_ != nullptr && !is_ending_ && retention_.MayRecover()) {
    recovery_->StartRoundIfDue(MonotonicTime());
  }
  retention_.RunIfDue(is_ending_);
  UpdateRetentionCounters();
}

void Flusher::UpdateRetentionCounters() {
  if (!options_.retention.has_limit()) return;
  FlusherCounters* const counters = ring_->flusher_counters();
  StoreRelaxed(&counters->deleted_files, retention_.deleted_files());
  StoreRelaxed(&counters->delete_errors, retention_.errors());
}

// Replaces the ring if its path does not lead to it any more: then no start of
// the program would find its records. `at_once`: the check is due, unless the
// ring is known to be lost.
void Flusher::CheckRingFile(bool at_once) {
  if (ring_->has_successor()) return;
  const absl::Duration now = MonotonicTime();
  const absl::Duration interval = ring_is_lost_ ? replace_interval_
                                  : at_once     ? absl::ZeroDuration()
                                                : kRingCheckInterval;
  if (now - ring_checked_at_ < interval) return;
  ring_checked_at_ = now;
  if (ring_->is_lost()) ReplaceRing();
}

// Makes new records go to another ring. Reports the loss once, and the
// replacement.
void Flusher::ReplaceRing() {
  const std::string lost =
      absl::StrCat("ring ", ring_->path(), " was deleted, moved or replaced: ");
  absl::Status status;
  if (options_.on_ring_lost != nullptr && !is_ending_) {
    const absl::StatusOr<std::string> next = options_.on_ring_lost();
    if (next.ok()) {
      ring_->SetSuccessor();
      WarnDataLoss(absl::StrCat(lost, "new records go to ", *next));
      return;
    }
    status = next.status();
  }
  if (ring_is_lost_) {
    replace_interval_ = std::min(2 * replace_interval_, kMaxReplaceInterval);
    return;
  }
  ring_is_lost_ = true;
  WarnDataLoss(absl::StrCat(
      lost, "records do not survive the process before they are in a segment",
      status.ok() ? "" : "; create another ring: ", status.message()));
}

}  // namespace ringlog
