#include "ringlog/compress/flusher.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "ringlog/compress/background_thread.h"
#include "ringlog/compress/complain.h"
#include "ringlog/ring/fork_generation.h"
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

SegmentSequenceOptions SequenceOptions(const FlusherOptions& options) {
  SegmentSequenceOptions segments;
  segments.directory = options.directory;
  segments.format = options.format;
  segments.segment = options.segment;
  segments.sync = options.sync;
  return segments;
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
      persisted_(ring->take_position()),
      recent_(options.recent_records == 0
                  ? nullptr
                  : std::make_unique<RecentLines>(options.recent_records)),
      options_(options),
      batch_(options.format, ring->take_position(), recent_.get()),
      segments_(ring, SequenceOptions(options)),
      drops_reported_at_(absl::Now()),
      fork_generation_(ForkGeneration::Now()) {}

Flusher::~Flusher() { Stop().IgnoreError(); }

bool Flusher::Flush(absl::Duration timeout) {
  if (!IsOwner()) return false;
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

absl::Status Flusher::Stop() {
  if (!IsOwner()) return absl::OkStatus();
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

// The monitor of a forked child may be held by a thread that it does not have.
bool Flusher::IsOwner() const {
  return ForkGeneration::Now() == fork_generation_;
}

// True if it is the last.
bool Flusher::WaitForTurn() {
  MonitorLock lock(&monitor_);
  const auto wanted = [this]() ABSL_SHARED_LOCKS_REQUIRED(monitor_) {
    return stopping_ || flush_target_ > std::max(persisted_, tried_target_);
  };
  monitor_.AwaitWithTimeout(wanted, kPollInterval);
  return stopping_;
}

void Flusher::Run() {
  while (!WaitForTurn()) Turn(/*flush=*/false).IgnoreError();
  result_ = Finish();
  result_.Update(EndSegment());
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
  if (next_options) Adopt(*next_options);
  if (absl::Status s = TakeAll(); !s.ok()) return s;
  return IsDue(flush) ? WriteBatch() : absl::OkStatus();
}

// A segment is synced from its beginning to its end, or not at all.
void Flusher::Adopt(const FlusherOptions& options) {
  if (options.sync != options_.sync) EndSegment().IgnoreError();
  options_ = options;
  segments_.Reconfigure(SequenceOptions(options_));
}

bool Flusher::IsDue(bool flush) const {
  const absl::Duration waited = MonotonicTime() - written_at_;
  if (!options_.sync) return flush || waited >= options_.flush_interval;
  if (flush || waited >= options_.sync_interval) return true;
  const FrameSummary summary = batch_.batch().summary;
  const auto urgent = summary.records.begin() + options_.sync_severity;
  return std::any_of(urgent, summary.records.end(),
                     [](uint64_t n) { return n != 0; });
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

// Moves what the ring has into the batch, and writes that as often as it is
// full, or holds a quarter of the ring.
absl::Status Flusher::TakeAll() {
  const size_t batch_bytes =
      options_.sync ? options_.segment.frame_bytes : options_.batch_bytes;
  for (;;) {
    if (batch_.text_bytes() >= batch_bytes ||
        ring_->taken_slots() >= ring_->header().slot_count / 4) {
      if (absl::Status s = WriteBatch(); !s.ok()) return s;
    }
    const std::optional<Ring::Taken> taken = ring_->Take();
    if (!taken) break;
    if (taken->gap) {
      Gap gap;
      gap.cause = *taken->gap;
      gap.first_position = taken->slots.position;
      gap.end_position = taken->slots.end();
      batch_.AddGap(gap, absl::GetCurrentTimeNanos());
    } else {
      batch_.AddRecord(taken->slots.position, taken->slots.slot_count,
                       taken->head, taken->body);
    }
  }
  PassStuckWriters();
  return absl::OkStatus();
}

// Every loss is told in the log itself, where it happened.
void Flusher::AddDropGaps() {
  const DropCounts now = ring_->dropped();
  if (now == reported_drops_) return;
  const absl::Time time = absl::Now();
  for (Gap& gap : DropGaps(now, reported_drops_, ring_->take_position())) {
    gap.first_time_ns = absl::ToUnixNanos(drops_reported_at_);
    gap.last_time_ns = absl::ToUnixNanos(time);
    batch_.AddGap(gap, gap.last_time_ns);
  }
  reported_drops_ = now;
  drops_reported_at_ = time;
}

// Every position that was claimed when the wait began has been claimed for as
// long, so that one time serves all writers that are stuck together.
void Flusher::PassStuckWriters() {
  const std::optional<uint64_t> pending = ring_->pending();
  if (!pending) {
    stuck_.reset();
    return;
  }
  const absl::Duration now = MonotonicTime();
  if (!stuck_ || *pending >= stuck_->tail) {
    stuck_ = Stuck{ring_->tail_position(), now, absl::Now()};
    return;
  }
  if (now - stuck_->since < options_.stuck_writer_timeout) return;
  Gap gap;
  const std::optional<SlotRange> given_up =
      ring_->Skip(stuck_->tail, &gap.thread_id);
  if (!given_up) return;
  gap.cause = GapCause::kStuckWriter;
  gap.first_position = given_up->position;
  gap.end_position = given_up->end();
  gap.first_time_ns = absl::ToUnixNanos(stuck_->time);
  gap.last_time_ns = absl::GetCurrentTimeNanos();
  batch_.AddGap(gap, gap.last_time_ns);
  Slots::Add(&ring_->flusher_counters()->skipped_slots, given_up->slot_count);
}

// Tries until it works, or until Stop() and a few times more. The ring keeps
// the records meanwhile.
template <typename Attempt>
absl::Status Flusher::Persist(Attempt attempt) {
  for (int attempts = 1;; ++attempts) {
    absl::Status status = Reported(attempt());
    if (status.ok() || !MayRetry(attempts)) return status;
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

absl::Status Flusher::EndSegment() {
  if (!segments_.is_open()) return absl::OkStatus();
  // The cursor stays where it was before the end: recovery ends the segment
  // again, and may add to it.
  absl::Status status = Reported(segments_.AddEnd());
  if (status.ok()) status = Persist([this] { return segments_.Write(); });
  if (status.ok()) status = Reported(segments_.Sync());
  segments_.Leave();
  return status;
}

// The batch becomes part of the segment; then the ring is told so; then its
// slots are free. Death between two of these leaves records both in the segment
// and in the ring, and the cursor says which of them count.
//
// On an error the batch is still there, for the next turn.
absl::Status Flusher::WriteBatch() {
  // A batch that is tried again tells of them already.
  if (failed_batches_ == 0) AddDropGaps();
  batch_.SetEnd(ring_->take_position());
  if (!batch_.empty()) {
    if (absl::Status s = WriteToSegment(); !s.ok()) return s;
  }
  failed_batches_ = 0;
  PublishAndRelease();
  if (ShouldRotate(options_.rotation, segments_.segment_bytes())) {
    return EndSegment();
  }
  return absl::OkStatus();
}

// After an error the segment's compressor or file may be of no more use; what
// has been written is. The next batch begins another one, after a while.
absl::Status Flusher::WriteToSegment() {
  if (!segments_.is_open()) {
    absl::Status status = Persist([this] { return segments_.Begin(); });
    if (!status.ok()) return status;
    Slots::Add(&ring_->flusher_counters()->segments, 1);
  }
  absl::Status status = Reported(segments_.Add(batch_.batch()));
  if (status.ok()) status = Persist([this] { return segments_.Write(); });
  if (status.ok()) {
    status = Reported(segments_.Sync());
    if (status.ok()) return status;
    // The batch comes again in the next segment, and may not be in two.
    Persist([this] { return segments_.CutBack(); }).IgnoreError();
  }
  segments_.Leave();
  MayRetry(++failed_batches_);
  return status;
}

void Flusher::PublishAndRelease() {
  const uint64_t end = batch_.end_position();
  written_at_ = MonotonicTime();
  {
    MonitorLock lock(&monitor_);
    if (batch_.empty() && end == persisted_) return;
  }
  segments_.Publish(end, reported_drops_);
  ring_->Release();
  UpdateCounters();
  batch_.Clear();
  MonitorLock lock(&monitor_);
  persisted_ = end;
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
