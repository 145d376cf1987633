// RingLogSink
//
// An absl::LogSink whose records survive the death of the process. Send()
// copies an entry into slots of a ring, which is a file mapped into memory. A
// background thread, the flusher, compresses the records into segments. If the
// process dies, recovery moves the records of its leftover ring into segments,
// at the next start or in another live process. `ringlog cat` prints segments
// and rings.
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
// Guarantees:
//   - A record that Send() has put into a ring with a file survives any end of
//     the process, kill -9 included, and appears exactly once. Exceptions:
//     kOverwriteOldest may evict it, and retention may delete it.
//   - A record that Send() has not put into the ring, because the ring is full
//     or the sink is closed, is counted. If the ring was full, a gap in the log
//     reports the number of such records and their place.
//   - Send() takes no lock, allocates no memory and makes no system call.
//     Exceptions: OverflowPolicy::kBlock, which may sleep, and the first record
//     of a forked child.
//
// Does not guarantee: survival of a kernel panic or a power loss, except as
// RingLogSinkOptions::sync states; survival of records in a ring without a
// file, before they are in a segment (CreateInMemory(), Install()).
//
// fork(): a child gets its own ring, flusher and files with the first record
// that it logs, and never touches those of its parent. A child that only calls
// exec() or exits gets none. That first LOG() takes some milliseconds. If the
// child cannot create its ring, it logs into memory, as with Install(), and
// stderr reports that. No record of the parent is lost or duplicated,
// whatever its threads are doing. Abseil keeps reporting the parent's thread id
// for the first thread of a child. In debug builds, Abseil's mutexes report no
// deadlocks in a child, because looking for them could stop its LOG().
//
// A child of vfork() must not log, because it runs in the memory of its parent.
// A child of a bare clone(2) must not log, because the C library does not
// report it to ringlog.
class RingLogSink final : public absl::LogSink {
 public:
  // Returns a sink that is not registered. Its flusher runs until Close().
  // Recovers in the background the leftover rings in the directories of
  // `options`, as Install() does.
  //
  //   InvalidArgument  an option has an invalid value; the message has the
  //                    option's name, value and valid values
  //   others           the ring or a directory cannot be created: disk full,
  //                    permission denied, file system read-only. The message
  //                    has the path; with a fallback_directory, both paths
  static absl::StatusOr<std::unique_ptr<RingLogSink>> Create(
      const RingLogSinkOptions& options);

  // As Create(), but with a ring in memory, without a file. The flusher writes
  // segments as soon as the disk permits. When the process dies, the records
  // that are still in the ring are lost.
  static absl::StatusOr<std::unique_ptr<RingLogSink>> CreateInMemory(
      const RingLogSinkOptions& options);

  // Calls Close(), and ignores its status: call Close() before to see an error.
  ~RingLogSink() override;

  // Appends the record of `entry` to the ring. Called by Abseil. Abseil passes
  // a FATAL entry twice: first without its stack trace, then with it. The first
  // record is in the ring before Abseil collects the stack trace.
  //
  // Context: any thread; no lock, no allocation, no system call, except for
  // kBlock and for the first record of a forked child.
  void Send(const absl::LogEntry& entry) override;

  // Waits until all records that were sent before the call are in segments, and
  // with options.sync on the disk, but at most a second. (The records are in
  // the ring, and so are safe from the death of the process, before the call.)
  // With a fallback_directory, waits for both logs, first for the one that
  // receives new records. Called by absl::FlushLogSinks(), and by Abseil before
  // it ends the process because of a FATAL record.
  //
  // Returns at once after Close(), with kOverwriteOldest, and in a forked child
  // that has not logged yet. In on_segment_closed, does not wait for the
  // flusher that calls it.
  //
  // Context: any thread.
  void Flush() override;

  // Returns the lines of the last `count` records and gaps, oldest first; at
  // most options.recent_records. With a fallback_directory, merges the records
  // of both directories by time. First calls Flush().
  //
  // Returns nothing with kOverwriteOldest, which has no flusher, and in a
  // forked child that has not logged yet.
  //
  // Context: any thread, but not during Send().
  std::vector<std::string> Recent(size_t count);

  // Replaces the options. `options` are best a changed copy of the options of
  // this sink. The changes apply
  //
  //   at once                   min_severity
  //   within some milliseconds  flush_interval, sync, sync_interval,
  //                             sync_severity, rotation, retention,
  //                             on_segment_closed
  //   with the next segment     compression_level, segment_mode
  //
  //   InvalidArgument  an option has an invalid value, or an option that is not
  //                    in this list has changed
  //
  // Context: any thread.
  absl::Status Reconfigure(const RingLogSinkOptions& options);

