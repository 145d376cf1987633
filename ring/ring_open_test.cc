// Tests of Create(): header and file. Tests of Open() for the ring of a dead
// process.

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/ring/ring_test_fixture.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// ---- Create ----

TEST(RingCreateTest, HeaderIdentifiesOwnerAndTime) {
  const int64_t before = absl::GetCurrentTimeNanos();
  TestRing ring;
  const int64_t after = absl::GetCurrentTimeNanos();
  const RingHeader& h = ring.header();
  const ProcessIdentity me = CurrentProcess();
  EXPECT_EQ(h.process_id, getpid());
  EXPECT_EQ(h.process_start_ticks, me.start_ticks);
  EXPECT_EQ(std::memcmp(h.boot_id, me.boot_id.data(), 16), 0);
  EXPECT_EQ(h.program, ProgramName().substr(0, 63));
  EXPECT_EQ(h.host, HostName().substr(0, 63));
  EXPECT_GE(h.created_unix_ns, before);
  EXPECT_LE(h.created_unix_ns, after);
  EXPECT_GT(h.monotonic_anchor_ns, 0);
  EXPECT_EQ(h.slot_bytes, 128u);
  EXPECT_EQ(h.head_bytes, 40u);
  EXPECT_EQ(h.body_bytes, 56u);
}

TEST(RingCreateTest, LongNamesAreTruncated) {
  RingOptions options = SmallRing();
  options.program = std::string(200, 'p');
  options.host = std::string(64, 'h');
  TestRing ring(options);
  EXPECT_EQ(ring.header().program, std::string(63, 'p'));
  EXPECT_EQ(ring.header().host, std::string(63, 'h'));
}

TEST(RingCreateTest, RingIdsDiffer) {
  TestRing a;
  TestRing b;
  EXPECT_NE(std::memcmp(a.header().ring_id, b.header().ring_id, 16), 0);
}

TEST(RingCreateTest, BodyGetsPaddingOfSlot) {
  RingOptions options = SmallRing();
  options.body_bytes = 57;
  TestRing ring(options);
  EXPECT_EQ(ring.header().slot_bytes, 192u);
  EXPECT_EQ(ring.header().body_bytes, 120u);
}

TEST(RingCreateTest, CreateInNamesFileByHeader) {
  std::string name;
  const auto ring = Ring::CreateIn(
      ::testing::TempDir(),
      [&](const RingHeader& header) {
        return name = absl::StrCat("by-header-", header.process_id, "-",
                                   header.monotonic_anchor_ns, ".ring");
      },
      SmallRing());
  ASSERT_TRUE(ring.ok()) << ring.status();
  EXPECT_TRUE(absl::EndsWith((*ring)->path(), name));
  EXPECT_TRUE(Exists((*ring)->path()));
  unlink((*ring)->path().c_str());
}

// A file with the ring's name appears after the ring chose the name.
TEST(RingCreateTest, TakenNameGivesAnotherIdAndName) {
  const std::string directory = MakeTestDirectory();
  std::vector<std::string> names;
  const auto ring = Ring::CreateIn(
      directory,
      [&](const RingHeader& header) {
        names.push_back(absl::BytesToHexString(absl::string_view(
            reinterpret_cast<const char*>(header.ring_id), 16)));
        if (names.size() == 1) WriteFile(directory + "/" + names[0], "foreign");
        return names.back();
      },
      SmallRing());
  ASSERT_TRUE(ring.ok()) << ring.status();
  ASSERT_EQ(names.size(), 2u);
  EXPECT_NE(names[0], names[1]);
  EXPECT_EQ((*ring)->path(), directory + "/" + names[1]);
  EXPECT_EQ(ReadFile(directory + "/" + names[0]), "foreign");
  const absl::StatusOr<RingHeader> header =
      ParseRingHeader(ReadFile((*ring)->path()));
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_EQ(std::memcmp(&*header, &(*ring)->header(), sizeof *header), 0);
}

