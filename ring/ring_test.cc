// Tests of Append() and Take(). ring_policy_test covers full rings,
// ring_open_test covers Open().

#include "ringlog/ring/ring.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/relaxed.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_test_fixture.h"

// Counts the allocations of the calling thread. Not inlined, because an
// optimizing gcc would warn that malloc() and delete do not match.
thread_local uint64_t allocations = 0;
[[gnu::noinline]] void* operator new(size_t size) {
  ++allocations;
  if (void* p = malloc(size == 0 ? 1 : size)) return p;
  abort();
}
[[gnu::noinline]] void* operator new(size_t size,
                                     const std::nothrow_t&) noexcept {
  return operator new(size);
}
[[gnu::noinline]] void operator delete(void* p) noexcept { free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { free(p); }

namespace ringlog {
namespace {

using AppendResult = Ring::AppendResult;
using ::testing::ElementsAre;

// Returns bytes that differ from their neighbors and from the bytes of another
// length.
std::string BodyOf(size_t bytes) {
  std::string body(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) {
    body[i] = static_cast<char>((i * 131 + i / 96 + bytes) & 0xff);
  }
  return body;
}

// ---- Sizes ----

TEST(RingTest, EveryBodyLengthIsReturned) {
  TestRing ring;
  ASSERT_EQ(ring.ring().max_body_bytes(1), SmallBody(4));
  for (size_t bytes = 0; bytes <= SmallBody(4); ++bytes) {
    const uint64_t before = ring.ring().tail_position();
    ASSERT_EQ(ring.ring().Append(Severity::kInfo, "h", BodyOf(bytes)),
              AppendResult::kAppended);
    const uint64_t slots = bytes == 0 ? 1 : (1 + bytes + 95) / 96;
    EXPECT_EQ(ring.ring().tail_position() - before, slots) << bytes;
    const auto taken = ring.ring().Take();
    ASSERT_TRUE(taken.has_value());
    EXPECT_FALSE(taken->gap.has_value());
    EXPECT_EQ(taken->slots.position, before);
    EXPECT_EQ(taken->slots.slot_count, slots);
    EXPECT_EQ(taken->head, "h");
    EXPECT_EQ(taken->body, BodyOf(bytes)) << bytes;
    EXPECT_EQ(ring.Read(), std::nullopt);
    ring.Release();
  }
}

TEST(RingTest, EveryHeadLengthIsReturned) {
  TestRing ring;
  for (size_t head_bytes = 0; head_bytes <= 40; ++head_bytes) {
    const std::string head = BodyOf(head_bytes);
    const size_t max_bytes = ring.ring().max_body_bytes(head_bytes);
    EXPECT_EQ(max_bytes, 4 * kSmallPayload - head_bytes);
    for (const size_t body_bytes :
         {size_t{0}, size_t{56}, size_t{57}, max_bytes}) {
      ASSERT_EQ(ring.ring().Append(Severity::kInfo, head, BodyOf(body_bytes)),
                AppendResult::kAppended);
      const auto taken = ring.ring().Take();
      ASSERT_TRUE(taken.has_value());
      EXPECT_EQ(taken->head, head);
      EXPECT_EQ(taken->body, BodyOf(body_bytes));
      ring.Release();
    }
  }
}

TEST(RingTest, LongBodyIsTruncatedAndCounted) {
  TestRing ring;
  const size_t max_bytes = ring.ring().max_body_bytes(1);
  for (const size_t more : {size_t{1}, size_t{1000000}}) {
    const std::string body = BodyOf(max_bytes + more);
    EXPECT_EQ(ring.ring().Append(Severity::kInfo, "h", body),
              AppendResult::kTruncated);
    EXPECT_EQ(ring.Read(), body.substr(0, max_bytes));
    ring.Release();
  }
  EXPECT_EQ(ring.ring().truncated(), 2u);
}

TEST(RingTest, DropIsNotCountedAsTruncated) {
  TestRing ring;
  const std::string body = BodyOf(100000);
  EXPECT_TRUE(ring.Write(body));
  EXPECT_TRUE(ring.Write(body));
  EXPECT_FALSE(ring.Write(body));
  EXPECT_EQ(ring.ring().truncated(), 2u);
  EXPECT_EQ(ring.ring().dropped(DropCause::kRingFull, Severity::kInfo), 1u);
}

TEST(RingTest, RecordHasAtMost65535Slots) {
  RingOptions options = SmallRing();
  options.slot_count = 1 << 18;
  const auto ring = Ring::CreateAnonymous(options);
  ASSERT_TRUE(ring.ok()) << ring.status();
  const size_t max_bytes = (*ring)->max_body_bytes(0);
  EXPECT_EQ(max_bytes, 65535 * kSmallPayload);
  const std::string body = BodyOf(max_bytes + 1);
  EXPECT_EQ((*ring)->Append(Severity::kInfo, "", body),
            AppendResult::kTruncated);
  const auto taken = (*ring)->Take();
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->slots.slot_count, 65535u);
  EXPECT_TRUE(taken->body == absl::string_view(body).substr(0, max_bytes));
}

TEST(RingTest, SmallestRingWorks) {
  RingOptions options;
  options.slot_count = 2;
  options.head_bytes = 40;
  options.body_bytes = 1;
  TestRing ring(options);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(ring.Write(absl::StrCat("a", i)));
    ASSERT_TRUE(ring.Write(absl::StrCat("b", i)));
    EXPECT_FALSE(ring.Write("full"));
    EXPECT_THAT(ring.ReadAll(),
                ElementsAre(absl::StrCat("a", i), absl::StrCat("b", i)));
    ring.Release();
  }
}

// ---- Order and lifetime ----

TEST(RingTest, TakesInOrderOfClaims) {
  TestRing ring;
  const auto first = ring.ring().Claim(Severity::kInfo, 1, 5);
  const auto second = ring.ring().Claim(Severity::kInfo, 1, SmallBody(2));
  const auto third = ring.ring().Claim(Severity::kInfo, 1, 5);
  ring.ring().Commit(*third, Severity::kInfo, "h", "third");
  EXPECT_EQ(ring.Read(), std::nullopt);
  EXPECT_EQ(ring.ring().pending(), first->position);
  ring.ring().Commit(*first, Severity::kInfo, "h", "first");
  EXPECT_THAT(ring.ReadAll(), ElementsAre("first"));
  EXPECT_EQ(ring.ring().pending(), second->position);
  ring.ring().Commit(*second, Severity::kInfo, "h", "second");
  EXPECT_EQ(ring.ring().pending(), std::nullopt);
  EXPECT_THAT(ring.ReadAll(), ElementsAre("second", "third"));
}

TEST(RingTest, ShortRecordsStayInPlaceUntilRelease) {
  TestRing ring;
  ring.Write("first");
  ring.Write("second");
  const auto first = ring.ring().Take();
  const auto second = ring.ring().Take();
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_TRUE(ring.ring().Contains(first->body.data()));
  EXPECT_EQ(first->body, "first");
  EXPECT_EQ(second->body, "second");
}

TEST(RingTest, PositionsContinuePast2To32) {
  TestRing ring;
  uint64_t expected = (uint64_t{1} << 32) - 3;
  for (int i = 0; i < 20; ++i) {
    ring.Write("x");
    const auto taken = ring.ring().Take();
    ASSERT_TRUE(taken.has_value());
    EXPECT_EQ(taken->slots.position, expected++);
    EXPECT_EQ(ring.ring().take_position(), expected);
    ring.Release();
  }
}

TEST(RingTest, GreatestFirstPositionWorks) {
  RingOptions options = SmallRing();
  options.first_position = kMaxFirstPosition;
  TestRing ring(options);
  for (int i = 0; i < 20; ++i) {
    ring.Write(absl::StrCat(i));
    EXPECT_EQ(ring.Recover(), (std::vector<std::string>{absl::StrCat(i)}));
    EXPECT_EQ(ring.Read(), absl::StrCat(i));
    ring.Release();
  }
}

TEST(RingTest, DamagedSlotIsTakenAsGap) {
  TestRing ring;
  for (const char* body : {"a", "b", "c"}) ring.Write(body);
  const int fd = open(ring.path().c_str(), O_WRONLY | O_CLOEXEC);
  const uint64_t second = ring.header().first_position + 1;
  ASSERT_EQ(pwrite(fd, "wild", 4,
                   static_cast<off_t>(SlotOffset(ring.header(), second) + 32)),
            4);
  close(fd);
  EXPECT_THAT(ring.ReadAll(), ElementsAre("a", "[checksum_mismatch]", "c"));
  ring.Release();
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(ring.Write("all slots are usable"));
}

// ---- Skip ----

// Other code has overwritten the tail, and the flusher skips slots up to it.
TEST(RingTest, FlusherStopsDespiteOverwrittenTail) {
  TestRing ring;
  Ring& r = ring.ring();
  const uint64_t slot_count = r.header().slot_count;
  const uint64_t begin = r.take_position();
  ASSERT_TRUE(r.Claim(Severity::kInfo, 1, SmallBody(slot_count / 2)));
  ASSERT_TRUE(r.Claim(Severity::kFatal, 1, SmallBody(slot_count / 2)));
  ASSERT_TRUE(r.Skip(r.tail_position()));
  // Far enough for several laps, near enough for the loop to end.
  const uint64_t tail = r.tail_position() + 1000 * slot_count;
  const int fd = open(ring.path().c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(pwrite(fd, &tail, sizeof tail,
                   static_cast<off_t>(kLiveOffset + offsetof(RingLive, tail))),
            static_cast<ssize_t>(sizeof tail));
  close(fd);
  for (uint64_t lap = 1; lap <= 3; ++lap) {
    EXPECT_EQ(ring.Read(), std::nullopt);
    r.Skip(r.tail_position());
    EXPECT_EQ(r.take_position(), begin + lap * slot_count);
    ring.Release();
  }
  EXPECT_FALSE(r.Seal());
}

TEST(RingTest, SkipsStuckWriterAndRejectsLateCommit) {
  TestRing ring;
  const auto stuck = ring.ring().Claim(Severity::kInfo, 1, SmallBody(2));
  ring.Write("after");
  EXPECT_EQ(ring.Read(), std::nullopt);
  const auto skipped = ring.ring().Skip(stuck->end());
  ASSERT_TRUE(skipped.has_value());
  EXPECT_EQ(skipped->position, stuck->position);
  EXPECT_EQ(skipped->slot_count, 2u);
  EXPECT_THAT(ring.ReadAll(), ElementsAre("after"));
  ring.Release();
  EXPECT_FALSE(ring.ring().Commit(*stuck, Severity::kInfo, "h",
                                  std::string(SmallBody(2), 'x')));
  EXPECT_EQ(ring.Read(), std::nullopt);
  EXPECT_TRUE(ring.ring().empty());
}

TEST(RingTest, OthersUseRingAroundStuckWriter) {
  TestRing ring;
  const auto stuck = ring.ring().Claim(Severity::kInfo, 1, SmallBody(2));
  ring.ring().Skip(stuck->end());
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(ring.Write(absl::StrCat("record ", i)));
    ASSERT_THAT(ring.ReadAll(), ElementsAre(absl::StrCat("record ", i)));
    ring.Release();
  }
  EXPECT_FALSE(
      ring.ring().Commit(*stuck, Severity::kInfo, "h", std::string(150, 'x')));
  int written = 0;
  while (ring.Write("x")) ++written;
  EXPECT_EQ(written, 8) << "the slots of the stuck writer are usable again";
}

TEST(RingTest, SkipStopsAtEndAndAtCommitted) {
  TestRing ring;
  const auto a = ring.ring().Claim(Severity::kInfo, 1, 1);
  const auto b = ring.ring().Claim(Severity::kInfo, 1, 1);
  ring.Write("c");
  const auto d = ring.ring().Claim(Severity::kInfo, 1, 1);
  EXPECT_EQ(ring.ring().Skip(a->end())->slot_count, 1u);
  EXPECT_EQ(ring.ring().pending(), b->position);
  const auto skipped = ring.ring().Skip(UINT64_MAX);
  EXPECT_EQ(skipped->position, b->position);
  EXPECT_EQ(skipped->slot_count, 1u);
  EXPECT_THAT(ring.ReadAll(), ElementsAre("c"));
  EXPECT_EQ(ring.ring().pending(), d->position);
  ring.ring().Commit(*d, Severity::kInfo, "h", "d");
  EXPECT_THAT(ring.ReadAll(), ElementsAre("d"));
}

// ---- Cursor and counters ----

TEST(RingTest, LastPublishedCursorCounts) {
  TestRing ring;
  const uint64_t first = ring.header().first_position;
  for (uint64_t i = 1; i <= 5; ++i) {
    ring.Write("x");
    ring.ring().PublishCursor(first + i, absl::StrCat("state ", i));
    const auto found = RecoverRing(ring.Bytes(), RecoverFrom::kCursor);
    ASSERT_TRUE(found.ok());
  }
  const std::string bytes = ring.Bytes();
  const PersistCursor cursor = RecoverRing(bytes, RecoverFrom::kCursor)->cursor;
  EXPECT_EQ(cursor.sequence, 5u);
  EXPECT_EQ(cursor.end_position, first + 5);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(cursor.state),
                        cursor.state_bytes),
            "state 5");
}