  // Closes the current segment, which then has every record that was sent
  // before the call. The next segment begins with the next record. With a
  // fallback_directory, closes the segments of both logs. Waits at most ten
  // seconds. Does nothing in a forked child that has not logged yet.
  //
  //   DeadlineExceeded    the segment is not closed yet, for example on a full
  //                       disk; it is closed when that is possible
  //   FailedPrecondition  the sink is closed, or has no flusher
  //                       (kOverwriteOldest), or on_segment_closed is calling
  //   others              the segment is closed, but its end could not be
  //                       written; the status is the write error
  //
  // Context: any thread, many times a second. Threads that wait at the same
  // time share one rotation.
  absl::Status Rotate();

  // Moves the records of the ring into segments, closes the last segment, and
  // deletes the ring's file. The sink may still be registered. Does nothing the
  // second time.
  //
  // The ring's file stays, for recovery, if
  //
  //   - a record cannot be written; returns that error
  //   - other threads log so fast that the ring is never empty for half a
  //     second; returns an error
  //   - the ring has a crash report (failure_writer.h)
  //
  // With a fallback_directory this applies to either ring; returns the error of
  // one of them.
  //
  // Records that are sent later are dropped and counted as DropCause::kClosed.
  // Exception: a ring that could not be emptied takes them while it has room.
  // Send() does not wait, even with kBlock. Does nothing in a forked child that
  // has not logged yet, except that records of the child are dropped.
  //
  // Context: any thread.
  absl::Status Close();

  // Returns the counters of this process; zeros in a forked child that has not
  // logged yet. With a fallback_directory, returns the sum of both rings; for
  // fields that cannot be added, the greater lag, the later last_write_time,
  // and the last_error of `directory` if there is one.
  //
  // Context: any thread; no lock.
  RingLogSinkCounters counters() const;

  // Returns true if new records go to options.fallback_directory; false in a
  // forked child that has not logged yet.
  //
  // Context: any thread; no lock.
  bool uses_fallback() const;

  // Return the ring that receives new records, and the path of its file (empty
  // if it has none). With a fallback_directory there may be two rings; both
  // exist as long as the sink. In a forked child that has not logged yet, it is
  // the ring of the parent.
  const Ring& ring() const;
  const std::string& ring_path() const;

 private:
  friend class Installer;
  RingLogSink(const RingLogSinkOptions& options, RingStorage storage,
              std::unique_ptr<FailoverLog> logs);
  static absl::StatusOr<std::unique_ptr<RingLogSink>> CheckAndCreate(
      const RingLogSinkOptions& options, RingStorage storage);
  // Requires: CheckAndResolve() has returned `options`.
  static absl::StatusOr<std::unique_ptr<RingLogSink>> CreateWith(
      const RingLogSinkOptions& options, RingStorage storage);

  // Returns the log of this process; null in a forked child that has none.
  FailoverLog* Own() const;
  // As Own(), but first creates the log if there is none. Null if that fails.
  FailoverLog* OwnOrNew();
  FailoverLog* OwnAfterFork();
  void ReplaceInherited();
  // Waits until the recovery that began with this process's log has ended;
  // returns false if `timeout` passes first. Returns true at once in a forked
  // child, whose log does not begin with a recovery.
  bool WaitForRecovery(absl::Duration timeout) const;
  // Makes crash reports of this process go to the ring of this sink.
  void BecomeFailureTarget();

  // An element of a list: the current options, and all replaced options that
  // may still be in use. They are read without a lock, because at the time of a
  // fork another thread of the parent may be replacing the options. Replaced
  // options are freed only when no other thread is using any options; in a
  // forked child that may never happen.
  struct Options {
    RingLogSinkOptions options;  // resolved
    const Options* replaced;
  };
  class OptionsUse;
  void ApplyOptions(const OptionsUse& use);
  static void Delete(const Options* options);
  std::atomic<const Options*> options_;
  std::atomic<int> options_uses_{0};  // number of live OptionsUse objects

  std::atomic<int> min_severity_;
  const bool structured_;
  const ContextCallback context_;
  const RingStorage storage_;
  const size_t head_bytes_;  // longest head of a record
  // Never null. In a forked child that has not logged yet, the parent's log.
  std::atomic<FailoverLog*> logs_;
  std::atomic<bool> closed_{false};
  // True if crash reports go to the ring of this sink.
  std::atomic<bool> is_failure_target_{false};
  // Fork generation of the process in which a thread creates, or has created,
  // the log; and of the process in which that has failed.
  std::atomic<uint32_t> replaced_in_;
  std::atomic<uint32_t> failed_in_;
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_RING_LOG_SINK_H_
