// RetentionRunner
//
// Enforces the retention limits of one program: lists the program's log files
// (log_files.h) and deletes those that ExcessFiles() returns.

#ifndef RINGLOG_COMPRESS_RETENTION_RETENTION_RUNNER_H_
#define RINGLOG_COMPRESS_RETENTION_RETENTION_RUNNER_H_

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/retention/log_files.h"
#include "ringlog/compress/retention/retention.h"
#include "ringlog/compress/segment/log_directories.h"
#include "ringlog/ring/os/recent_failures.h"

namespace ringlog {

// The limits, and what decides whose a segment is.
struct RetentionPolicy {
  RetentionOptions limits;
  // Mode of the program's segments; see LogFiles::List().
  mode_t segment_mode = 0;
};

// Thread-compatible, but any thread may call deleted_files() and errors() at
// any time. Any number of processes may enforce limits in the same directory at
// once.
class RetentionRunner {
 public:
  explicit RetentionRunner(const LogDirectories& directories);

  // Deletes excess files. Does nothing without a limit. Returns false if
  // `must_stop` returned true before the end; then the next call continues.
  // Each call identifies or deletes at least one file, if there is one.
  //
  // Errors are counted and reported on stderr, at most one line a minute. A
  // file that cannot be deleted is not tried again for ten minutes. Reports
  // once if files of other users, which are not deleted, have to go to keep to
  // a limit.
  bool Run(const RetentionPolicy& policy, absl::FunctionRef<bool()> must_stop);

  // Reports the deleted rings that were not reported yet. Run() does so at most
  // once a minute; call this at the end.
  void ReportDeletedRings();

  uint64_t deleted_files() const { return deleted_files_; }
  // Returns the number of errors of listing directories, reading the free space
  // and deleting files. A file that another process uses is no error.
  uint64_t errors() const { return errors_; }

 private:
  std::optional<uint64_t> FreeBytes(const RetentionOptions& limits);
  bool DeleteExcess(const RetentionOptions& limits,
                    absl::FunctionRef<bool()> must_stop,
                    std::vector<LogFile>* files,
                    std::optional<uint64_t>* free_bytes);
  // Returns true if the file no longer exists.
  bool Delete(const LogFile& file);
  void ReportForeign(const RetentionOptions& limits,
                     const LogFiles::Listing& listing,
                     std::optional<uint64_t> free_bytes);
  void Report(const absl::Status& error);

  const LogDirectories directories_;
  LogFiles files_;
  RecentFailures failures_;  // to delete a file
  std::atomic<uint64_t> deleted_files_{0};
  std::atomic<uint64_t> errors_{0};
  bool has_reported_foreign_ = false;
  // Deleted rings that were not reported yet, and the path of the first one.
  uint64_t unreported_rings_ = 0;
  std::string unreported_path_;
  absl::Duration reported_at_ = -absl::InfiniteDuration();  // monotonic
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RETENTION_RETENTION_RUNNER_H_
