#include "ringlog/tools/crash_demo/crash_victim.h"

#include <unistd.h>

#include <iostream>
#include <thread>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "absl/log/log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ringlog/logsink/ring_log_sink.h"

namespace ringlog {
namespace {

// Installs the sink with a small ring and small segments, so that a short run
// has many laps and many rotations. Writers wait for room, because no record
// may be dropped. Returns false and prints the error if this fails.
bool InstallSink(const std::string& directory, uint64_t ring_bytes) {
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
  absl::InitializeLog();
  RingLogSinkOptions options;
  options.directory = directory;
  options.ring_bytes = ring_bytes;
  options.rotation.max_segment_bytes = 32 << 10;
  options.flush_interval = absl::Milliseconds(20);
  options.overflow = OverflowPolicy::kBlock;
  options.block_deadline = absl::Minutes(10);
  const absl::StatusOr<RingLogSink*> sink = Install(options);
  if (!sink.ok()) std::cerr << "crash_demo: " << sink.status() << "\n";
  return sink.ok();
}

}  // namespace

int RunVictim(const VictimOptions& options, const CrashWorkload& workload,
              const SharedCrashCounters& counters) {
  if (!InstallSink(options.directory, options.ring_bytes)) return 2;
  std::vector<std::thread> threads;
  for (int t = 1; t <= options.threads; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t n = 1; options.records == 0 || n <= options.records; ++n) {
        const WorkItem item = workload.Get(t, n);
        LOG(LEVEL(static_cast<absl::LogSeverity>(item.severity)))
                .AtLocation(workload.name(), static_cast<int>(n))
                .WithThreadID(t)
            << item.text;
        // The counter changes after LOG() has returned, so it never counts a
        // record that may be lost.
        counters->threads[t - 1].acknowledged.store(n,
                                                    std::memory_order_release);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  while (true) pause();
}

int RunNextStart(const std::string& directory) {
  if (!InstallSink(directory, VictimOptions().ring_bytes)) return 2;
  if (WaitForRecovery(absl::Minutes(5))) return 0;
  std::cerr << "crash_demo: recovery did not end within five minutes\n";
  return 2;
}

}  // namespace ringlog
