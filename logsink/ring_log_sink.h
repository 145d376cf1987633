// RingLogSink
//
// An absl::LogSink whose records survive the death of the process. Send()
// copies the entry into slots of a ring that is mapped from a file; a
// background thread compresses filled slots into segments; the next start
// brings what a crash left into segments too, and `ringlog cat` prints either.
//
//   int main(int argc, char** argv) {
//     absl::InitializeLog();
//     ringlog::RingLogSinkOptions options;
//     options.directory = "/var/log/server";
//     absl::StatusOr<ringlog::RingLogSink*> sink = ringlog::Install(options);
//     if (!sink.ok()) LOG(ERROR) << sink.status();
//     LOG(INFO) << "ready";
//   }

#ifndef RINGLOG_LOGSINK_RING_LOG_SINK_H_
#define RINGLOG_LOGSINK_RING_LOG_SINK_H_

#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "ringlog/compress/flusher.h"
#include "ringlog/logsink/options.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

// Thread-safe. Must outlive its registration with absl::AddLogSink().
//
// Guarantees: a record whose Send() returned survives any signal, kill -9 among
// them, and appears once. Send() takes no lock, allocates nothing and makes no
// system call, but for a wait that OverflowPolicy::kBlock asks for. A record
// that finds no room is counted, and the log says how many there were and
// where.
//
// In a forked child Send() appends to the parent's ring, and the rest does
// nothing.
//
// Does not guarantee: survival of a kernel panic or power loss, but as
// RingLogSinkOptions::sync says.
class RingLogSink final : public absl::LogSink {
 public:
  // A sink that is not registered. Its flusher runs until Close().
  //
  //   InvalidArgument  an option, named with its value and what is allowed
  //   others           the ring or a directory cannot be made: full disk, no
  //                    permission, read-only file system; with the path
  static absl::StatusOr<std::unique_ptr<RingLogSink>> Create(
      const RingLogSinkOptions& options);

  // The same on a ring without a file, for when there can be no other: the
  // flusher writes segments as soon as the disk lets it, but what is in the
  // ring when the process dies is lost.
  static absl::StatusOr<std::unique_ptr<RingLogSink>> CreateInMemory(
      const RingLogSinkOptions& options);

  // Close().
  ~RingLogSink() override;

  // Called by Abseil. A FATAL record arrives without its stack first, and is
  // safe before the stack is collected; the stack follows.
  //
  // Context: any thread.
  void Send(const absl::LogEntry& entry) override;

  // Waits until the records sent so far are in segments, with options.sync on
  // the disk, a second at the most; they were safe in the ring before. Called
  // by absl::FlushLogSinks(), and by Abseil before it ends the process for a
  // FATAL record.
  void Flush() override;

  // The last `count` records, the oldest first, as their lines in the segments:
  // what options.recent_records keeps, gaps among them. Waits for those sent so
  // far, as Flush() does. None with kOverwriteOldest, which has no flusher, and
  // in a forked child. Any thread, but not within a Send().
  std::vector<std::string> Recent(size_t count);

  // Goes by other options from now on: min_severity at once, flush_interval,
  // sync, sync_interval, sync_severity, rotation, retention and
  // on_segment_closed within some milliseconds, compression_level and
  // segment_mode from the next segment on. Best of the options that the sink
  // was made with, changed. Any thread.
  //
  //   InvalidArgument     an option that is not allowed; or one that cannot
  //                       change while the sink runs, which are all others
  //   FailedPrecondition  in a forked child
  absl::Status Reconfigure(const RingLogSinkOptions& options)
      ABSL_LOCKS_EXCLUDED(options_mutex_);

  // Closes the segment that is being written, with every record in it that had
  // been sent before the call; the next one begins with the next record. Waits
  // for that, ten seconds at the most. Safe from any thread, many times a
  // second; threads that wait together share a rotation.
  //
  //   DeadlineExceeded:   it has not been done yet, as on a full disk; it will
  //                       be, as soon as that is possible
  //   FailedPrecondition: the sink is closed, has no flusher
  //   (kOverwriteOldest),
  //                       or is a forked child's; or on_segment_closed calls
  //   others:             the segment is closed, but its end could not be
  //                       written: what is wrong with the disk
  absl::Status Rotate();

  // Moves what the ring holds into segments, closes the last one, deletes the
  // ring's file. If something cannot be written, or other threads go on logging
  // so that the ring is not empty for a moment within half a second, it says so
  // and the ring stays, for the next start to recover. Else records sent later
  // are dropped and counted. It may still be registered. Does nothing the
  // second time.
  absl::Status Close();

  // The ring's file; empty if there is none.
  const std::string& ring_path() const { return ring_->path(); }
  const Ring& ring() const { return *ring_; }

 private:
  RingLogSink(std::unique_ptr<Ring> ring, const RingLogSinkOptions& options);
  static absl::StatusOr<std::unique_ptr<RingLogSink>> Start(
      absl::StatusOr<std::unique_ptr<Ring>> ring,
      const RingLogSinkOptions& options);

  const std::unique_ptr<Ring> ring_;
  std::atomic<int> min_severity_;
  absl::Mutex options_mutex_;
  RingLogSinkOptions options_ ABSL_GUARDED_BY(options_mutex_);  // resolved
  const size_t head_bytes_;
  const bool structured_;
  const ContextCallback context_;
  const pid_t owner_;
  std::atomic<bool> closed_{false};
  std::unique_ptr<Flusher> flusher_;  // none with kOverwriteOldest
};

// What main() calls: creates a sink, registers it with Abseil, brings what
// processes that died have left in its directories into segments, in the
// background, and keeps the sink until the very end of the process. There
// records are moved into the last segment, and the ring's file is deleted; a
// process that does not get so far leaves its ring to the next one.
//
// Where the ring cannot be made, because the disk is full or must not be
// written, the program goes on: a line on stderr says so, and the sink is
// CreateInMemory()'s.
//
//   InvalidArgument     an option, named with its value and what is allowed
//   FailedPrecondition  called before in this process
//   ResourceExhausted   no memory, or no thread to be had
absl::StatusOr<RingLogSink*> Install(const RingLogSinkOptions& options);

// Waits until the recovery that Install() began has been done; false if
// `timeout` passed first. For tests, and for programs that read their logs.
bool WaitForRecovery(absl::Duration timeout);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_RING_LOG_SINK_H_
