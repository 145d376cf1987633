#include "ringlog/testing/kill/killed_life.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/debugging/failure_signal_handler.h"
#include "absl/log/check.h"
#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "ringlog/logsink/failure_writer.h"
#include "ringlog/logsink/ring_log_sink.h"

namespace ringlog {
namespace {

// The notes and the plan of this process.
KilledLife* g_life = nullptr;
size_t g_awaited_report_bytes = 0;

// Passes the pieces of a report from Abseil's handler to FailureWriter(), with
// notes before and after.
void WriteReport(const char* text) {
  if (text == nullptr) {
    FailureWriter(nullptr);
    g_life->is_reported = true;
    return;
  }
  const size_t before = g_life->begun_bytes;
  const size_t size = std::strlen(text);
  if (size > g_life->report.size() - before) _exit(100);
  std::memcpy(g_life->report.data() + before, text, size);
  g_life->begun_bytes = before + size;
  if (g_awaited_report_bytes != 0 && before + size >= g_awaited_report_bytes) {
    while (!g_life->may_continue) sched_yield();
  }
  FailureWriter(text);
  g_life->appended_bytes = before + size;
}

void InstallHandler() {
  absl::FailureSignalHandlerOptions options;
  options.symbolize_stacktrace = false;  // slow, and not part of this test
  options.alarm_on_failure_secs = 0;     // the machine may be slow
  options.writerfn = &WriteReport;
  absl::InstallFailureSignalHandler(options);
}

void Raise(int signal) {
  // Abseil also prints the report on stderr.
  dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
  g_life->reporter = static_cast<pid_t>(syscall(SYS_gettid));
  raise(signal);
}

RingLogSinkOptions OptionsOf(const LifePlan& plan, KilledLife* life) {
  RingLogSinkOptions options;
  options.directory = plan.directory;
  options.ring_bytes = 64 << 10;
  options.overflow = OverflowPolicy::kBlock;
  options.block_deadline = absl::Minutes(1);
  options.flush_interval = absl::Milliseconds(1);
  options.rotation.max_segment_bytes = 4 << 10;
  options.retention = plan.retention;
  options.on_segment_closed = [life](const std::string& path) {
    life->closed_segments.Add(path);
  };
  return options;
}

}  // namespace

uint64_t KilledLife::acknowledged_records() const {
  return std::accumulate(acknowledged.begin(), acknowledged.end(), uint64_t{0});
}

std::string LifeText(uint64_t life, uint64_t thread, uint64_t number) {
  std::string text =
      absl::StrCat("life ", life, " thread ", thread, " number ", number, " ");
  const uint64_t hash = (life * 31 + thread * 17 + number) * 2654435761 % 4096;
  // A few texts take several slots, most take one.
  text.resize(text.size() + (hash < 400 ? hash * 5 : hash / 32), '~');
  return text;
}

void Live(const LifePlan& plan, KilledLife* life) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kFatal);
  absl::InitializeLog();
  g_life = life;
  g_awaited_report_bytes = plan.awaited_report_bytes;
  life->is_installing = true;
  const auto sink = Install(OptionsOf(plan, life));
  CHECK(sink.ok()) << sink.status();
  CHECK(!(*sink)->ring_path().empty());
  if (plan.signal != 0) InstallHandler();
  std::vector<std::thread> running;
  running.emplace_back([life] {
    WaitForRecovery(absl::InfiniteDuration());
    life->has_recovered = true;
  });
  for (uint64_t t = 0; t < plan.threads; ++t) {
    running.emplace_back([&plan, life, t] {
      for (uint64_t n = 0;; ++n) {
        if (t == 0 && plan.signal != 0 && n == plan.records_before_signal) {
          Raise(plan.signal);
        }
        LOG(INFO) << LifeText(plan.number, t, n);
        life->acknowledged[t].store(n + 1);
      }
    });
  }
  for (;;) pause();
}

}  // namespace ringlog
