// The life of a ring in eight walkthroughs, and a test of each operation of the
// public class Ring, including those that the log sink does not use.

#include <sys/stat.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_test_fixture.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

// ---- The eight walkthroughs ----

TEST(WalkthroughTest, CreateMakesEmptyRingOfFullSize) {
  const std::string path = UnusedPath("create.ring");
  const auto ring = Ring::Create(path, SmallRing());
  ASSERT_TRUE(ring.ok()) << ring.status();
  EXPECT_TRUE((*ring)->empty());
  EXPECT_EQ((*ring)->unprocessed_count(), 0u);
  EXPECT_FALSE(Exists(path + ".tmp"));
  struct stat st;
  ASSERT_EQ(stat(path.c_str(), &st), 0);
  EXPECT_EQ(static_cast<uint64_t>(st.st_size), (*ring)->header().file_bytes);
  EXPECT_GE(st.st_blocks * 512, st.st_size) << "blocks are not allocated";
  EXPECT_EQ(st.st_mode & 0777u, 0600u);
}

TEST(WalkthroughTest, WritePutsRecordIntoFile) {
  TestRing ring;
  ASSERT_TRUE(ring.Write("first"));
  ASSERT_TRUE(ring.Write("second"));
  EXPECT_FALSE(ring.ring().empty());
  EXPECT_EQ(ring.ring().unprocessed_count(), 2u);
  EXPECT_THAT(ring.Recover(), ElementsAre("first", "second"));
}

TEST(WalkthroughTest, ReadReturnsOldestRecordOnce) {
  TestRing ring;
  ring.Write("first");
  ring.Write("second");
  EXPECT_THAT(ring.Read(), Optional(std::string("first")));
  EXPECT_EQ(ring.ring().unprocessed_count(), 1u);
  EXPECT_THAT(ring.Read(), Optional(std::string("second")));
  EXPECT_EQ(ring.Read(), std::nullopt);
}

TEST(WalkthroughTest, FullRingOverwritesOldest) {
  RingOptions options = SmallRing();
  options.overflow = OverflowPolicy::kOverwriteOldest;
  TestRing ring(options);
  for (char c = 'a'; c <= 'j'; ++c) EXPECT_TRUE(ring.Write({&c, 1}));
  EXPECT_THAT(ring.Recover(),
              ElementsAre("c", "d", "e", "f", "g", "h", "i", "j"));
  EXPECT_EQ(ring.ring().dropped(DropCause::kOverwritten, Severity::kInfo), 2u);
}

TEST(WalkthroughTest, ReadAllReturnsRecordsInOrder) {
  TestRing ring;
  std::vector<std::string> written;
  for (int i = 0; i < 8; ++i) {
    written.push_back(std::to_string(i));
    ASSERT_TRUE(ring.Write(written.back()));
  }
  EXPECT_EQ(ring.ReadAll(), written);
}

TEST(WalkthroughTest, EmptyAfterReleaseOverManyLaps) {
  TestRing ring;
  for (int lap = 0; lap < 100; ++lap) {
    ASSERT_TRUE(ring.Write("a"));
    ASSERT_TRUE(ring.Write("b"));
    ASSERT_TRUE(ring.Write("c"));
    EXPECT_FALSE(ring.ring().empty());
    EXPECT_THAT(ring.ReadAll(), ElementsAre("a", "b", "c"));
    EXPECT_FALSE(ring.ring().empty()) << "taken slots are not free";
    ring.Release();
    EXPECT_TRUE(ring.ring().empty());
    EXPECT_EQ(ring.ring().unprocessed_count(), 0u);
  }
}

TEST(WalkthroughTest, TakenRecordStaysUntilRelease) {
  TestRing ring;
  ring.Write("taken");
  ring.Write("waiting");
  ASSERT_THAT(ring.Read(), Optional(std::string("taken")));
  ASSERT_TRUE(ring.ring().Sync(Ring::SyncMode::kWait).ok());
  EXPECT_THAT(ring.Recover(), ElementsAre("taken", "waiting"));
  ring.Release();
  EXPECT_THAT(ring.Recover(), ElementsAre("waiting"));
}

TEST(WalkthroughTest, DestroyedRingCanBeOpenedAgain) {
  TestRing ring;
  ring.Write("kept");
  EXPECT_EQ(Ring::Open(ring.path(), SmallRing()).status().code(),
            absl::StatusCode::kFailedPrecondition)
      << "one file belongs to one ring";
  ring.Close();
  ASSERT_TRUE(Exists(ring.path()));
  ring.Reopen();
  EXPECT_THAT(ring.ReadAll(), ElementsAre("kept"));
}

// ---- create: rejected options ----

struct Refusal {
  const char* option;
  RingOptions options;
};

