// RetentionRunner
//
// Enforces the retention limits of one program: lists the program's log files
// and deletes those that ExcessFiles() returns.

#ifndef RINGLOG_COMPRESS_RETENTION_RETENTION_RUNNER_H_
#define RINGLOG_COMPRESS_RETENTION_RETENTION_RUNNER_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ringlog/compress/recovery/background_recovery.h"
#include "ringlog/compress/retention/retention.h"
#include "ringlog/compress/segment/log_directories.h"
#include "ringlog/ring/os/recent_failures.h"

namespace ringlog {

// Thread-compatible. Any number of processes may enforce limits in the same
// directory at once.
class RetentionRunner {
 public:
  // If `recovery` is not null, deletes nothing while leftover rings are being
  // recovered, because a leftover ring counts toward the limits and shrinks
  // when its records are in a segment:
  //
  //   recovery                                  retention
  //   the first round has not ended             waits
  //   a later round is running                  waits; the last run does not
  //   a round has ended since the last call     runs, even if another is
  //   running a round has recovered a file              is due
  //
  // `recovery` must outlive this object.
  RetentionRunner(const RetentionOptions& options, LogDirectories directories,
                  const BackgroundRecovery* recovery = nullptr);

  // Uses `options` from the next run on, which is due at once.
  void Reconfigure(const RetentionOptions& options) {
    options_ = options;
    SetDue();
  }

  // Makes the next RunIfDue() run. Call it after a segment was begun or closed.
  void SetDue() { is_due_ = true; }
  // Makes the next RunIfDue() run if the last run was at least a second ago.
  // Call it when the disk is full.
  void SetDueSoon();

  // Deletes excess files if a run is due, or if the last run was at least a
  // minute ago. Returns soon: deletes at most 16 files, and the next call
  // continues. A file that cannot be deleted is reported on stderr, at most one
  // line a minute, and is not tried again for ten minutes. Does nothing without
  // a limit. If `is_ending`, the log is ending: a run that is not the first one
  // does not wait for a round of recovery.
  void RunIfDue(bool is_ending = false);

  // Does a RunIfDue(), and reports the deleted rings that were not reported
  // yet. Call it once, at the end.
  void RunLast();

  uint64_t deleted_files() const { return deleted_files_; }
  uint64_t errors() const { return errors_; }

  // Returns the program's files. Identifies each file by its content once.
  // Public for tests.
  std::vector<LogFile> List();

 private:
  // The result of identifying a file; valid for this inode.
  struct Known {
    ino_t inode = 0;
    uint64_t bytes = 0;
    bool is_ours = false;
    bool was_seen = false;  // in the last listing
  };

  bool AwaitsRecovery(bool is_last_run);
  void Run(bool is_last_run);
  void AddFiles(const std::string& directory, bool is_elsewhere,
                std::vector<LogFile>* files);
  bool IsOurs(const LogFile& file, ino_t inode);
  bool HoldsOurRing(const LogFile& file) const;
  void DeleteExcess(absl::Duration now);
  // Returns true if the file no longer exists.
  bool Delete(const LogFile& file);
  void ReportDeletedRings();

  RetentionOptions options_;
  const LogDirectories directories_;
  const BackgroundRecovery* const recovery_;  // may be null
  BackgroundRecovery::Progress recovery_seen_;
  bool is_due_ = true;
  absl::Duration ran_at_ = -absl::InfiniteDuration();  // monotonic
  std::map<std::string, Known> known_;                 // by path
  RecentFailures failures_;                            // to delete a file
  uint64_t deleted_files_ = 0;
  uint64_t errors_ = 0;
  // Deleted rings that were not reported yet, and the path of the first one.
  uint64_t unreported_rings_ = 0;
  std::string unreported_path_;
  absl::Duration reported_at_ = -absl::InfiniteDuration();  // monotonic
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RETENTION_RETENTION_RUNNER_H_
