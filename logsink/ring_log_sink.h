// RingLogSink
//
// An absl::LogSink whose records survive the death of the process. Send()
// copies the entry into slots of a ring that is mapped from a file; a
// background thread compresses filled slots into segments; the next start, or
// who lives meanwhile, brings what a crash left into segments too, and `ringlog
// cat` prints either.
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

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "ringlog/logsink/counters.h"  // IWYU pragma: export
#include "ringlog/logsink/install.h"   // IWYU pragma: export
#include "ringlog/logsink/options.h"   // IWYU pragma: export

namespace ringlog {

class FailoverLog;
class Ring;
enum class RingStorage;

// Thread-safe. Must outlive its registration with absl::AddLogSink().
//
// Guarantees: a record whose Send() returned survives any signal, kill -9 among
// them, and appears once. Send() takes no lock, allocates nothing and makes no
// system call, but for a wait that OverflowPolicy::kBlock asks for. A record
// that finds no room is counted, and the log says how many there were and
// where.
//
// fork(): a child gets a ring, a flusher and files of its own at the first
// record that it logs, and never touches its parent's; one that only execs or
// exits gets none. That record waits for them, some milliseconds; if they
// cannot be had the child logs into memory, as Install() does, and stderr says
// so. Nothing of the parent is lost or doubled by it, whatever its threads were
// doing. The thread that a child's first thread is called by is Abseil's to
// say, which goes on with the number that it had in the parent. A child of
// vfork() must not log, for it runs in its parent's memory; nor one of a bare
// clone(2), which nobody tells us of.
//
// Does not guarantee: survival of a kernel panic or power loss, but as
// RingLogSinkOptions::sync says.
class RingLogSink final : public absl::LogSink {
 public:
  // A sink that is not registered. Its flusher runs until Close(). What an
  // earlier one with these directories left when it died gets into segments in
  // the background, as Install() does it, but nobody waits for that.
  //
  //   InvalidArgument  an option, named with its value and what is allowed
  //   others           the ring or a directory cannot be made: full disk, no
  //                    permission, read-only file system; with the path. With
  //                    a fallback_directory, neither there; with both paths
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
  // the disk, a second at the most; they were safe in the ring before. With a
  // fallback_directory, first for those where new ones go. Called by
  // absl::FlushLogSinks(), and by Abseil before it ends the process for a FATAL
  // record.
  void Flush() override;

  // The last `count` records, the oldest first, as their lines in the segments:
  // what options.recent_records keeps, gaps among them; of both directories, by
  // time, where there is a fallback. Waits for those sent so far, as Flush()
  // does. None with kOverwriteOldest, which has no flusher, and in a forked
  // child that has not logged yet. Any thread, but not within a Send().
  std::vector<std::string> Recent(size_t count);

  // Goes by other options from now on: min_severity at once, flush_interval,
  // sync, sync_interval, sync_severity, rotation, retention and
  // on_segment_closed within some milliseconds, compression_level and
  // segment_mode from the next segment on. Best of the options that the sink
  // was made with, changed. Any thread.
  //
  //   InvalidArgument  an option that is not allowed; or one that cannot change
  //                    while the sink runs, which are all others
  absl::Status Reconfigure(const RingLogSinkOptions& options);

  // Closes the segment that is being written, with every record in it that had
  // been sent before the call; the next one begins with the next record. With a
  // fallback_directory, those of both. Waits for that, ten seconds at the most.
  // Safe from any thread, many times a second; threads that wait together share
  // a rotation. Does nothing in a forked child that has not logged yet.
  //
  //   DeadlineExceeded:   it has not been done yet, as on a full disk; it will
  //                       be, as soon as that is possible
  //   FailedPrecondition: the sink is closed, or has no flusher
  //                       (kOverwriteOldest), or on_segment_closed calls
  //   others:             the segment is closed, but its end could not be
  //                       written: what is wrong with the disk
  absl::Status Rotate();

  // Moves what the ring holds into segments, closes the last one, deletes the
  // ring's file. If something cannot be written, or other threads go on logging
  // so that the ring is not empty for a moment within half a second, it says so
  // and the ring stays, for others to recover. Else the ring stays only
  // if it has a crash report (failure_writer.h), for the same reason. With a
  // fallback_directory this is said of either ring; the error is of one of
  // them.
  //
  // Records sent later enter a ring that it could not empty, as long as there
  // is room; else they are dropped, and counted as closed. Nobody waits, with
  // kBlock neither. The sink may still be registered. Does nothing the second
  // time.
  absl::Status Close();

  // Of this process; zeros in a forked child that has not logged yet. With a
  // fallback_directory the sum of both rings, and of what is no number the
  // worse: the greater lag; the last_error of `directory`, if it had one. Any
  // thread.
  RingLogSinkCounters counters() const;

  // Whether new records go to options.fallback_directory now; false in a forked
  // child that has not logged yet. Any thread.
  bool uses_fallback() const;

  // The ring's file; empty if there is none. In a forked child that has not
  // logged yet these two are its parent's. Of two rings, that which gets the
  // new records; the other one stays as well, while the sink does.
  const std::string& ring_path() const;
  const Ring& ring() const;

 private:
  friend class Installer;
  RingLogSink(const RingLogSinkOptions& options, RingStorage storage,
              std::unique_ptr<FailoverLog> logs);
  static absl::StatusOr<std::unique_ptr<RingLogSink>> CheckAndCreate(
      const RingLogSinkOptions& options, RingStorage storage);
  // Requires: the options are CheckAndResolve()'s.
  static absl::StatusOr<std::unique_ptr<RingLogSink>> CreateWith(
      const RingLogSinkOptions& options, RingStorage storage);

  // This process's; null if it has none.
  FailoverLog* Own() const;
  // The same, and a child's is made if it has none. Null if it cannot be.
  FailoverLog* OwnOrNew();
  FailoverLog* OwnAfterFork();
  void ReplaceInherited();
  // Waits until the recovery that began with this process's log has ended;
  // returns false if `timeout` passes first. A forked child has none.
  bool WaitForRecovery(absl::Duration timeout) const;
  void BecomeFailureTarget();

  // Resolved. A child may need them while another thread of its parent has just
  // changed them: so without a lock. What was replaced is kept until nobody but
  // the last to replace it is at work with any of them, which in a child may
  // never be.
  struct Options {
    RingLogSinkOptions options;
    const Options* replaced;
  };
  class OptionsUse;
  void ApplyOptions(const OptionsUse& use);
  static void Delete(const Options* options);
  std::atomic<const Options*> options_;
  std::atomic<int> options_uses_{0};
  std::atomic<int> min_severity_;
  const bool structured_;
  const ContextCallback context_;
  const RingStorage storage_;
  const size_t head_bytes_;
  // Never null. It is the parent's in a forked child that has not logged yet.
  std::atomic<FailoverLog*> logs_;
  std::atomic<bool> closed_{false};
  // Whether FailureWriter() writes into its ring.
  std::atomic<bool> is_failure_target_{false};
  // Of the process in which a thread makes a log of its own, or has made it;
  // and of the one in which that failed.
  std::atomic<uint32_t> replaced_in_;
  std::atomic<uint32_t> failed_in_;
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_RING_LOG_SINK_H_
