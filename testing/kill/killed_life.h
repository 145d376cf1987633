// KilledLife
//
// One process (a "life") of random_kill_test: it installs the sink and logs
// until it is killed. It notes what it has logged in a page that outlives it.

#ifndef RINGLOG_TESTING_KILL_KILLED_LIFE_H_
#define RINGLOG_TESTING_KILL_KILLED_LIFE_H_

#include <sys/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "ringlog/compress/retention/retention.h"
#include "ringlog/testing/kill/closed_segments.h"

namespace ringlog {

// The plan of one life.
struct LifePlan {
  std::string directory;
  uint64_t number = 0;  // part of the text of its records
  uint64_t threads = 1;
  RetentionOptions retention;
  // The signal that the first thread raises after `records_before_signal`
  // records, for Abseil's handler to report. 0: none.
  int signal = 0;
  uint64_t records_before_signal = 0;
  // When FailureWriter() has been called with this number of bytes of the
  // report, the life waits for KilledLife::may_continue. 0: no wait.
  size_t awaited_report_bytes = 0;
};

// The notes of one life. Lives in a SharedPage.
struct KilledLife {
  static constexpr size_t kMaxThreads = 16;
  static constexpr size_t kMaxReportBytes = 8192;

  // Number of acknowledged records of all threads.
  uint64_t acknowledged_records() const;
  // The report as far as it was passed to FailureWriter(), and the part that a
  // kill must not lose.
  std::string begun_report() const { return {report.data(), begun_bytes}; }
  std::string appended_report() const {
    return {report.data(), appended_bytes};
  }

  std::atomic<bool> is_installing{false};
  std::atomic<bool> has_recovered{false};
  std::array<std::atomic<uint64_t>, kMaxThreads> acknowledged = {};
  ClosedSegments closed_segments;

  std::atomic<pid_t> reporter{0};  // id of the thread that reports
  std::array<char, kMaxReportBytes> report = {};
  std::atomic<size_t> begun_bytes{0};  // bytes passed to FailureWriter()
  std::atomic<size_t> appended_bytes{
      0};  // of these, bytes for which it has returned
  std::atomic<bool> is_reported{false};  // the report is complete
  std::atomic<bool> may_continue{false};
};

// Returns the text of a record. Its length depends on its numbers, so a
// truncated text differs from the expected one.
std::string LifeText(uint64_t life, uint64_t thread, uint64_t number);

// Logs until the process is killed. Runs in a process of its own.
[[noreturn]] void Live(const LifePlan& plan, KilledLife* life);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_KILL_KILLED_LIFE_H_
