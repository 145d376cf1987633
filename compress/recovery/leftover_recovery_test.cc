// Invariants checked:
//   - each record of a dead process is in the segments once, whichever step of
//     its flusher was the last one
//   - a recovery that is repeated after a kill has the same result
//   - a ring that is in use, of another directory or of another user is not
//     changed

#include "ringlog/compress/recovery/leftover_recovery.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/other_boot.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The machine dies after on_segment_closed was called. The cursor on the disk
// is older than the end of the segment.
TEST(LeftoverRecoveryTest, ClosedSegmentStaysAfterReboot) {
  const std::string directory = MakeTestDirectory();
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.LogNumbered(10);
    process.NameSegment();
    process.CreateSegment();
    process.Take(4);
    process.Write();
    process.Publish();
    process.Release();
    process.Take(3);
    process.Write();
    // The cursors that are published from here on do not reach the disk.
    process.WriteEnd();
  }
  const std::string ring = FilesIn(directory, ".ring").at(0);
  WriteFile(ring, WithOtherBootId(ReadFile(ring)));
  const std::string closed = FilesIn(directory, ".log.zst").at(0);
  const std::string before = ReadFile(closed);
  const absl::StatusOr<LeftoverReport> report = RecoverOnlyRing(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(TextsIn(directory), NumberedTexts(10));
  EXPECT_TRUE(ReadFile(closed) == before);
}

TEST_P(ScriptedDeathTest, EachRecordIsRecoveredOnce) {
  const std::string directory = MakeTestDirectory();
  const int logged = LiveAndDie(directory);
  const absl::StatusOr<LeftoverReport> report = RecoverOnlyRing(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->gaps, IsEmpty());
  EXPECT_EQ(TextsIn(directory), NumberedTexts(logged));
  EXPECT_THAT(FilesIn(directory, ".ring"), IsEmpty());
}