template <typename T>
Refusal Refused(const char* name, T RingOptions::*option, T value) {
  Refusal refusal{name, SmallRing()};
  refusal.options.*option = value;
  return refusal;
}

TEST(WalkthroughTest, CreateRejectsInvalidOptions) {
  const Refusal refusals[] = {
      Refused<uint64_t>("slot_count is 0", &RingOptions::slot_count, 0),
      Refused<uint64_t>("slot_count is 1;", &RingOptions::slot_count, 1),
      Refused<uint64_t>("slot_count is 3", &RingOptions::slot_count, 3),
      Refused<uint64_t>("slot_count", &RingOptions::slot_count, 1 << 27),
      Refused<uint32_t>("head_bytes is 0", &RingOptions::head_bytes, 0),
      Refused<uint32_t>("head_bytes is 39", &RingOptions::head_bytes, 39),
      Refused<uint32_t>("head_bytes is 4097", &RingOptions::head_bytes, 4097),
      Refused<uint32_t>("body_bytes is 0", &RingOptions::body_bytes, 0),
      Refused<uint32_t>("body_bytes", &RingOptions::body_bytes, (1 << 20) + 1),
      Refused<uint64_t>("first_position is 0", &RingOptions::first_position, 0),
      Refused<uint64_t>("first_position", &RingOptions::first_position,
                        (uint64_t{1} << 60) + 1),
  };
  for (const Refusal& refusal : refusals) {
    const std::string path = UnusedPath("refused.ring");
    const absl::Status status = Ring::Create(path, refusal.options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(refusal.option));
    EXPECT_FALSE(Exists(path));
    EXPECT_FALSE(Exists(path + ".tmp"));
    EXPECT_EQ(Ring::CreateAnonymous(refusal.options).status(), status);
  }
}

TEST(WalkthroughTest, CreateRejectsMoreThan4GiB) {
  RingOptions options;
  options.slot_count = 1 << 26;
  options.body_bytes = 1 << 20;
  const absl::Status status =
      Ring::Create(UnusedPath("large.ring"), options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("make a file of"));
}

TEST(WalkthroughTest, CreateKeepsExistingFile) {
  const std::string path = UnusedPath("existing.ring");
  WriteFile(path, "content");
  EXPECT_EQ(Ring::Create(path, SmallRing()).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReadFile(path), "content");
  EXPECT_FALSE(Exists(path + ".tmp"));
}

// ---- open ----

TEST(WalkthroughTest, OpenRejectsFileOfOtherSize) {
  for (const int change : {-1, -128, 1, 4096}) {
    TestRing ring;
    ring.Write("kept");
    ring.Close();
    std::string bytes = ring.Bytes();
    bytes.resize(bytes.size() + static_cast<size_t>(change));
    WriteFile(ring.path(), bytes);
    EXPECT_EQ(Ring::Open(ring.path(), SmallRing()).status().code(),
              absl::StatusCode::kDataLoss);
    EXPECT_EQ(ring.Bytes(), bytes);
  }
}

TEST(WalkthroughTest, OpenFindsOldestFilledAndFirstFree) {
  TestRing ring;
  for (const char* body : {"a", "b", "c", "d", "e", "f", "g", "h"}) {
    ASSERT_TRUE(ring.Write(body));
  }
  EXPECT_THAT(ring.Read(), Optional(std::string("a")));
  EXPECT_THAT(ring.Read(), Optional(std::string("b")));
  ring.ring().PublishCursor(ring.ring().take_position(), "");
  ring.Release();
  ASSERT_TRUE(ring.Write("i"));
  const uint64_t tail = ring.ring().tail_position();
  ring.Reopen();
  EXPECT_EQ(ring.ring().tail_position(), tail);
  ASSERT_TRUE(ring.Write("j"));
  EXPECT_FALSE(ring.Write("no room"));
  EXPECT_THAT(ring.ReadAll(),
              ElementsAre("c", "d", "e", "f", "g", "h", "i", "j"));
}

TEST(WalkthroughTest, OpenTakesUnreleasedAgain) {
  TestRing ring;
  ring.Write("taken");
  ring.Read();
  ring.Reopen();
  EXPECT_THAT(ring.ReadAll(), ElementsAre("taken"));
}

// ---- nextFree, putFilled, returnFree: Claim, Commit, Abandon ----

TEST(WalkthroughTest, ClaimWaitsUntilDeadline) {
  RingOptions options = SmallRing();
  options.overflow = OverflowPolicy::kBlock;
  options.block_deadline = absl::Milliseconds(30);
  TestRing ring(options);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(ring.Write("x"));
  const absl::Time begin = absl::Now();
  EXPECT_EQ(ring.ring().Claim(Severity::kInfo, 1, 1), std::nullopt);
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(29));
  EXPECT_EQ(ring.ring().dropped(DropCause::kTimedOut, Severity::kInfo), 1u);
  ring.Read();
  ring.Release();
  EXPECT_NE(ring.ring().Claim(Severity::kInfo, 1, 1), std::nullopt);
}