TEST(RingCreateTest, MissingDirectoryIsNotFound) {
  const std::string path = UnusedPath("no-directory") + "/a.ring";
  const absl::Status status = Ring::Create(path, SmallRing()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
}

TEST(RingCreateTest, MissingNumaNodeLeavesNoFile) {
  for (const int node : {63, 64, 1 << 30}) {
    RingOptions options = SmallRing();
    options.numa_node = node;
    const std::string path = UnusedPath("numa.ring");
    EXPECT_FALSE(Ring::Create(path, options).ok()) << node;
    EXPECT_FALSE(Exists(path));
    EXPECT_FALSE(Ring::CreateAnonymous(options).ok()) << node;
  }
}

TEST(RingCreateTest, FirstNumaNodeWorks) {
  RingOptions options = SmallRing();
  options.numa_node = 0;
  const auto ring = Ring::CreateAnonymous(options);
  if (absl::StrContains(ring.status().message(), "not permitted") ||
      absl::StrContains(ring.status().message(), "not implemented")) {
    GTEST_SKIP() << ring.status();
  }
  EXPECT_TRUE(ring.ok()) << ring.status();
}

TEST(RingCreateTest, AnonymousRingHasNoFile) {
  const auto ring = Ring::CreateAnonymous(SmallRing());
  ASSERT_TRUE(ring.ok()) << ring.status();
  EXPECT_EQ((*ring)->path(), "");
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ((*ring)->Append(Severity::kInfo, "h", "body"),
              Ring::AppendResult::kAppended);
    EXPECT_EQ((*ring)->Take()->body, "body");
    (*ring)->Release();
  }
}

// ---- Open ----

class RingOpenTest : public ::testing::Test {
 protected:
  // Simulates the death of the process: restores the file as it is now.
  void DieAndOpen() {
    const std::string bytes = ring_.Bytes();
    ring_.Close();
    WriteFile(ring_.path(), bytes);
    ring_.Reopen();
  }
  void Damage(size_t offset, absl::string_view with) {
    ring_.Close();
    std::string bytes = ring_.Bytes();
    bytes.replace(offset, with.size(), with.data(), with.size());
    WriteFile(ring_.path(), bytes);
    ring_.Reopen();
  }
  size_t SlotOf(uint64_t nth) {
    return SlotOffset(ring_.header(), ring_.header().first_position + nth);
  }
  void PersistAll() {
    ring_.ReadAll();
    ring_.ring().PublishCursor(ring_.ring().take_position(), "state");
    ring_.Release();
  }
  int Room() {
    int written = 0;
    while (ring_.Write("room")) ++written;
    return written;
  }

  TestRing ring_;
};

TEST_F(RingOpenTest, UnusedRingResumes) {
  DieAndOpen();
  EXPECT_THAT(ring_.ReadAll(), IsEmpty());
  EXPECT_EQ(ring_.ring().tail_position(), ring_.header().first_position);
  EXPECT_EQ(Room(), 8);
}

TEST_F(RingOpenTest, ResumesCommittedRecords) {
  const std::string three(SmallBody(3), '3');
  ring_.Write("a");
  ring_.Write(three);
  DieAndOpen();
  ring_.Write("b");
  EXPECT_THAT(ring_.ReadAll(), ElementsAre("a", three, "b"));
  ring_.Release();
  EXPECT_EQ(Room(), 8);
}

TEST_F(RingOpenTest, UnfinishedSlotsAreReused) {
  ring_.Write("a");
  ring_.ring().Claim(Severity::kInfo, 1, SmallBody(2));
  ring_.Write("b");
  DieAndOpen();
  EXPECT_THAT(ring_.ReadAll(), ElementsAre("a", "b"));
  ring_.Release();
  EXPECT_EQ(Room(), 8);
}

TEST_F(RingOpenTest, PositionsAreNotReused) {
  ring_.Write("a");
  ring_.ring().Claim(Severity::kInfo, 1, SmallBody(2));
  const uint64_t tail = ring_.ring().tail_position();
  DieAndOpen();
  EXPECT_EQ(ring_.ring().tail_position(), tail);
}

TEST_F(RingOpenTest, DoesNotTakeBelowCursorAgain) {
  ring_.Write("persisted");
  ring_.Read();
  ring_.ring().PublishCursor(ring_.ring().take_position(), "state");
  ring_.Write("not yet");
  DieAndOpen();
  EXPECT_THAT(ring_.ReadAll(), ElementsAre("not yet"));
}

TEST_F(RingOpenTest, CursorSequenceContinues) {
  for (int i = 0; i < 3; ++i) {
    ring_.Write("x");
    PersistAll();
    DieAndOpen();
    const auto found = RecoverRing(ring_.Bytes(), RecoverFrom::kCursor);
    EXPECT_EQ(found->cursor.sequence, static_cast<uint64_t>(i + 1));
    EXPECT_EQ(found->cursor.end_position, ring_.ring().tail_position());
  }
}

TEST_F(RingOpenTest, DeathFreesSlotOfStuckWriter) {
  const auto stuck = ring_.ring().Claim(Severity::kInfo, 1, 1);
  ring_.ring().Skip(stuck->end());
  for (int i = 0; i < 30; ++i) {
    ring_.Write("x");
    PersistAll();
  }
  DieAndOpen();
  EXPECT_EQ(Room(), 8);
}

