// BackgroundRetention
//
// Enforces the retention limits of one program while it logs, in threads that
// the log does not wait for. A file system may need seconds to delete a long
// file or to list a directory, and other users may fill a directory.
//
// Each run has a thread of its own, and there is one at a time. The thread owns
// all its state, so the BackgroundRetention may be destroyed first. A run that
// takes longer than a second, not counting the time in which it reads names,
// ends after the file that it is at, and the next run is due at once. A run
// without enough memory ends early, and reports that.
//
// No run is started while leftover rings are being recovered, because a
// leftover ring counts toward the limits and shrinks when its records are in a
// segment:
//
//   recovery                                  retention
//   a round is running, or the first round    waits. Exception: the log is
//   is due at once and has not started        ending, and a run was started
//                                             before
//   a round has ended since the last call     does not wait, even if the next
//   of RunIfDue()                             round is running
//   a round has recovered a file              is due
//
// On the other hand, a round waits for a run: see MayRecover().

#ifndef RINGLOG_COMPRESS_RETENTION_BACKGROUND_RETENTION_H_
#define RINGLOG_COMPRESS_RETENTION_BACKGROUND_RETENTION_H_

#include <pthread.h>

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/time/time.h"
#include "ringlog/compress/recovery/background_recovery.h"
#include "ringlog/compress/retention/retention_runner.h"
#include "ringlog/compress/segment/log_directories.h"

namespace ringlog {

// Thread-compatible. A forked child must not use its parent's
// BackgroundRetention.
class BackgroundRetention {
 public:
  // `recovery` may be null; otherwise it must outlive this object.
  BackgroundRetention(const RetentionPolicy& policy,
                      const LogDirectories& directories,
                      const BackgroundRecovery* recovery);
  // Does not wait for a run.
  ~BackgroundRetention();
  BackgroundRetention(const BackgroundRetention&) = delete;
  BackgroundRetention& operator=(const BackgroundRetention&) = delete;

  // Uses `policy` from the next run on, which is due at once.
  void Reconfigure(const RetentionPolicy& policy);

  // Makes a run due. Call it after a segment was begun or closed.
  void SetDue() { is_due_ = true; }
  // Makes a run due if the last one began at least a second ago. Call it when
  // the disk is full.
  void SetDueSoon();

  // Starts a run if one is due, or if the last one began at least a minute ago.
  // Returns at once. Does nothing without a limit, or while a run is in
  // progress. While a round of recovery is running, starts no run, unless the
  // log is ending (`is_ending`) and a run was started before. If the system has
  // no thread to give, reports that on stderr, and the run is due again after a
  // second.
  void RunIfDue(bool is_ending = false);

  // Waits until no run is in progress. Returns false if `timeout` passes first.
  bool AwaitRun(absl::Duration timeout);

  // Returns false while a run is in progress: a round of recovery that starts
  // then would make the run count records twice, in their ring and in a
  // segment. Returns true again ten seconds after the start of the run, even if
  // the run has not ended.
  bool MayRecover() const;

  // Calls RunIfDue(true) and waits for the run, until none is due, for at most
  // kLastRunTimeout. Afterwards no file is deleted, except for the one that a
  // run is at, and the thread of that run reports the rings that it deleted.
  // Call it once, at the end of the log.
  static constexpr absl::Duration kLastRunTimeout = absl::Seconds(5);
  void RunLast();

  // Return the number of deleted files, and the number of errors of listing
  // directories, reading the free space and deleting files. A file that another
  // process uses is no error. May be called by any thread.
  uint64_t deleted_files() const;
  uint64_t errors() const;

 private:
  struct State;

  bool AwaitsRecovery(bool is_ending);
  void StartRun();
  void End(absl::Duration timeout);

  const std::shared_ptr<State> state_;  // shared with the thread of a run
  RetentionPolicy policy_;
  const BackgroundRecovery* const recovery_;  // may be null
  BackgroundRecovery::Progress recovery_seen_;
  bool is_due_ = true;
  absl::Duration began_at_ = -absl::InfiniteDuration();  // monotonic
  std::optional<pthread_t> thread_;  // of the last run, if not joined yet
  bool no_thread_was_reported_ = false;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RETENTION_BACKGROUND_RETENTION_H_
