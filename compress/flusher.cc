#include "ringlog/compress/flusher.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

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

constexpr absl::Duration kComplaintInterval = absl::Minutes(1);

// Points NAME in `directory` at `target`, by a rename, so that it is never
// missing. A convenience for people: what fails is not told, and what is there
// and no symlink stays.
void PointSymlink(const std::string& directory, const std::string& name,
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

}  // namespace

absl::StatusOr<std::unique_ptr<Flusher>> Flusher::Start(
    Ring* ring, const FlusherOptions& options) {
  std::unique_ptr<Flusher> flusher(new Flusher(ring, options));
  // Recovery goes on in the format of the segments, also before the first one.
  ring->PublishCursor(ring->take_position(),
                      EncodeSegmentCursor(flusher->cursor_));
  const absl::StatusOr<pthread_t> thread =
      StartBackgroundThread("ringlog", [f = flusher.get()] { f->Run(); });
  if (!thread.ok()) return thread.status();
  flusher->thread_ = *thread;
  return flusher;
}

Flusher::Flusher(Ring* ring, const FlusherOptions& options)
    : ring_(ring),
      options_(options),
      persisted_(ring->take_position()),
      batch_(options.format, ring->take_position()),
      drops_reported_at_(absl::Now()),
      owner_(getpid()) {
  cursor_.format = options.format;
}

Flusher::~Flusher() { Stop().IgnoreError(); }

bool Flusher::Flush(absl::Duration timeout) {
  if (!IsOwner()) return false;
  const uint64_t target = ring_->tail_position();
  absl::MutexLock lock(&mutex_);
  flush_target_ = std::max(flush_target_, target);
  const auto done = [this, target]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return persisted_ >= target;
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&done), timeout);
}

absl::Status Flusher::Stop() {
  if (!IsOwner()) return absl::OkStatus();
  absl::call_once(stop_once_, [this] {
    if (!thread_.has_value()) return;  // it was not to be had
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    pthread_join(*thread_, nullptr);
  });
  return result_;
}

// The mutex of a forked child may be held by a thread that it does not have.
bool Flusher::IsOwner() const { return getpid() == owner_; }

// True if it is the last.
bool Flusher::WaitForTurn() {
  absl::MutexLock lock(&mutex_);
  const auto wanted = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || flush_target_ > std::max(persisted_, tried_target_);
  };
  mutex_.AwaitWithTimeout(absl::Condition(&wanted), kPollInterval);
  return stopping_;
}

void Flusher::Run() {
  while (!WaitForTurn()) Turn(/*flush=*/false).IgnoreError();
  result_ = Finish();
  result_.Update(EndSegment());
}

absl::Status Flusher::Turn(bool flush) {
  {
    absl::MutexLock lock(&mutex_);
    flush |= flush_target_ > persisted_;
    // What is not reached now waits for a writer: it is looked at again after a
    // while, like everything.
    tried_target_ = flush_target_;
  }
  if (absl::Status s = TakeAll(); !s.ok()) return s;
  if (!flush && MonotonicTime() - written_at_ < options_.flush_interval) {
    return absl::OkStatus();
  }
  return WriteBatch();
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
  absl::MutexLock lock(&mutex_);
  persisted_ = std::numeric_limits<uint64_t>::max();
  return absl::OkStatus();
}

