// RetentionRunner
//
// Keeps a program's log files within their limits: lists them, deletes what
// ExcessFiles() says. Knows nothing of when a segment is begun: it is told.
//
// Thread-compatible; the flusher's thread calls it. Any number of processes may
// do the same in one directory at once.

#ifndef RINGLOG_COMPRESS_RETENTION_RETENTION_RUNNER_H_
#define RINGLOG_COMPRESS_RETENTION_RETENTION_RUNNER_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ringlog/compress/retention/retention.h"
#include "ringlog/compress/segment/log_directories.h"

namespace ringlog {

class RetentionRunner {
 public:
  RetentionRunner(const RetentionOptions& options, LogDirectories directories);

  void Reconfigure(const RetentionOptions& options) {
    options_ = options;
    SetDue();
  }

  // The next RunIfDue() runs: a segment was begun or closed.
  void SetDue() { is_due_ = true; }
  // The next one does if the last has been a second ago: a disk is full.
  void SetDueSoon();

  // Also runs if the last time has been a minute ago. Deletes a few files at
  // most, so as not to keep its caller long; the next call goes on. What cannot
  // be deleted is passed over for ten minutes, and told on stderr once a minute
  // at most. Does nothing without a limit.
  void RunIfDue();

  // Says on stderr which rings were deleted whose records nobody had recovered,
  // if RunIfDue() has not: it does so once a minute. For the end.
  void TellLosses();

  uint64_t deleted_files() const { return deleted_files_; }
  uint64_t errors() const { return errors_; }

  // What there is; for tests too. Of a file, what it is, is read once.
  std::vector<LogFile> List();

 private:
  // What a file was found to be, while its inode is the same.
  struct Known {
    ino_t inode = 0;
    uint64_t bytes = 0;
    bool is_ours = false;
    bool was_seen = false;  // in the last listing
  };

  void AddFiles(const std::string& directory, bool is_elsewhere,
                std::vector<LogFile>* files);
  bool IsOurs(const LogFile& file, ino_t inode);
  bool HoldsOurRing(const LogFile& file) const;
  void DeleteExcess(absl::Duration now);
  // Whether the file has gone.
  bool Delete(const LogFile& file);

  RetentionOptions options_;
  const LogDirectories directories_;
  bool is_due_ = true;
  absl::Duration ran_at_ = -absl::InfiniteDuration();  // monotonic
  std::map<std::string, Known> known_;
  std::map<std::string, absl::Duration> failed_at_;
  uint64_t deleted_files_ = 0;
  uint64_t errors_ = 0;
  // Rings, the first of them, and when such were told of.
  uint64_t untold_losses_ = 0;
  std::string untold_path_;
  absl::Duration told_at_ = -absl::InfiniteDuration();  // monotonic
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RETENTION_RETENTION_RUNNER_H_
