// Many writers and one flusher on a ring so small that it wraps all the time.
//
// Invariants checked:
// 1. A taken record is one that some thread appended: its bytes follow from the
//    thread, sequence and length in it.
// 2. The records of each thread are taken in order, and none twice.
// 3. A record is taken if and only if its Append() succeeded. The other records
//    are counted.
// 4. Positions grow and never overlap. No position of a record is missing.
// 5. With kOverwriteOldest: the final ring has, for each thread, intact records
//    in order, and appended = remaining + overwritten.
//
// Also runs without threads first. Positions begin just below 2^32. Each run
// prints its seed and its counts.
//
//   bazel test -c opt --config=tsan //ring:stress_test
//     --test_arg=--records=10000000 --test_timeout=3600

#include <algorithm>
#include <array>
#include <atomic>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_test_fixture.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

uint64_t records_per_run = 400000;
uint64_t seed = 0;

constexpr int kWriters = 8;
constexpr size_t kMaxSlots = 5;

// The beginning of a body. The bytes after it follow from it.
struct BodyHeader {
  uint32_t thread;
  // Length of the body, this header included.
  uint32_t length;
  uint64_t sequence;
};

uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

// Makes the body of a thread's n-th record, of 1 to 5 slots.
void MakeBody(uint32_t thread, uint64_t sequence, std::string* body) {
  const uint64_t r = Mix(seed + sequence * kWriters + thread);
  const size_t slots = 1 + r % kMaxSlots;
  const size_t min_bytes =
      slots == 1 ? sizeof(BodyHeader) : SmallBody(slots - 1) + 1;
  BodyHeader header;
  header.thread = thread;
  header.sequence = sequence;
  header.length = static_cast<uint32_t>(
      min_bytes + (r >> 32) % (SmallBody(slots) - min_bytes + 1));
  body->resize(header.length);
  std::memcpy(&(*body)[0], &header, sizeof header);
  uint64_t x = r;
  for (size_t i = sizeof header; i < body->size(); i += 8) {
    x = Mix(x + 1);
    std::memcpy(&(*body)[i], &x, std::min<size_t>(8, body->size() - i));
  }
}

// Checks invariant 1. Returns the header of a valid body.
std::optional<BodyHeader> ParseBody(absl::string_view head,
                                    absl::string_view body) {
  BodyHeader header;
  if (head != "h" || body.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, body.data(), sizeof header);
  if (header.thread >= kWriters || header.length != body.size()) {
    return std::nullopt;
  }
  std::string expected;
  MakeBody(header.thread, header.sequence, &expected);
  if (expected != body) return std::nullopt;
  return header;
}

// Written by one writer, and read after the writer was joined.
struct alignas(64) WriterLog {
  // Result of Append() by sequence.
  std::vector<bool> appended;
  // Number of appended records.
  uint64_t count = 0;
};

class Stress {
 public:
  explicit Stress(OverflowPolicy policy, uint64_t slot_count = 64)
      : ring_(Options(policy, slot_count)),
        per_writer_(records_per_run / kWriters) {
    for (WriterLog& log : logs_) log.appended.reserve(per_writer_);
  }

  // Returns false if the record was dropped.
  bool Append(uint32_t thread) {
    WriterLog& log = logs_[thread];
    thread_local std::string body;
    MakeBody(thread, log.appended.size(), &body);
    const bool appended = ring_.Write(body);
    log.appended.push_back(appended);
    log.count += appended;
    return appended;
  }
  void AppendAll(uint32_t thread) {
    while (!Done(thread)) {
      // Otherwise a thread could drop all of its records within one time slice.
      if (!Append(thread)) std::this_thread::yield();
    }
  }
  // Returns false if there was no record to take.
  bool TakeNext() {
    const auto taken = ring_.ring().Take();
    if (!taken) return false;
    const auto header = ParseBody(taken->head, taken->body);
    if (taken->gap || !header) {
      ADD_FAILURE() << "position " << taken->slots.position
                    << ": not a record that was appended";
      return true;
    }
    EXPECT_GE(taken->slots.position, next_position_);  // invariant 4
    slots_taken_ += taken->slots.slot_count;
    next_position_ = taken->slots.end();
    taken_[header->thread].push_back(header->sequence);
    // Releases one record, or a batch of them.
    if (Mix(next_position_) % 16 < 3) ring_.Release();
    return true;
  }
  bool Done(uint32_t thread) const {
    return logs_[thread].appended.size() == per_writer_;
  }

  void RunWithThreads() {
    const absl::Time begin = absl::Now();
    std::atomic<int> running{kWriters};
    std::vector<std::thread> writers;
    for (uint32_t t = 0; t < kWriters; ++t) {
      writers.emplace_back([this, t, &running] {
        AppendAll(t);
        running.fetch_sub(1, std::memory_order_release);
      });
    }
    for (bool more = true; more;) {
      const bool writing = running.load(std::memory_order_acquire) > 0;
      const bool taken = TakeNext();
      more = taken || writing;
      if (taken) continue;
      ring_.ring().Release();
      std::this_thread::yield();
    }
    for (std::thread& writer : writers) writer.join();
    seconds_ = absl::ToDoubleSeconds(absl::Now() - begin);
  }
  void RunWithoutThreads() {
    std::mt19937_64 random(seed);
    for (bool more = true; more;) {
      const auto t = static_cast<uint32_t>(random() % kWriters);
      if (!Done(t)) Append(t);
      if (random() % 3 == 0) {
        while (TakeNext() && random() % 8 != 0) {
        }
        ring_.Release();
      }
      more = false;
      for (uint32_t i = 0; i < kWriters; ++i) more = more || !Done(i);
    }
    while (TakeNext()) {
    }
  }

