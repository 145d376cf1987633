// Measures the cost of a LOG() statement with several sinks in the same run:
// one that does nothing, one that locks a mutex and calls fwrite(3), one that
// calls write(2) for each line, and RingLogSink. Each row includes the work of
// Abseil, which is the largest part.
//
//     bazel run -c opt //logsink:log_sink_benchmark
//
// Each call is timed separately. The counters are percentiles in nanoseconds
// over all threads; each includes the same two clock readings. Threads log in
// bursts that fit in the ring, because a dropped record would be cheap. Between
// bursts they wait for the background work of the sink.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/base/thread_annotations.h"
#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "absl/log/log.h"
#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/log/log_sink_registry.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/ring.h"

namespace ringlog {
namespace {

class NullSink : public absl::LogSink {
 public:
  void Send(const absl::LogEntry& entry) override {
    benchmark::DoNotOptimize(entry.text_message().data());
  }
};

class FwriteSink : public absl::LogSink {
 public:
  explicit FwriteSink(const std::string& directory)
      : file_(fopen((directory + "/log").c_str(), "we")) {
    if (file_ == nullptr) abort();
  }
  ~FwriteSink() override { fclose(file_); }
  void Send(const absl::LogEntry& entry) override {
    const absl::string_view line = entry.text_message_with_prefix_and_newline();
    absl::MutexLock lock(&mutex_);
    fwrite(line.data(), 1, line.size(), file_);
  }

 private:
  absl::Mutex mutex_;
  FILE* const file_ ABSL_PT_GUARDED_BY(mutex_);
};

class WriteSink : public absl::LogSink {
 public:
  explicit WriteSink(const std::string& directory)
      : fd_(open((directory + "/log").c_str(),
                 O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) {}
  ~WriteSink() override { close(fd_); }
  void Send(const absl::LogEntry& entry) override {
    const absl::string_view line = entry.text_message_with_prefix_and_newline();
    if (write(fd_, line.data(), line.size()) < 0) abort();
  }

 private:
  const int fd_;
};

using Maker = std::unique_ptr<absl::LogSink> (*)(const std::string& directory);

std::unique_ptr<absl::LogSink> MakeNull(const std::string&) {
  return std::make_unique<NullSink>();
}

template <typename Sink>
std::unique_ptr<absl::LogSink> MakeFile(const std::string& directory) {
  return std::make_unique<Sink>(directory);
}

std::unique_ptr<absl::LogSink> MakeRing(const std::string& directory,
                                        const std::string& ring_directory) {
  RingLogSinkOptions options;
  options.directory = directory;
  options.ring_directory = ring_directory;
  absl::StatusOr<std::unique_ptr<RingLogSink>> sink =
      RingLogSink::Create(options);
  if (!sink.ok()) abort();
  return *std::move(sink);
}

std::unique_ptr<absl::LogSink> MakeRingOnDisk(const std::string& directory) {
  return MakeRing(directory, directory);
}

std::unique_ptr<absl::LogSink> MakeRingOnTmpfs(const std::string& directory) {
  return MakeRing(directory, "/dev/shm");
}

std::string ScratchDirectory() {
  const char* const base = getenv("TEST_TMPDIR");
  std::string path = absl::StrCat(base != nullptr ? base : "/tmp",
                                  "/log_sink_benchmark.XXXXXX");
  if (mkdtemp(path.data()) == nullptr) abort();
  return path;
}

// Nanoseconds of each call, of all threads of one run. Thread-safe.
class Latencies {
 public:
  void Add(std::vector<uint32_t> more) {
    absl::MutexLock lock(&mutex_);
    all_.insert(all_.end(), more.begin(), more.end());
  }
  void Report(benchmark::State* state) {
    absl::MutexLock lock(&mutex_);
    std::sort(all_.begin(), all_.end());
    if (all_.empty()) return;
    constexpr std::array<std::pair<const char*, double>, 4> kQuantiles = {
        {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}}};
    for (const auto& [name, q] : kQuantiles) {
      const auto rank =
          static_cast<size_t>(q * static_cast<double>(all_.size() - 1));
      state->counters[name] = all_[rank];
    }
    all_.clear();
  }