// Moves what the ring has into the batch, and writes that as often as it is
// full, or holds a quarter of the ring.
absl::Status Flusher::TakeAll() {
  for (;;) {
    if (batch_.text_bytes() >= options_.batch_bytes ||
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
  const std::optional<SlotRange> given_up = ring_->Skip(stuck_->tail);
  if (!given_up) return;
  Gap gap;
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
    absl::Status status = attempt();
    if (status.ok()) return status;
    Report(status);
    if (!MayRetry(attempts)) return status;
  }
}

// Waits before the next attempt. False if there should be none.
bool Flusher::MayRetry(int attempt) {
  const absl::Duration delay = std::min(
      kMaxRetryDelay, kMinRetryDelay * (1 << std::min(attempt - 1, 10)));
  absl::MutexLock lock(&mutex_);
  if (stopping_ && attempt >= kAttemptsWhenStopping) return false;
  if (stopping_) {
    // Nobody wakes us again.
    const auto never = []() { return false; };
    mutex_.AwaitWithTimeout(absl::Condition(&never), kMinRetryDelay);
  } else {
    mutex_.AwaitWithTimeout(absl::Condition(&stopping_), delay);
  }
  return true;
}

absl::Status Flusher::BeginSegment() {
  cursor_.segment_number += 1;
  cursor_.segment_open_time_ns = absl::GetCurrentTimeNanos();
  cursor_.segment_bytes = cursor_.frame_offset = 0;
  cursor_.open_frame = FrameSummary();
  // The ring names the file before it exists: a kill in between leaves a name
  // for recovery to begin anew, and never a file that nobody knows of.
  {
    absl::MutexLock lock(&mutex_);
    ring_->PublishCursor(persisted_, EncodeSegmentCursor(cursor_));
  }
  const std::string name =
      SegmentFileName(ring_->header(), cursor_.segment_number,
                      cursor_.segment_open_time_ns, options_.format);
  SegmentIdentity identity;
  std::copy(std::begin(ring_->header().ring_id),
            std::end(ring_->header().ring_id), identity.ring_id.begin());
  identity.number = cursor_.segment_number;
  identity.format = options_.format;
  const std::string path = absl::StrCat(options_.directory, "/", name);
  absl::StatusOr<std::unique_ptr<SegmentWriter>> writer =
      SegmentWriter::Create(path, identity, options_.segment);
  // Somebody has removed the directory.
  if (absl::IsNotFound(writer.status()) &&
      mkdir(options_.directory.c_str(), 0777) == 0) {
    writer = SegmentWriter::Create(path, identity, options_.segment);
  }
  if (!writer.ok()) {
    // Numbers have no holes, however often it is tried.
    cursor_.segment_number -= 1;
    return writer.status();
  }
  writer_ = *std::move(writer);
  Slots::Add(&ring_->flusher_counters()->segments, 1);
  PointSymlink(options_.directory, SymlinkName(ring_->header()), name);
  return absl::OkStatus();
}

absl::Status Flusher::EndSegment() {
  if (writer_ == nullptr) return absl::OkStatus();
  // The cursor stays where it was before the end: recovery ends the segment
  // again, and may add to it.
  absl::Status status = writer_->AddEnd();
  if (status.ok()) {
    status = Persist([this] { return writer_->Write(); });
  } else {
    Report(status);
  }
  closed_segments_bytes_ += writer_->segment_bytes();
  writer_.reset();
  return status;
}

// For a segment whose compressor or file is of no more use; what has been
// written is. The next batch begins another one.
void Flusher::LeaveSegment() {
  if (writer_->segment_bytes() == 0) {
    unlink(writer_->path().c_str());
    cursor_.segment_number -= 1;
  }
  closed_segments_bytes_ += writer_->segment_bytes();
  writer_.reset();
}

// The batch becomes part of the segment; then the ring is told so; then its
// slots are free. Death between two of these leaves records both in the segment
// and in the ring, and the cursor says which of them count.
//
// On an error the batch is still there, for the next turn.
absl::Status Flusher::WriteBatch() {
  AddDropGaps();
  batch_.SetEnd(ring_->take_position());
  if (!batch_.empty()) {
    if (writer_ == nullptr) {
      absl::Status status = Persist([this] { return BeginSegment(); });
      if (!status.ok()) return status;
    }
    if (absl::Status s = writer_->AddBatch(batch_.batch()); !s.ok()) {
      Report(s);
      LeaveSegment();
      MayRetry(++failed_batches_);
      return s;
    }
    absl::Status status = Persist([this] { return writer_->Write(); });
    if (!status.ok()) {
      LeaveSegment();
      return status;
    }
  }
  failed_batches_ = 0;
  PublishAndRelease();
  if (writer_ != nullptr &&
      ShouldRotate(options_.rotation, writer_->segment_bytes())) {
    return EndSegment();
  }
  return absl::OkStatus();
}

void Flusher::PublishAndRelease() {
  const uint64_t end = batch_.end_position();
  written_at_ = MonotonicTime();
  {
    absl::MutexLock lock(&mutex_);
    if (batch_.empty() && end == persisted_) return;
  }
  if (writer_ != nullptr) {
    const int64_t open_time_ns = cursor_.segment_open_time_ns;
    cursor_ = writer_->cursor();
    cursor_.segment_open_time_ns = open_time_ns;
  }
  cursor_.reported_drops = reported_drops_;
  ring_->PublishCursor(end, EncodeSegmentCursor(cursor_));
  ring_->Release();
  UpdateCounters();
  batch_.Clear();
  absl::MutexLock lock(&mutex_);
  persisted_ = end;
}

void Flusher::UpdateCounters() {
  FlusherCounters* const counters = ring_->flusher_counters();
  const SegmentWriter::Batch batch = batch_.batch();
  Slots::Add(&counters->records, batch.summary.record_count());
  Slots::Add(&counters->text_bytes, batch.lines.size());
  if (writer_ != nullptr) {
    Slots::Set(&counters->compressed_bytes,
               closed_segments_bytes_ + writer_->segment_bytes());
  }
  const int64_t now = absl::GetCurrentTimeNanos();
  if (batch_.min_time_ns() != 0) {
    counters->lag_ns = now - batch_.min_time_ns();
  }
  counters->last_write_time_ns = now;
}

void Flusher::Report(const absl::Status& status) {
  FlusherCounters* const counters = ring_->flusher_counters();
  Slots::Add(&counters->write_errors, 1);
  Slots::Set(&counters->last_error, static_cast<uint64_t>(status.raw_code()));
  const absl::Duration now = MonotonicTime();
  if (now - last_complaint_ < kComplaintInterval) return;
  last_complaint_ = now;
  Complain(absl::StrCat(status.message(),
                        "; the records stay in the ring, and are tried again"));
}

}  // namespace ringlog
