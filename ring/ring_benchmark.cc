// Cost of a record on its way through a ring, compared with queues in memory,
// which lose their records when the process dies, and with copying the bytes.
// Also the time to recover a leftover ring.
//
//   bazel run -c opt //ring:ring_benchmark -- --benchmark_repetitions=5
//     --benchmark_enable_random_interleaving=true
//     --benchmark_report_aggregates_only=true
//
// Compare rows of one run only; times are per record. Every queue has room for
// 16384 records of 192 bytes, and a consumer that copies each record. Rings are
// files in TEST_TMPDIR, or in /tmp.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/file_source.h"
#include "ringlog/ring/os/mapped_file.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/ring/ring_recovery.h"
#include "ringlog/testing/harness/rival_queues.h"

namespace ringlog {
namespace {

using Bytes = RivalRecord;
constexpr size_t kRecordBytes = sizeof(Bytes);
constexpr size_t kRecordHeadBytes = 60;  // the fixed fields and a file name
constexpr size_t kCapacity = kRivalCapacity;
// FATAL records may use the whole ring.
constexpr Severity kSeverity = Severity::kFatal;

// Runs the smallest case of each benchmark once, as a test.
bool g_once = false;

std::string ScratchPath(const char* name) {
  const char* const base = getenv("TEST_TMPDIR");
  static int number = 0;
  return absl::StrCat(base != nullptr ? base : "/tmp", "/ring_benchmark-",
                      getpid(), "-", ++number, "-", name);
}

// ---- Queues: Push, Pop, and Done after each batch ----

enum class Storage { kFile, kMemory, kFirstNumaNode };

// `kFit`: slots that fit the record, instead of the default size.
template <Storage kStorage, bool kFit = false>
class RingQueue {
 public:
  RingQueue() {
    RingOptions options;
    options.slot_count = kCapacity;
    if (kFit) options.body_bytes = 64;
    if (kStorage == Storage::kFirstNumaNode) options.numa_node = 0;
    const std::string path = ScratchPath("queue.ring");
    absl::StatusOr<std::unique_ptr<Ring>> ring =
        kStorage == Storage::kFile ? Ring::Create(path, options)
                                   : Ring::CreateAnonymous(options);
    if (!ring.ok()) {
      fprintf(stderr, "%s\n", ring.status().ToString().c_str());
      abort();
    }
    // Only the mapping is needed.
    unlink(path.c_str());
    ring_ = *std::move(ring);
  }
  bool Push(const Bytes& record) {
    const absl::string_view bytes(record.data(), record.size());
    return ring_->Append(kSeverity, bytes.substr(0, kRecordHeadBytes),
                         bytes.substr(kRecordHeadBytes)) ==
           Ring::AppendResult::kAppended;
  }
  bool Pop(Bytes* record) {
    const auto taken = ring_->Take();
    if (!taken) return false;
    std::memcpy(record->data(), taken->head.data(), kRecordBytes);
    return true;
  }
  void Done() { ring_->Release(); }

