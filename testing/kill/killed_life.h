// What a process of random_kill_test does until it is killed, and what it says
// of that in a page that outlives it.

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

struct LifePlan {
  std::string directory;
  uint64_t number = 0;  // its records have it
  uint64_t threads = 1;
  RetentionOptions retention;
  // The first thread raises it, after so many records, and Abseil's handler
  // reports it. 0: none.
  int signal = 0;
  uint64_t records_before_signal = 0;
  // When so much of the report has been passed to FailureWriter(), it waits for
  // KilledLife::may_go_on. 0: never.
  size_t awaited_report_bytes = 0;
};

// In a SharedPage.
struct KilledLife {
  static constexpr size_t kMaxThreads = 16;
  static constexpr size_t kMaxReportBytes = 8192;

  // Records of all threads.
  uint64_t acknowledged_records() const;
  // All of it, and what a kill must leave.
  std::string begun_report() const { return {report.data(), begun_bytes}; }
  std::string appended_report() const {
    return {report.data(), appended_bytes};
  }

  std::atomic<bool> is_installing{false};
  std::atomic<bool> has_recovered{false};
  std::array<std::atomic<uint64_t>, kMaxThreads> acknowledged = {};
  ClosedSegments closed_segments;

  std::atomic<pid_t> reporter{0};  // the thread
  std::array<char, kMaxReportBytes> report = {};
  std::atomic<size_t> begun_bytes{0};     // FailureWriter() was called with
  std::atomic<size_t> appended_bytes{0};  // of these, it has returned
  std::atomic<bool> is_reported{false};   // to its end
  std::atomic<bool> may_go_on{false};
};

// The text of a record. How long it is says something about what it has to be.
std::string LifeText(uint64_t life, uint64_t thread, uint64_t number);

// Logs for ever, in a process of its own.
[[noreturn]] void Live(const LifePlan& plan, KilledLife* life);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_KILL_KILLED_LIFE_H_
