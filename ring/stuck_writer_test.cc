// Threads that stop in the middle of Append(). The flusher skips their slots
// and reports their ids.

#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring_test_fixture.h"
#include "ringlog/testing/harness/stopping_page.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;

std::string HeadOf(int64_t thread_id) {
  Record record;
  record.thread_id = thread_id;
  char head[kRecordHeadFixedBytes];
  EncodeRecordHead(record, absl::MakeSpan(head));
  return std::string(head, sizeof head);
}

// Returns the bodies that can be taken, without checking the heads.
std::vector<std::string> Bodies(Ring* ring) {
  std::vector<std::string> bodies;
  while (const std::optional<Ring::Taken> taken = ring->Take()) {
    bodies.emplace_back(taken->body);
  }
  return bodies;
}

// A thread that appends a record of `thread_id` and stops while its text is
// read.
class StuckThread {
 public:
  StuckThread(Ring* ring, int64_t thread_id)
      : thread_([this, ring, thread_id] {
          ring->Append(Severity::kInfo, HeadOf(thread_id), page_.text());
        }) {
    page_.AwaitReader();
  }
  ~StuckThread() { End(); }
  void End() {
    if (!thread_.joinable()) return;
    page_.Resume();
    thread_.join();
  }

 private:
  StoppingPage page_;
  std::thread thread_;
};

TEST(StuckWriterTest, EachIsSkippedSeparatelyAndNamed) {
  TestRing ring;
  StuckThread one(&ring.ring(), 4711);
  const uint64_t first = ring.ring().tail_position() - 1;
  StuckThread two(&ring.ring(), 4712);
  ring.Write("after");
  int64_t thread_id = 0;
  std::optional<SlotRange> skipped = ring.ring().Skip(UINT64_MAX, &thread_id);
  ASSERT_TRUE(skipped.has_value());
  EXPECT_EQ(skipped->position, first);
  EXPECT_EQ(skipped->slot_count, 1u);
  EXPECT_EQ(thread_id, 4711);
  skipped = ring.ring().Skip(UINT64_MAX, &thread_id);
  ASSERT_TRUE(skipped.has_value());
  EXPECT_EQ(skipped->position, first + 1);
  EXPECT_EQ(thread_id, 4712);
  EXPECT_THAT(ring.ReadAll(), ElementsAre("after"));
  ring.Release();
  // The thread appends its record again, after the records of other threads.
  one.End();
  ring.Write("last");
  EXPECT_THAT(Bodies(&ring.ring()), ElementsAre(std::string(10, ' '), "last"));
}

TEST(StuckWriterTest, ClaimWithoutCommitHasNoThreadId) {
  TestRing ring;
  // Leaves a thread id in the slot that will be claimed.
  StuckThread(&ring.ring(), 4711).End();
  Bodies(&ring.ring());
  ring.Release();
  for (uint64_t i = 1; i < ring.ring().header().slot_count; ++i) {
    ring.Write("x");
    ring.ReadAll();
    ring.Release();
  }
  const auto stuck = ring.ring().Claim(Severity::kInfo, 40, 5);
  ASSERT_TRUE(stuck.has_value());
  int64_t thread_id = 1;
  ASSERT_TRUE(ring.ring().Skip(UINT64_MAX, &thread_id).has_value());
  EXPECT_EQ(thread_id, 0);
}

// The second claim has no thread id yet.
TEST(StuckWriterTest, ClaimAfterStuckThreadIsNotNamedAfterIt) {
  TestRing ring;
  StuckThread stuck(&ring.ring(), 4711);
  const auto claim = ring.ring().Claim(Severity::kInfo, 40, 5);
  ASSERT_TRUE(claim.has_value());
  int64_t thread_id = 1;
  std::optional<SlotRange> skipped = ring.ring().Skip(UINT64_MAX, &thread_id);
  ASSERT_TRUE(skipped.has_value());
  EXPECT_EQ(skipped->slot_count, 1u);
  EXPECT_EQ(thread_id, 4711);
  skipped = ring.ring().Skip(UINT64_MAX, &thread_id);
  ASSERT_TRUE(skipped.has_value());
  EXPECT_EQ(skipped->position, claim->position);
  EXPECT_EQ(thread_id, 0);
}

}  // namespace
}  // namespace ringlog