 private:
  absl::Mutex mutex_;
  std::vector<uint32_t> all_ ABSL_GUARDED_BY(mutex_);
};

struct Run {
  std::string directory;
  std::unique_ptr<absl::LogSink> sink;
  Latencies latencies;
  absl::Mutex mutex;
  int reported ABSL_GUARDED_BY(mutex) = 0;
};
Run* g_run = nullptr;

template <Maker kMaker>
void SetUp(const benchmark::State&) {
  g_run = new Run;
  g_run->directory = ScratchDirectory();
  g_run->sink = kMaker(g_run->directory);
  absl::AddLogSink(g_run->sink.get());
}

void TearDown(const benchmark::State&) {
  absl::RemoveLogSink(g_run->sink.get());
  g_run->sink.reset();
  std::filesystem::remove_all(g_run->directory);
  delete g_run;
  g_run = nullptr;
}

uint64_t Drops(const absl::LogSink& sink) {
  const auto* const ours = dynamic_cast<const RingLogSink*>(&sink);
  return ours == nullptr
             ? 0
             : ours->ring().dropped(DropCause::kRingFull, Severity::kInfo);
}

constexpr uint64_t kBurst = 4096;

template <Maker kMaker>
void BM_Log(benchmark::State& state) {
  std::vector<uint32_t> latencies;
  latencies.reserve(1 << 20);
  uint64_t n = 0;
  for (auto _ : state) {
    if (n % kBurst == 0) {
      state.PauseTiming();
      g_run->sink->Flush();
      state.ResumeTiming();
    }
    const auto begin = std::chrono::steady_clock::now();
    LOG(INFO) << "request " << n << " from 10.0.0." << (n & 255)
              << " for /index.html took " << n % 977
              << " us, status 200, user agent curl/7.88.1";
    const auto end = std::chrono::steady_clock::now();
    latencies.push_back(static_cast<uint32_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(end - begin)
            .count()));
    ++n;
  }
  g_run->latencies.Add(std::move(latencies));
  absl::MutexLock lock(&g_run->mutex);
  // The last thread reports the figures of all threads.
  if (++g_run->reported == state.threads()) {
    g_run->latencies.Report(&state);
    state.counters["dropped"] = static_cast<double>(Drops(*g_run->sink));
  }
}

int64_t g_iterations = 100 * kBurst;

void Register(const char* name, void (*run)(benchmark::State&),
              void (*set_up)(const benchmark::State&)) {
  benchmark::RegisterBenchmark(absl::StrCat("BM_Log/", name), run)
      ->Setup(set_up)
      ->Teardown(TearDown)
      ->Threads(1)
      ->Threads(2)
      ->Iterations(g_iterations)
      ->UseRealTime();
}

template <Maker kMaker>
void Register(const char* name) {
  Register(name, BM_Log<kMaker>, SetUp<kMaker>);
}

}  // namespace
}  // namespace ringlog

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  // --once: one iteration of each row, as a test.
  if (argc == 2 && absl::string_view(argv[1]) == "--once") {
    ringlog::g_iterations = 1;
  } else if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  // Before InitializeLog(), Abseil would also write to stderr.
  absl::InitializeLog();
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
  ringlog::Register<ringlog::MakeNull>("NullSink");
  ringlog::Register<ringlog::MakeFile<ringlog::FwriteSink>>("MutexAndFwrite");
  ringlog::Register<ringlog::MakeFile<ringlog::WriteSink>>("WritePerLine");
  ringlog::Register<ringlog::MakeRingOnDisk>("RingLogSink");
  ringlog::Register<ringlog::MakeRingOnTmpfs>("RingLogSinkOnTmpfs");
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