TEST(WalkthroughTest, ClaimIsNotReadBeforeCommit) {
  TestRing ring;
  const auto claim = ring.ring().Claim(Severity::kInfo, 1, 7);
  ASSERT_TRUE(claim.has_value());
  EXPECT_EQ(ring.Read(), std::nullopt);
  EXPECT_TRUE(ring.ring().Commit(*claim, Severity::kInfo, "h", "payload"));
  EXPECT_THAT(ring.Read(), Optional(std::string("payload")));
}

TEST(WalkthroughTest, ReadIgnoresAndReleasesAbandoned) {
  TestRing ring;
  ring.Write("a");
  const auto claim = ring.ring().Claim(Severity::kInfo, 1, SmallBody(3));
  ASSERT_TRUE(claim.has_value());
  ring.Write("b");
  ring.ring().Abandon(*claim);
  EXPECT_THAT(ring.Recover(), ElementsAre("a", "b"));
  EXPECT_THAT(ring.ReadAll(), ElementsAre("a", "b"));
  ring.Release();
  EXPECT_TRUE(ring.ring().empty());
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(ring.Write("all slots are usable"));
}

// ---- nextFilled, releaseFilled: Take, Release ----

TEST(WalkthroughTest, BatchIsTakenAndReleased) {
  TestRing ring;
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(ring.Write(std::to_string(i)));
  EXPECT_FALSE(ring.Write("full"));
  EXPECT_EQ(ring.ReadAll().size(), 8u);
  EXPECT_FALSE(ring.Write("taken, not released"));
  ring.Release();
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(ring.Write("released"));
}

// ---- hasSnap, isEmpty, getUnprocessedCount, dumpMemFile ----

TEST(WalkthroughTest, ContainsOnlyTheMapping) {
  TestRing ring;
  ring.Write("x");
  const auto taken = ring.ring().Take();
  ASSERT_TRUE(taken.has_value());
  EXPECT_TRUE(ring.ring().Contains(taken->body.data()));
  const RingHeader& header = ring.header();
  const char* const slot = taken->head.data() - sizeof(SlotHeader);
  const char* const begin = slot - SlotOffset(header, header.first_position);
  EXPECT_TRUE(ring.ring().Contains(begin));
  EXPECT_FALSE(ring.ring().Contains(begin - 1));
  EXPECT_TRUE(ring.ring().Contains(begin + header.file_bytes - 1));
  EXPECT_FALSE(ring.ring().Contains(begin + header.file_bytes));
  EXPECT_FALSE(ring.ring().Contains(nullptr));
  EXPECT_FALSE(ring.ring().Contains(&header));
}

TEST(WalkthroughTest, UnprocessedCountsClaimedNotTaken) {
  TestRing ring;
  ring.Write(std::string(SmallBody(2), 'x'));
  EXPECT_EQ(ring.ring().unprocessed_count(), 2u);
  const auto claim = ring.ring().Claim(Severity::kInfo, 1, 1);
  EXPECT_EQ(ring.ring().unprocessed_count(), 3u);
  ring.Read();
  EXPECT_EQ(ring.ring().unprocessed_count(), 1u);
  ring.ring().Abandon(*claim);
  ring.ReadAll();
  EXPECT_EQ(ring.ring().unprocessed_count(), 0u);
}

TEST(WalkthroughTest, SyncSucceedsWithAndWithoutFile) {
  TestRing ring;
  ring.Write("x");
  EXPECT_TRUE(ring.ring().Sync(Ring::SyncMode::kStart).ok());
  EXPECT_TRUE(ring.ring().Sync(Ring::SyncMode::kWait).ok());
  const auto anonymous = Ring::CreateAnonymous(SmallRing());
  ASSERT_TRUE(anonymous.ok());
  EXPECT_TRUE((*anonymous)->Sync(Ring::SyncMode::kWait).ok());
}

// ---- A record larger than a slot ----

TEST(WalkthroughTest, RecordOfSeveralSlotsIsInFile) {
  TestRing ring;
  std::string body;
  for (size_t i = 0; i < SmallBody(4); ++i) {
    body.push_back(static_cast<char>('a' + i % 26));
  }
  ASSERT_TRUE(ring.Write(body));
  EXPECT_THAT(ring.Recover(), ElementsAre(body));
  EXPECT_THAT(ring.Read(), Optional(body));
}

}  // namespace
}  // namespace ringlog
