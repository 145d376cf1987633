// A sink of a program that forks.

#ifndef RINGLOG_LOGSINK_FORK_TEST_FIXTURE_H_
#define RINGLOG_LOGSINK_FORK_TEST_FIXTURE_H_

#include <unistd.h>

#include <string>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {

// The fixture of the fork tests.
class ForkFixture : public ::testing::Test {
 protected:
  ForkFixture() {
    options_.directory = directory_;
    options_.ring_bytes = 64 << 10;
  }

  // Installs the sink in a child process and waits for its recovery. If that
  // fails, ends the process with exit status 100.
  RingLogSink* MustInstall() {
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
    absl::InitializeLog();
    absl::StatusOr<RingLogSink*> sink = Install(options_);
    if (!sink.ok()) _exit(100);
    WaitForRecovery(absl::InfiniteDuration());
    return *sink;
  }

  const std::string directory_ = MakeTestDirectory();
  RingLogSinkOptions options_;
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_FORK_TEST_FIXTURE_H_