  // Checks invariants 2 to 4.
  void Check() {
    uint64_t appended = 0;
    for (uint32_t t = 0; t < kWriters; ++t) {
      const WriterLog& log = logs_[t];
      appended += log.count;
      std::vector<uint64_t> expected;
      for (uint64_t i = 0; i < log.appended.size(); ++i) {
        if (log.appended[i]) expected.push_back(i);
      }
      EXPECT_TRUE(taken_[t] == expected)
          << "thread " << t << ": " << expected.size() << " appended, "
          << taken_[t].size() << " taken, seed " << seed;
    }
    EXPECT_EQ(appended + dropped(), per_writer_ * kWriters);
    EXPECT_EQ(ring_.ring().tail_position() - ring_.header().first_position,
              slots_taken_);
    ring_.Release();
    EXPECT_TRUE(ring_.ring().empty());
    Print(appended);
  }
  void Print(uint64_t appended) const {
    printf("seed %" PRIu64 ": %" PRIu64 " records appended, %" PRIu64
           " dropped, %" PRIu64 " laps, %.1f s\n",
           seed, appended, dropped(), laps(), seconds_);
  }
  uint64_t dropped() const {
    return ring_.ring().dropped(DropCause::kRingFull, Severity::kInfo) +
           ring_.ring().dropped(DropCause::kTimedOut, Severity::kInfo);
  }
  uint64_t laps() const {
    return (ring_.ring().tail_position() - ring_.header().first_position) /
           ring_.header().slot_count;
  }
  const WriterLog& log(uint32_t thread) const { return logs_[thread]; }
  TestRing& ring() { return ring_; }

 private:
  static RingOptions Options(OverflowPolicy policy, uint64_t slot_count) {
    RingOptions options = SmallRing();
    options.slot_count = slot_count;
    options.overflow = policy;
    options.block_deadline = absl::InfiniteDuration();
    return options;
  }

  mutable TestRing ring_;
  const uint64_t per_writer_;
  std::array<WriterLog, kWriters> logs_;
  // State of the flusher.
  uint64_t next_position_ = 0;
  uint64_t slots_taken_ = 0;
  std::array<std::vector<uint64_t>, kWriters> taken_;
  double seconds_ = 0;
};

TEST(StressTest, InvariantsHoldWithoutThreads) {
  Stress stress(OverflowPolicy::kDropNewest);
  stress.RunWithoutThreads();
  stress.Check();
  EXPECT_GT(stress.dropped(), 0u) << "the ring was never full";
}

TEST(StressTest, BlockingRingLosesNothing) {
  Stress stress(OverflowPolicy::kBlock);
  stress.RunWithThreads();
  EXPECT_EQ(stress.dropped(), 0u);
  stress.Check();
}

TEST(StressTest, DroppingRingLosesOnlyCountedDrops) {
  Stress stress(OverflowPolicy::kDropNewest);
  stress.RunWithThreads();
  stress.Check();
}

// Invariant 5.
TEST(StressTest, FlightRecorderKeepsLastRecords) {
  Stress stress(OverflowPolicy::kOverwriteOldest, 256);
  std::vector<std::thread> writers;
  for (uint32_t t = 0; t < kWriters; ++t) {
    writers.emplace_back([&stress, t] { stress.AppendAll(t); });
  }
  for (std::thread& writer : writers) writer.join();
  const std::string bytes = stress.ring().Bytes();
  const auto found = RecoverRing(bytes, RecoverFrom::kEverything);
  ASSERT_TRUE(found.ok());
  EXPECT_TRUE(found->gaps.empty());
  std::array<std::optional<uint64_t>, kWriters> last;
  for (const RecoveredRecord& record : found->records) {
    const auto header = ParseBody(record.head, record.body);
    ASSERT_TRUE(header.has_value()) << "position " << record.position;
    auto& previous = last[header->thread];
    EXPECT_TRUE(!previous || header->sequence > *previous);
    EXPECT_TRUE(stress.log(header->thread).appended[header->sequence]);
    previous = header->sequence;
  }
  uint64_t appended = 0;
  for (uint32_t t = 0; t < kWriters; ++t) appended += stress.log(t).count;
  const uint64_t overwritten =
      stress.ring().ring().dropped(DropCause::kOverwritten, Severity::kInfo);
  EXPECT_EQ(appended, found->records.size() + overwritten);
  stress.Print(appended);
}

}  // namespace
}  // namespace ringlog

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  ringlog::seed = ringlog::TestSeed();
  for (int i = 1; i < argc; ++i) {
    absl::string_view arg = argv[i];
    if (!absl::ConsumePrefix(&arg, "--records=") ||
        !absl::SimpleAtoi(arg, &ringlog::records_per_run)) {
      fprintf(stderr, "usage: stress_test [--records=N]\n");
      return 2;
    }
  }
  return RUN_ALL_TESTS();
}