 private:
  std::unique_ptr<Ring> ring_;
};

Bytes MakeRecord() {
  Bytes record;
  for (size_t i = 0; i < record.size(); ++i) {
    record[i] = static_cast<char>(i * 7);
  }
  return record;
}

void ReportPerRecord(int64_t records, benchmark::State* state) {
  state->counters["per_record"] = benchmark::Counter(
      static_cast<double>(records),
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

// ---- One thread: pushes and pops a batch in turn ----

template <typename Queue>
void BM_OneThread(benchmark::State& state) {
  const auto batch = static_cast<int>(state.range(0));
  Queue queue;
  Bytes record = MakeRecord();
  for (auto _ : state) {
    for (int i = 0; i < batch; ++i) {
      if (!queue.Push(record)) state.SkipWithError("full");
    }
    for (int i = 0; i < batch; ++i) {
      if (!queue.Pop(&record)) state.SkipWithError("empty");
    }
    queue.Done();
    benchmark::DoNotOptimize(record);
  }
  ReportPerRecord(state.iterations() * batch, &state);
}

// ---- Two threads: throughput of the consumer ----

template <typename Queue>
void BM_TwoThreads(benchmark::State& state) {
  const auto batch = static_cast<int>(state.range(0));
  Queue queue;
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    const Bytes record = MakeRecord();
    while (!stop.load(std::memory_order_relaxed)) {
      if (!queue.Push(record)) std::this_thread::yield();
    }
  });
  Bytes record;
  for (auto _ : state) {
    for (int popped = 0; popped < batch;) {
      if (queue.Pop(&record)) {
        ++popped;
      } else {
        queue.Done();
        std::this_thread::yield();
      }
    }
    queue.Done();
    benchmark::DoNotOptimize(record);
  }
  stop = true;
  writer.join();
  ReportPerRecord(state.iterations() * batch, &state);
}

// ---- Latency of one Push, including the time of the clock ----

using Clock = std::chrono::steady_clock;

void BM_Clock(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Clock::now());
}

void ReportQuantiles(std::vector<uint32_t> ns, benchmark::State* state) {
  std::sort(ns.begin(), ns.end());
  constexpr std::pair<const char*, double> kQuantiles[] = {
      {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};
  for (const auto& [name, q] : kQuantiles) {
    const auto rank =
        static_cast<size_t>(q * static_cast<double>(ns.size() - 1));
    state->counters[name] = ns[rank];
  }
}

template <typename Queue>
void TimePushes(Queue* queue, size_t count, std::vector<uint32_t>* ns) {
  const Bytes record = MakeRecord();
  for (size_t i = 0; i < count; ++i) {
    const Clock::time_point begin = Clock::now();
    benchmark::DoNotOptimize(queue->Push(record));
    const Clock::time_point end = Clock::now();
    ns->push_back(
        static_cast<uint32_t>(std::chrono::nanoseconds(end - begin).count()));
  }
}

// Pushes bursts for which the queue has room, so that no full queue is
// measured.
template <typename Queue>
void BM_PushLatency(benchmark::State& state) {
  const auto threads = static_cast<size_t>(state.range(0));
  const size_t count = kCapacity / 2 / threads;
  Queue queue;
  std::vector<uint32_t> all;
  Bytes record;
  for (auto _ : state) {
    std::vector<std::vector<uint32_t>> of_thread(threads);
    std::vector<std::thread> writers;
    for (std::vector<uint32_t>& ns : of_thread) {
      ns.reserve(count);
      writers.emplace_back([&] { TimePushes(&queue, count, &ns); });
    }
    for (std::thread& writer : writers) writer.join();
    while (queue.Pop(&record)) {
    }
    queue.Done();
    for (const std::vector<uint32_t>& ns : of_thread) {
      all.insert(all.end(), ns.begin(), ns.end());
    }
  }
  ReportQuantiles(std::move(all), &state);
}

// ---- Costs common to all queues ----

void BM_Memcpy(benchmark::State& state) {
  std::vector<Bytes> to(kCapacity);
  const Bytes from = MakeRecord();
  size_t i = 0;
  for (auto _ : state) {
    std::memcpy(to[i++ % kCapacity].data(), from.data(), kRecordBytes);
    benchmark::ClobberMemory();
  }
}

void BM_Checksum(benchmark::State& state) {
  const Bytes record = MakeRecord();
  for (auto _ : state) {
    benchmark::DoNotOptimize(absl::ExtendCrc32c(
        absl::crc32c_t{1}, absl::string_view(record.data(), record.size())));
  }
}

// ---- A leftover ring ----

// Makes a full ring of `mebibytes`, as its process left it. Returns its path.
std::string MakeLeftover(int64_t mebibytes) {
  std::string path = ScratchPath("leftover.ring");
  RingOptions options;
  options.slot_count = static_cast<uint64_t>(mebibytes) * 2048;
  const Bytes record = MakeRecord();
  const absl::string_view bytes(record.data(), record.size());
  const auto ring = Ring::Create(path, options);
  if (!ring.ok()) abort();
  while ((*ring)->Append(kSeverity, bytes.substr(0, kRecordHeadBytes),
                         bytes.substr(kRecordHeadBytes)) ==
         Ring::AppendResult::kAppended) {
  }
  return path;
}

MappedFile MapLeftover(int64_t mebibytes) {
  const std::string path = MakeLeftover(mebibytes);
  absl::StatusOr<MappedFile> file = MappedFile::Open(path);
  unlink(path.c_str());
  if (!file.ok()) abort();
  return *std::move(file);
}

absl::string_view View(MappedFile::Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void BM_Recover(benchmark::State& state) {
  const MappedFile file = MapLeftover(state.range(0));
  uint64_t records = 0;
  for (auto _ : state) {
    const auto ring = RecoverRing(View(file.bytes()), RecoverFrom::kCursor);
    if (!ring.ok() || ring->records.empty()) state.SkipWithError("no records");
    records += ring->records.size();
  }
  ReportPerRecord(static_cast<int64_t>(records), &state);
  state.SetBytesProcessed(state.iterations() * (state.range(0) << 20));
}

// Recovers like the next start: through a window, from the page cache.
void BM_RecoverFile(benchmark::State& state) {
  const std::string path = MakeLeftover(state.range(0));
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  unlink(path.c_str());
  uint64_t records = 0;
  for (auto _ : state) {
    const auto source = FileSource::Make(fd, path, kMaxRingFileBytes);
    if (!source.ok()) abort();
    const auto header =
        ParseRingHeader(*(*source)->Read(0, kRingHeaderAreaBytes));
    if (!header.ok()) abort();
    const auto ring =
        RingRecovery::Start(source->get(), *header, RecoverFrom::kCursor);
    if (!ring.ok()) abort();
    while (*(*ring)->Next() == RingRecovery::Item::kRecord) ++records;
  }
  if (records == 0) state.SkipWithError("no records");
  close(fd);
  ReportPerRecord(static_cast<int64_t>(records), &state);
  state.SetBytesProcessed(state.iterations() * (state.range(0) << 20));
}

void BM_CopyLeftover(benchmark::State& state) {
  const MappedFile file = MapLeftover(state.range(0));
  std::vector<unsigned char> to(file.bytes().size());
  for (auto _ : state) {
    std::memcpy(to.data(), file.bytes().data(), to.size());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * (state.range(0) << 20));
}

// ---- Registration ----

benchmark::internal::Benchmark* Register(const std::string& name,
                                         void (*run)(benchmark::State&)) {
  auto* const b = benchmark::RegisterBenchmark(name, run);
  if (g_once) b->Iterations(1);
  return b;
}

template <typename Queue>
void RegisterQueue(const std::string& name) {
  Register("OneThread/" + name, BM_OneThread<Queue>)
      ->ArgName("batch")
      ->Arg(1)
      ->Arg(64);
  Register("TwoThreads/" + name, BM_TwoThreads<Queue>)
      ->ArgName("batch")
      ->Arg(1)
      ->Arg(64)
      ->UseRealTime();
  Register("PushLatency/" + name, BM_PushLatency<Queue>)
      ->ArgName("threads")
      ->Arg(1)
      ->Arg(2)
      ->UseRealTime();
}

void RegisterAll() {
  RegisterQueue<RingQueue<Storage::kFile>>("Ring");
  RegisterQueue<RingQueue<Storage::kFile, true>>("RingOfFittingSlots");
  RegisterQueue<RingQueue<Storage::kMemory>>("RingWithoutFile");
  RingOptions on_first_node;
  on_first_node.numa_node = 0;
  if (Ring::CreateAnonymous(on_first_node).ok()) {
    RegisterQueue<RingQueue<Storage::kFirstNumaNode>>("RingOnNumaNode0");
  }
  RegisterQueue<ArrayQueue>("ArrayQueue");
  RegisterQueue<MutexQueue>("MutexAndDeque");
  Register("Memcpy", BM_Memcpy);
  Register("Checksum", BM_Checksum);
  Register("Clock", BM_Clock);
  for (const int64_t mebibytes : {1, 64, 1024}) {
    if (g_once && mebibytes > 1) break;
    Register("Recover", BM_Recover)
        ->ArgName("MiB")
        ->Arg(mebibytes)
        ->Unit(benchmark::kMillisecond);
    Register("RecoverFile", BM_RecoverFile)
        ->ArgName("MiB")
        ->Arg(mebibytes)
        ->Unit(benchmark::kMillisecond);
    Register("CopyLeftover", BM_CopyLeftover)
        ->ArgName("MiB")
        ->Arg(mebibytes)
        ->Unit(benchmark::kMillisecond);
  }
}

}  // namespace
}  // namespace ringlog

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  // --once: run everything once, as a test.
  if (argc == 2 && absl::string_view(argv[1]) == "--once") {
    ringlog::g_once = true;
  } else if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  ringlog::RegisterAll();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