// A killed recovery has written a part of the segment, which may end at any
// byte.
TEST_P(ScriptedDeathTest, RecoveryAfterKilledRecoveryHasSameResult) {
  const std::string directory = MakeTestDirectory();
  LiveAndDie(directory);
  const std::string ring_path = FilesIn(directory, ".ring")[0];
  const std::string ring = ReadFile(ring_path);
  const absl::StatusOr<LeftoverReport> report = RecoverOnlyRing(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_FALSE(report->segment_path.empty());
  const std::string result = ReadFile(report->segment_path);
  const std::vector<std::string> segments = FilesIn(directory, ".zst");

  const auto parsed = RecoverRing(ring, RecoverFrom::kCursor);
  ASSERT_TRUE(parsed.ok());
  uint64_t persisted_bytes = 0;
  if (parsed->cursor.sequence != 0) {
    const auto cursor = DecodeSegmentCursor(parsed->cursor);
    ASSERT_TRUE(cursor.ok());
    persisted_bytes = cursor->segment_bytes;
  }
  // The first 40 lengths, and then a sample, because each takes a recovery.
  for (size_t length = persisted_bytes; length <= result.size();
       length += length < persisted_bytes + 40 ? 1 : 13) {
    WriteFile(ring_path, ring);
    WriteFile(report->segment_path, result.substr(0, length));
    const absl::StatusOr<LeftoverReport> again = RecoverOnlyRing(directory);
    ASSERT_TRUE(again.ok()) << again.status() << " at " << length;
    ASSERT_EQ(ReadFile(again->segment_path), result) << " at " << length;
    ASSERT_EQ(FilesIn(directory, ".zst"), segments) << " at " << length;
  }
}

TEST_P(ScriptedDeathTest, RecordsInRingSurviveLossOfSegment) {
  const std::string directory = MakeTestDirectory();
  const int logged = LiveAndDie(directory);
  for (const std::string& path : FilesIn(directory, ".zst")) {
    unlink(path.c_str());
  }
  const absl::StatusOr<LeftoverReport> report = RecoverOnlyRing(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  const std::vector<std::string> all = NumberedTexts(logged);
  const std::vector<std::string> texts = TextsIn(directory);
  EXPECT_EQ(texts, std::vector<std::string>(
                       all.end() - static_cast<ptrdiff_t>(report->records),
                       all.end()));
}

INSTANTIATE_TEST_SUITE_P(AfterEachStep, ScriptedDeathTest, EachScriptStep());

TEST(LeftoverRecoveryTest, UncommittedRecordIsGapInLog) {
  const std::string directory = MakeTestDirectory();
  uint64_t position;
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.LogNumbered(2);
    position = process.ring()->Claim(Severity::kInfo, 40, 10)->position;
    process.LogNumbered(1);
  }
  const absl::StatusOr<LeftoverReport> report = RecoverOnlyRing(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->records, 3);
  EXPECT_THAT(report->gaps, SizeIs(1));
  EXPECT_THAT(AllText(directory),
              HasSubstr(absl::StrCat("position ", position, " missing")));
}

TEST(LeftoverRecoveryTest, LockedRingStays) {
  const std::string directory = MakeTestDirectory();
  ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
  process.LogNumbered(3);
  const std::string before = ReadFile(process.ring()->path());
  EXPECT_TRUE(absl::IsFailedPrecondition(RecoverOnlyRing(directory).status()));
  EXPECT_EQ(ReadFile(process.ring()->path()), before);
  EXPECT_THAT(FilesIn(directory, ".zst"), IsEmpty());
}

// The program closes all descriptors, also that of its ring, and continues to
// log.
TEST(LeftoverRecoveryTest, RingOfLivingProcessStays) {
  const std::string directory = MakeTestDirectory();
  Signal is_ready, may_go_on;
  const pid_t child = StartChild([&] {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.LogNumbered(2);
    for (int fd = 3; fd < 1000; ++fd) {
      if (fd != is_ready.write_fd() && fd != may_go_on.read_fd()) close(fd);
    }
    is_ready.Send();
    may_go_on.Await();
    process.LogNumbered(1);
    _exit(0);
  });
  is_ready.Await();
  EXPECT_TRUE(absl::IsFailedPrecondition(RecoverOnlyRing(directory).status()));
  may_go_on.Send();
  ASSERT_EQ(AwaitChild(child), 0);
  const absl::StatusOr<LeftoverReport> report = RecoverOnlyRing(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(TextsIn(directory), NumberedTexts(3));
}

TEST(LeftoverRecoveryTest, UnmappedRingOfLivingProcessIsRecovered) {
  const std::string directory = MakeTestDirectory();
  Signal is_ready, may_end;
  const pid_t child = StartChild([&] {
    LogAndDie(directory, 3);
    is_ready.Send();
    may_end.Await();
    _exit(0);
  });
  is_ready.Await();
  const absl::StatusOr<LeftoverReport> report = RecoverOnlyRing(directory);
  EXPECT_TRUE(report.ok()) << report.status();
  may_end.Send();
  ASSERT_EQ(AwaitChild(child), 0);
  EXPECT_EQ(TextsIn(directory), NumberedTexts(3));
}

TEST(LeftoverRecoveryTest, UnfinishedRingIsDeleted) {
  const std::string directory = MakeTestDirectory();
  const pid_t dead = StartChild([] { _exit(0); });
  AwaitChild(dead);
  const std::string path = absl::StrCat(
      directory, "/program.host.20261124-034019.", dead, ".5f3a9c1b.ring.tmp");
  WriteFile(path, std::string(4096, '\0'));
  WriteFile(directory + "/other.tmp", "a user's own");
  RecoverLeftovers(directory, directory);
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(std::filesystem::exists(directory + "/other.tmp"));
}

TEST(LeftoverRecoveryTest, UnfinishedRingWithHeaderIsDeleted) {
  const std::string directory = MakeTestDirectory();
  LogAndDie(directory, 0);
  const std::string ring = FilesIn(directory, ".ring").at(0);
  ASSERT_EQ(rename(ring.c_str(), (ring + ".tmp").c_str()), 0);
  RecoverLeftovers(directory, directory);
  EXPECT_TRUE(std::filesystem::is_empty(directory));
}

// The copy has an older cursor. Recovery of the copy would truncate the segment
// at that cursor.
TEST(LeftoverRecoveryTest, CopyWithSuffixStays) {
  const std::string directory = MakeTestDirectory();
  std::string copy;
  std::string bytes;
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.LogNumbered(3);
    process.Flush();
    copy = process.ring_path() + ".tmp";
    bytes = ReadFile(process.ring_path());
    process.LogNumbered(3);
    process.Flush();
  }
  for (const bool has_headers : {true, false}) {
    if (!has_headers) bytes.replace(0, kLiveOffset, kLiveOffset, '\0');
    WriteFile(copy, bytes);
    const absl::Status status =
        RecoverLeftover(copy, directory, SegmentWriterOptions()).status();
    EXPECT_THAT(status.message(), HasSubstr("has records"));
    EXPECT_EQ(ReadFile(copy), bytes);
  }
  ASSERT_TRUE(RecoverOnlyRing(directory).ok());
  EXPECT_EQ(TextsIn(directory), NumberedTexts(6));
}

TEST(LeftoverRecoveryTest, UnreportedDropsAreGapsInLog) {
  const std::string directory = MakeTestDirectory();
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.LogNumbered(3);
    process.ring()->CountDrop(DropCause::kRingFull, Severity::kWarning);
  }
  const absl::StatusOr<LeftoverReport> report = RecoverOnlyRing(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(AllText(directory), HasSubstr("1 WARNING record dropped"));
}

TEST(LeftoverRecoveryTest, UnreadableDirectoryIsAnError) {
  const std::string path = MakeTestDirectory() + "/file";
  WriteFile(path, "");
  const RecoveredLeftovers leftovers = RecoverLeftovers(path, path);
  ASSERT_THAT(leftovers.errors, SizeIs(1));
  EXPECT_THAT(leftovers.errors[0].message(), HasSubstr(path));
}

TEST(LeftoverRecoveryTest, MissingDirectoryIsEmpty) {
  const RecoveredLeftovers leftovers =
      RecoverLeftovers("/nonexistent", "/nonexistent");
  EXPECT_THAT(leftovers.errors, IsEmpty());
}

TEST(LeftoverRecoveryTest, SharedRingIsRecoveredOnlyIntoItsDirectory) {
  const std::string shared = MakeTestDirectory();
  const std::string mine = MakeTestDirectory();
  const std::string other = MakeTestDirectory();
  LogAndDie(shared, 3, mine);
  RecoverLeftovers(shared, other);
  RecoverLeftovers(shared, shared);
  EXPECT_THAT(FilesIn(shared, ".ring"), SizeIs(1));
  EXPECT_THAT(FilesIn(other, ".zst"), IsEmpty());
  EXPECT_THAT(FilesIn(shared, ".zst"), IsEmpty());
  RecoverLeftovers(shared, mine);
  EXPECT_THAT(FilesIn(shared, ".ring"), IsEmpty());
  EXPECT_EQ(TextsIn(mine), NumberedTexts(3));
}

TEST(LeftoverRecoveryTest, SharedRingOfAnotherUserStays) {
  const std::string shared = MakeTestDirectory();
  const std::string mine = MakeTestDirectory();
  LogAndDie(shared, 3, mine);
  const std::string ring = FilesIn(shared, ".ring").at(0);
  if (chown(ring.c_str(), 12345, static_cast<gid_t>(-1)) != 0) {
    GTEST_SKIP() << "may not give files to another user";
  }
  RecoverLeftovers(shared, mine);
  EXPECT_THAT(FilesIn(shared, ".ring"), SizeIs(1));
  EXPECT_THAT(FilesIn(mine, ".zst"), IsEmpty());
}

TEST(LeftoverRecoveryTest, PipeNamedLikeRingDoesNotBlock) {
  const std::string shared = MakeTestDirectory();
  const std::string mine = MakeTestDirectory();
  LogAndDie(shared, 3, mine);
  const std::string ring = FilesIn(shared, ".ring").at(0);
  const std::string pipe = absl::StrCat(shared, "/a", Basename(ring));
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  RecoverLeftovers(shared, mine);
  EXPECT_EQ(TextsIn(mine), NumberedTexts(3));
}

// The header has only the end of a long path, and a hash of the whole path.
TEST(LeftoverRecoveryTest, LongSegmentDirectoriesWithSameEndAreDistinct) {
  const std::string shared = MakeTestDirectory();
  const std::string mine = MakeTestDirectory() + "/" + std::string(200, 'd');
  const std::string other = MakeTestDirectory() + "/" + std::string(200, 'd');
  std::filesystem::create_directory(mine);
  std::filesystem::create_directory(other);
  LogAndDie(shared, 3, mine);
  RecoverLeftovers(shared, other);
  EXPECT_THAT(TextsIn(other), IsEmpty());
  RecoverLeftovers(shared, mine);
  EXPECT_EQ(TextsIn(mine), NumberedTexts(3));
}

// A process that may only read a ring must not be able to prevent its recovery.
TEST(LeftoverLockTest, LockOfReaderDoesNotPreventRecovery) {
  const std::string directory = MakeTestDirectory();
  LogAndDie(directory, 3);
  const std::string ring = FilesIn(directory, ".ring")[0];
  const int reader = open(ring.c_str(), O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(flock(reader, LOCK_EX | LOCK_NB), 0);
  const RecoveredLeftovers leftovers = RecoverLeftovers(directory, directory);
  close(reader);
  EXPECT_THAT(leftovers.errors, IsEmpty());
  EXPECT_THAT(leftovers.recovered, SizeIs(1));
  EXPECT_EQ(TextsIn(directory), NumberedTexts(3));
}

// Another recovery may hold the lock.
TEST(LeftoverLockTest, PermanentLockPreventsRecovery) {
  const std::string directory = MakeTestDirectory();
  LogAndDie(directory, 3);
  const std::string ring = FilesIn(directory, ".ring")[0];
  const int other = open(ring.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(LockFile(other, ring), absl::OkStatus());
  const RecoveredLeftovers leftovers = RecoverLeftovers(directory, directory);
  EXPECT_THAT(leftovers.errors, IsEmpty());
  EXPECT_THAT(leftovers.recovered, IsEmpty());
  EXPECT_THAT(FilesIn(directory, ".ring"), SizeIs(1));
  close(other);
}

}  // namespace
}  // namespace ringlog