TEST_F(RingOpenTest, RepeatedDeathsChangeNothing) {
  ring_.Write("a");
  ring_.ring().Claim(Severity::kInfo, 1, 1);
  ring_.Write("b");
  for (int i = 0; i < 5; ++i) DieAndOpen();
  EXPECT_THAT(ring_.ReadAll(), ElementsAre("a", "b"));
}

TEST_F(RingOpenTest, ManyLapsAndDeathsLoseNothing) {
  uint64_t next = 0;
  for (int life = 0; life < 50; ++life) {
    std::vector<std::string> written;
    for (int i = 0; i < life % 5; ++i) {
      written.push_back(absl::StrCat(next++));
      ASSERT_TRUE(ring_.Write(written.back()));
    }
    DieAndOpen();
    EXPECT_EQ(ring_.ReadAll(), written);
    ring_.ring().PublishCursor(ring_.ring().take_position(), "");
    if (life % 2 == 0) ring_.Release();
    DieAndOpen();
    EXPECT_THAT(ring_.ReadAll(), IsEmpty());
  }
}

TEST_F(RingOpenTest, DamagedWordsDoNotBlockSlots) {
  ring_.Write("a");
  ring_.Write("b");
  ring_.Write("c");
  Damage(SlotOf(1), std::string(8, '\xff'));
  Damage(SlotOf(5), std::string(8, '\xff'));
  EXPECT_THAT(ring_.ReadAll(), ElementsAre("a", "c"));
  ring_.Release();
  EXPECT_EQ(Room(), 8);
}

TEST_F(RingOpenTest, DamagedLivePageIsRebuilt) {
  ring_.Write("a");
  Damage(ring_.header().live_offset, std::string(128, '\x5a'));
  EXPECT_THAT(ring_.ReadAll(), ElementsAre("a"));
  ring_.Release();
  EXPECT_EQ(Room(), 8);
}

// The tail is lost too, so new records get the positions of the lost parts.
TEST_F(RingOpenTest, LostPartsTakeNoSlotsOfNewRecords) {
  for (const bool is_claimed : {false, true}) {
    PersistAll();
    ASSERT_TRUE(ring_.Write(std::string(SmallBody(4), 'l')));
    const uint64_t first = ring_.ring().tail_position() - 4;
    ring_.Close();
    std::string bytes = ring_.Bytes();
    for (uint64_t p = first + 1; p < first + 4; ++p) {
      bytes.replace(SlotOffset(ring_.header(), p), 128, 128, '\0');
    }
    bytes.replace(ring_.header().live_offset, 128, 128, '\0');
    WriteFile(ring_.path(), bytes);
    ring_.Reopen();
    ASSERT_EQ(ring_.ring().tail_position(), first + 1);
    ASSERT_TRUE(ring_.Write("new"));
    std::optional<SlotRange> claim;
    if (is_claimed) claim = ring_.ring().Claim(Severity::kInfo, 1, 4);
    EXPECT_THAT(ring_.ReadAll(), ElementsAre("[missing]", "new"));
    if (!is_claimed) continue;
    EXPECT_TRUE(ring_.ring().Commit(*claim, Severity::kInfo, "h", "late"));
    EXPECT_THAT(ring_.ReadAll(), ElementsAre("late"));
  }
}

TEST_F(RingOpenTest, CountersSurvive) {
  ring_.ring().CountDrop(DropCause::kClosed, Severity::kFatal);
  DieAndOpen();
  EXPECT_EQ(ring_.ring().dropped(DropCause::kClosed, Severity::kFatal), 1u);
}

TEST_F(RingOpenTest, FlightRecorderResumes) {
  ring_.Write("a");
  const std::string path = ring_.path();
  ring_.Close();
  RingOptions options = SmallRing();
  options.overflow = OverflowPolicy::kOverwriteOldest;
  const auto ring = Ring::Open(path, options);
  ASSERT_TRUE(ring.ok()) << ring.status();
  for (int i = 0; i < 20; ++i) {
    (*ring)->Append(Severity::kInfo, "h", absl::StrCat(i));
  }
  EXPECT_THAT(RecoverBytes(ReadFile(path)),
              ElementsAre("12", "13", "14", "15", "16", "17", "18", "19"));
}

TEST_F(RingOpenTest, OtherFilesAreRejectedUnchanged) {
  EXPECT_EQ(Ring::Open(UnusedPath("none"), SmallRing()).status().code(),
            absl::StatusCode::kNotFound);
  for (const std::string& content :
       {std::string("text\n"), std::string(100000, '\0')}) {
    const std::string path = UnusedPath("other");
    WriteFile(path, content);
    EXPECT_EQ(Ring::Open(path, SmallRing()).status().code(),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(ReadFile(path), content);
  }
}

}  // namespace
}  // namespace ringlog
