#include "absl/log/initialize.h"
#include "absl/log/log.h"
#include "absl/status/statusor.h"
#include "ringlog/logsink/ring_log_sink.h"

int main(int argc, char** argv) {
  absl::InitializeLog();
  ringlog::RingLogSinkOptions options;
  options.directory = argc > 1 ? argv[1] : "/var/log/server";
  absl::StatusOr<ringlog::RingLogSink*> sink = ringlog::Install(options);
  if (!sink.ok()) LOG(ERROR) << sink.status();

  for (int i = 0; i < 1000; ++i) {
    LOG(INFO) << "request " << i << " took " << i % 7 << " ms";
  }
  if (argc > 2) __builtin_trap();  // shows the log after a crash
}