TEST(RingTest, DropsAreCountedByCauseAndSeverity) {
  TestRing ring;
  uint64_t n = 1;
  for (int cause = 0; cause < kDropCauseCount; ++cause) {
    for (int severity = 0; severity < kSeverityCount; ++severity, ++n) {
      for (uint64_t i = 0; i < n; ++i) {
        ring.ring().CountDrop(static_cast<DropCause>(cause),
                              static_cast<Severity>(severity));
      }
    }
  }
  StoreRelaxed(&ring.ring().flusher_counters()->records, uint64_t{4711});
  const std::string bytes = ring.Bytes();
  const RingLive live = RecoverRing(bytes, RecoverFrom::kCursor)->live;
  n = 1;
  for (int cause = 0; cause < kDropCauseCount; ++cause) {
    for (int severity = 0; severity < kSeverityCount; ++severity, ++n) {
      EXPECT_EQ(live.dropped[cause][severity], n);
      EXPECT_EQ(ring.ring().dropped(static_cast<DropCause>(cause),
                                    static_cast<Severity>(severity)),
                n);
    }
  }
  EXPECT_EQ(live.flusher.records, 4711u);
}

// ---- Append's contract ----

TEST(RingTest, AppendAllocatesNothing) {
  TestRing ring;
  const std::string body(SmallBody(3), 'x');
  const uint64_t before = allocations;
  for (int i = 0; i < 100; ++i) ring.ring().Append(Severity::kInfo, "h", body);
  EXPECT_EQ(allocations, before);
  ring.ReadAll();
  EXPECT_NE(allocations, before) << "allocations are not counted";
}

TEST(RingTest, AppendMakesNoSystemCall) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the sanitizer makes system calls";
#endif
  RingOptions options = SmallRing();
  options.overflow = OverflowPolicy::kOverwriteOldest;
  const std::string body(SmallBody(3), 'x');
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    TestRing ring(options);
    // From here on the kernel kills the process at any system call but exit.
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) != 0) _exit(77);
    for (int i = 0; i < 100; ++i) {
      ring.ring().Append(Severity::kInfo, "h", body);
    }
    const bool all_appended =
        ring.ring().tail_position() == ring.header().first_position + 300;
    syscall(SYS_exit, all_appended ? 42 : 43);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
    GTEST_SKIP() << "this kernel has no strict seccomp";
  }
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 42)
      << "ended by signal " << WTERMSIG(status);
}

TEST(RingTest, SealedRingDropsRecords) {
  TestRing ring;
  ASSERT_TRUE(ring.Write("one"));
  EXPECT_FALSE(ring.ring().Seal()) << "the ring has a record";
  ASSERT_EQ(ring.Read(), "one");
  EXPECT_FALSE(ring.ring().Seal()) << "its slot is not free";
  ring.Release();
  const auto claim = ring.ring().Claim(Severity::kInfo, 1, 1);
  ASSERT_TRUE(claim.has_value());
  EXPECT_FALSE(ring.ring().Seal()) << "a writer has a claim";
  ASSERT_TRUE(ring.ring().Commit(*claim, Severity::kInfo, "h", "b"));
  ASSERT_EQ(ring.Read(), "b");
  ring.Release();
  EXPECT_FALSE(ring.ring().is_sealed());
  EXPECT_TRUE(ring.ring().Seal());
  EXPECT_TRUE(ring.ring().is_sealed());
  EXPECT_TRUE(ring.ring().empty());
  EXPECT_FALSE(ring.Write("two", Severity::kFatal));
  EXPECT_EQ(ring.ring().dropped(DropCause::kClosed, Severity::kFatal), 1u);
  EXPECT_EQ(ring.Recover(), std::vector<std::string>{});
}

TEST(RingTest, TooLongClaimIsDroppedAndCounted) {
  TestRing ring;
  const size_t max_bytes = ring.ring().max_body_bytes(1);
  EXPECT_FALSE(
      ring.ring().Claim(Severity::kInfo, 1, max_bytes + 1).has_value());
  EXPECT_FALSE(
      ring.ring()
          .Claim(Severity::kInfo, ring.header().head_bytes + size_t{1}, 1)
          .has_value());
  EXPECT_EQ(ring.ring().dropped(DropCause::kRingFull, Severity::kInfo), 2u);
}

TEST(RingTest, CommitTruncatesBodyToClaim) {
  TestRing ring;
  const auto claim = ring.ring().Claim(Severity::kInfo, 1, 1);
  ASSERT_TRUE(claim.has_value());
  ASSERT_TRUE(ring.Write("neighbour"));
  const std::string body(SmallBody(3), 'x');
  ASSERT_TRUE(ring.ring().Commit(*claim, Severity::kInfo, "h", body));
  EXPECT_EQ(ring.Read(), body.substr(0, SmallBody(1)));
  EXPECT_EQ(ring.Read(), "neighbour");
}

}  // namespace
}  // namespace ringlog
