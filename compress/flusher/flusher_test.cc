#include "ringlog/compress/flusher/flusher.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher_test_fixture.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/relaxed.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;

std::string Filler(int n) {
  return std::string(static_cast<size_t>(n % 300), 'x');
}

class FlusherTest : public FlusherFixture {};

TEST_F(FlusherTest, RecordsAreInSegmentAfterStop) {
  MakeRing(64);
  auto flusher = StartFlusher(ring_.get(), Options());
  Append("one");
  Append("two");
  ASSERT_TRUE(flusher->Stop().ok());
  EXPECT_THAT(Texts(), ElementsAre("one", "two"));
  EXPECT_TRUE(ring_->empty());
}

TEST_F(FlusherTest, FlushReturnsWhenRecordIsInSegment) {
  MakeRing(64);
  FlusherOptions options = Options();
  options.flush_interval = absl::Hours(1);
  auto flusher = StartFlusher(ring_.get(), options);
  Append("one");
  EXPECT_TRUE(flusher->Flush(kLong));
  const std::vector<std::string> segments = FilesIn(directory_, ".log.zst");
  ASSERT_EQ(segments.size(), 1);
  EXPECT_THAT(Decompress(segments[0]), EndsWith("file.cc:42] one\n"));
}

TEST_F(FlusherTest, RecordIsWrittenWithoutFlush) {
  MakeRing(64);
  auto flusher = StartFlusher(ring_.get(), Options());
  Append("one");
  while (FilesIn(directory_, ".log.zst").empty() || !ring_->empty()) {
    std::this_thread::yield();
  }
  EXPECT_THAT(Decompress(FilesIn(directory_, ".log.zst")[0]),
              HasSubstr("] one\n"));
}

TEST_F(FlusherTest, FlushTimesOutOnUncommittedRecord) {
  MakeRing(64);
  FlusherOptions options = Options();
  options.stuck_writer_timeout = kLong;
  auto flusher = StartFlusher(ring_.get(), options);
  auto claim = ring_->Claim(Severity::kInfo, 40, 3);
  ASSERT_TRUE(claim.has_value());
  EXPECT_FALSE(flusher->Flush(absl::Milliseconds(50)));
  ring_->Abandon(*claim);
  EXPECT_TRUE(flusher->Flush(kLong));
}

// Each written record causes another one, so that the ring is never empty. The
// flusher cannot write all of them in half a second.
TEST_F(FlusherTest, StopReturnsDuringEndlessLogging) {
  constexpr int kRecords = 5000;
  MakeRing(64);
  FlusherOptions options = Options();
  options.batch_bytes = 1;
  options.rotation.max_segment_bytes = 1;
  std::atomic<int> logged{0};
  options.on_segment_closed = [&](const std::string&) {
    if (++logged < kRecords) Append("endless");
  };
  auto flusher = StartFlusher(ring_.get(), options);
  Append("first");
  const absl::Status status = flusher->Stop();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_LT(logged, kRecords);
  EXPECT_FALSE(ring_->empty()) << "the next start recovers its records";
}

TEST_F(FlusherTest, ManyThreadsWriteEachRecordOnceInOrder) {
  MakeRing(256);
  FlusherOptions options = Options();
  options.rotation.max_segment_bytes = 4096;
  options.segment.frame_bytes = 8192;
  options.batch_bytes = 2048;
  auto flusher = StartFlusher(ring_.get(), options);
  constexpr int kThreads = 4;
  constexpr int kRecords = 20000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < kRecords; ++i) {
        Append(absl::StrCat(t, " ", i, " ", Filler(i)), t);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(flusher->Stop().ok());

  std::map<int, int> next;
  for (const std::string& text : Texts()) {
    const std::vector<std::string> words = absl::StrSplit(text, ' ');
    int thread, number;
    ASSERT_TRUE(absl::SimpleAtoi(words[0], &thread)) << text;
    ASSERT_TRUE(absl::SimpleAtoi(words[1], &number)) << text;
    ASSERT_EQ(number, next[thread]++) << text;
    ASSERT_EQ(words[2], Filler(number));
  }
  for (int t = 0; t < kThreads; ++t) EXPECT_EQ(next[t], kRecords);
  EXPECT_GT(FilesIn(directory_, ".log.zst").size(), 10);
  EXPECT_EQ(ring_->flusher_counters()->records, kThreads * kRecords);
}

// Reads the ring file while the flusher runs, because a kill may leave the file
// in each of these states.
TEST_F(FlusherTest, CursorCoversFreeSlots) {
  MakeRing(64);
  FlusherOptions options = Options();
  options.batch_bytes = 512;
  options.rotation.max_segment_bytes = 4096;
  auto flusher = StartFlusher(ring_.get(), options);
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int i = 0; i < 50000; ++i) Append(absl::StrCat("record ", i));
    done = true;
  });
  const std::string path = ring_->path();
  uint64_t reads = 0;
  for (; !done; ++reads) {
    // Reads `released` before the cursor; both only grow.
    const std::string released = ReadFile(path);
    const std::string cursor = ReadFile(path);
    const uint64_t free_until =
        RecoverRing(released, RecoverFrom::kEverything)->live.released;
    const PersistCursor persisted =
        RecoverRing(cursor, RecoverFrom::kEverything)->cursor;
    // A snapshot is not atomic and may contain a torn cursor.
    if (persisted.sequence == 0) continue;
    ASSERT_LE(free_until, persisted.end_position);
  }
  writer.join();
  EXPECT_GT(reads, 0);
}

TEST_F(FlusherTest, DroppedRecordsAreReportedInLog) {
  MakeRing(16, OverflowPolicy::kDropNewest);
  for (int i = 0; i < 100; ++i) Append(absl::StrCat("record ", i));
  const uint64_t kept = ring_->capacity(Severity::kInfo);
  auto flusher = StartFlusher(ring_.get(), Options());
  ASSERT_TRUE(flusher->Stop().ok());
  EXPECT_THAT(AllText(directory_),
              HasSubstr(absl::StrCat(100 - kept, " INFO records dropped")));
}

TEST_F(FlusherTest, DropsAreReportedOnce) {
  MakeRing(16, OverflowPolicy::kDropNewest);
  for (int i = 0; i < 100; ++i) Append("x");
  auto flusher = StartFlusher(ring_.get(), Options());
  ASSERT_TRUE(flusher->Flush(kLong));
  Append("y");
  ASSERT_TRUE(flusher->Stop().ok());
  const std::string text = AllText(directory_);
  const std::vector<std::string> parts =
      absl::StrSplit(text, "records dropped");
  EXPECT_EQ(parts.size(), 2) << text;
}

TEST_F(FlusherTest, StuckWriterIsSkippedAndReported) {
  MakeRing(64);
  FlusherOptions options = Options();
  options.stuck_writer_timeout = absl::Milliseconds(20);
  auto flusher = StartFlusher(ring_.get(), options);
  auto claim = ring_->Claim(Severity::kInfo, 40, 3);
  ASSERT_TRUE(claim.has_value());
  Append("later");
  ASSERT_TRUE(flusher->Flush(kLong));
  EXPECT_FALSE(
      ring_->Commit(*claim, Severity::kInfo, std::string(40, 'h'), "abc"));
  Append("last");
  ASSERT_TRUE(flusher->Stop().ok());
  const std::string text = AllText(directory_);
  EXPECT_THAT(
      text, HasSubstr(absl::StrCat("position ", claim->position, " missing")));
  EXPECT_THAT(text, HasSubstr("] later\n"));
  EXPECT_THAT(text, HasSubstr("] last\n"));
}

TEST_F(FlusherTest, RecordsWaitInRingForDirectory) {
  MakeRing(64);
  FlusherOptions options = Options();
  options.directory = directory_ + "/later/logs";
  auto flusher = StartFlusher(ring_.get(), options);
  Append("one");
  // Waits for the first failed attempt.
  do {
    EXPECT_FALSE(flusher->Flush(absl::Milliseconds(5)));
  } while (LoadRelaxed(&ring_->flusher_counters()->write_errors) == 0);
  EXPECT_FALSE(ring_->empty());
  ASSERT_EQ(mkdir((directory_ + "/later").c_str(), 0700), 0);
  EXPECT_TRUE(flusher->Flush(kLong));
  ASSERT_TRUE(flusher->Stop().ok());
  EXPECT_THAT(AllText(options.directory), HasSubstr("] one\n"));
  EXPECT_THAT(FilesIn(options.directory, ".zst"),
              Contains(HasSubstr(".000001.log.zst")));
}

TEST_F(FlusherTest, StopWithoutDirectoryFailsAndKeepsRecords) {
  MakeRing(64);
  FlusherOptions options = Options();
  options.directory = directory_ + "/missing/logs";
  auto flusher = StartFlusher(ring_.get(), options);
  Append("one");
  const absl::Status status = flusher->Stop();
  EXPECT_THAT(status.message(), HasSubstr("/missing"));
  EXPECT_FALSE(ring_->empty());
}

// A limit on file sizes simulates a full disk: a write stops in the middle of a
// batch.
TEST_F(FlusherTest, PartialWriteIsRetriedExactlyOnce) {
  MakeRing(1024);
  signal(SIGXFSZ, SIG_IGN);
  FlusherOptions options = Options();
  options.batch_bytes = 4096;
  auto flusher = StartFlusher(ring_.get(), options);
  Append("first");
  ASSERT_TRUE(flusher->Flush(kLong));
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  std::vector<std::string> expected = {"first"};
  for (const rlim_t limit :
       std::vector<rlim_t>{100, 150, 200, 300, 1000, 2000, 5000}) {
    rlimit low = before;
    low.rlim_cur = limit;
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
    for (int i = 0; i < 100; ++i) {
      // The texts do not compress below the limit.
      expected.push_back(absl::StrCat(limit, " ", i, " ", i * 7919 % 10007));
      Append(expected.back());
    }
    // Waits until a write has reached the limit, or all records fit below it.
    const uint64_t errors =
        LoadRelaxed(&ring_->flusher_counters()->write_errors);
    while (!flusher->Flush(absl::Milliseconds(5)) &&
           LoadRelaxed(&ring_->flusher_counters()->write_errors) == errors) {
    }
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    ASSERT_TRUE(flusher->Flush(kLong));
  }
  EXPECT_GT(LoadRelaxed(&ring_->flusher_counters()->write_errors), 0);
  ASSERT_TRUE(flusher->Stop().ok());
  EXPECT_EQ(Texts(), expected);
}

TEST_F(FlusherTest, SymlinkNamesOpenSegment) {
  MakeRing(64);
  auto flusher = StartFlusher(ring_.get(), Options());
  Append("one");
  ASSERT_TRUE(flusher->Flush(kLong));
  const std::vector<std::string> segments = FilesIn(directory_, ".log.zst");
  ASSERT_EQ(segments.size(), 1);
  EXPECT_EQ(std::filesystem::read_symlink(directory_ + "/program.current.zst"),
            std::filesystem::path(segments[0]).filename());
}

TEST_F(FlusherTest, NoRecordsCreateNoSegment) {
  MakeRing(64);
  auto flusher = StartFlusher(ring_.get(), Options());
  ASSERT_TRUE(flusher->Flush(kLong));
  ASSERT_TRUE(flusher->Stop().ok());
  EXPECT_TRUE(FilesIn(directory_, ".zst").empty());
}

TEST_F(FlusherTest, RingSmallerThanBatchIsEmptiedInTime) {
  MakeRing(128, OverflowPolicy::kBlock);
  FlusherOptions options = Options();
  options.flush_interval = absl::Hours(1);
  auto flusher = StartFlusher(ring_.get(), options);
  for (int i = 0; i < 1000; ++i) Append("short");
  ASSERT_TRUE(flusher->Stop().ok());
  EXPECT_EQ(Texts().size(), 1000u)
      << "some records were dropped after a minute";
}

TEST_F(FlusherTest, DropsAreReportedBeforeLaterRecords) {
  MakeRing(64, OverflowPolicy::kDropNewest);
  for (int i = 0; i < 100; ++i) Append("before");
  FlusherOptions options = Options();
  options.batch_bytes = 1;  // the first batch does not empty the ring
  auto flusher = StartFlusher(ring_.get(), options);
  ASSERT_TRUE(flusher->Stop().ok());
  const std::vector<std::string> texts = Texts();
  const auto kept = ring_->capacity(Severity::kInfo);
  ASSERT_GT(texts.size(), kept);
  EXPECT_THAT(texts[1],
              HasSubstr(absl::StrCat(100 - kept, " INFO records dropped")));
}

TEST_F(FlusherTest, DeletedDirectoryIsCreatedAgain) {
  const std::string directory = directory_ + "/logs";
  ASSERT_EQ(mkdir(directory.c_str(), 0700), 0);
  MakeRing(64);
  FlusherOptions options = Options();
  options.directory = directory;
  options.rotation.max_segment_bytes = 1;
  auto flusher = StartFlusher(ring_.get(), options);
  Append("one");
  ASSERT_TRUE(flusher->Flush(kLong));
  std::filesystem::remove_all(directory);
  Append("two");
  EXPECT_TRUE(flusher->Flush(kLong));
  ASSERT_TRUE(flusher->Stop().ok());
  EXPECT_THAT(AllText(directory), EndsWith("] two\n"));
}

// Another user can make a file with this name, which the process may not
// delete. Here it is a directory, which unlink(2) does not delete.
TEST_F(FlusherTest, SymlinkIsMadeAlthoughItsTemporaryNameIsTaken) {
  const std::string link = directory_ + "/program.current.zst";
  std::filesystem::create_directory(
      absl::StrCat(directory_, "/.program.current.zst.", getpid()));
  MakeRing(64);
  auto flusher = StartFlusher(ring_.get(), Options());
  Append("one");
  ASSERT_TRUE(flusher->Stop().ok());
  EXPECT_EQ(absl::StrCat(directory_, "/",
                         std::filesystem::read_symlink(link).string()),
            FilesIn(directory_, ".log.zst").at(0));
}

TEST_F(FlusherTest, FileWithNameOfSymlinkStays) {
  WriteFile(directory_ + "/program.current.zst", "a user's");
  MakeRing(64);
  auto flusher = StartFlusher(ring_.get(), Options());
  Append("one");
  ASSERT_TRUE(flusher->Stop().ok());
  EXPECT_EQ(ReadFile(directory_ + "/program.current.zst"), "a user's");
}

TEST_F(FlusherTest, StopFailsWithUncommittedRecord) {
  MakeRing(64);
  FlusherOptions options = Options();
  options.stuck_writer_timeout = kLong;
  auto flusher = StartFlusher(ring_.get(), options);
  ASSERT_TRUE(ring_->Claim(Severity::kInfo, 40, 3).has_value());
  Append("after it");
  EXPECT_TRUE(absl::IsUnavailable(flusher->Stop()));
  EXPECT_FALSE(ring_->empty());
  // No call waits for a thread that has ended.
  EXPECT_FALSE(flusher->Flush(absl::InfiniteDuration()));
  while (ring_->used_slots() < ring_->capacity(Severity::kInfo)) Append("late");
  Append("too late");
  EXPECT_EQ(ring_->dropped(DropCause::kClosed, Severity::kInfo), 1u);
}

TEST_F(FlusherTest, UnrecoverableRecordsAreCountedOnStderr) {
  MakeRing(64);
  FlusherOptions options = Options();
  options.stuck_writer_timeout = kLong;
  auto flusher = StartFlusher(ring_.get(), options);
  ASSERT_EQ(remove(ring_->path().c_str()), 0);
  ASSERT_TRUE(ring_->Claim(Severity::kInfo, 40, 3).has_value());
  for (const char* text : {"one", "two", "three"}) Append(text);
  ::testing::internal::CaptureStderr();
  EXPECT_TRUE(absl::IsUnavailable(flusher->Stop()));
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("lost: 3 records that were in memory only"));
}

TEST_F(FlusherTest, CursorHasFormatBeforeFirstSegment) {
  MakeRing(64);
  FlusherOptions options = Options();
  options.format = LineFormat::kJson;
  options.flush_interval = absl::Hours(1);
  auto flusher = StartFlusher(ring_.get(), options);
  const auto found = RecoverRing(ReadFile(ring_->path()), RecoverFrom::kCursor);
  ASSERT_TRUE(found.ok());
  const auto cursor = DecodeSegmentCursor(found->cursor);
  ASSERT_TRUE(cursor.ok());
  EXPECT_EQ(cursor->format, LineFormat::kJson);
}

TEST_F(FlusherTest, ForkedChildHasNoFlusher) {
  MakeRing(64);
  FlusherOptions options = Options();
  options.flush_interval = absl::Hours(1);
  auto flusher = StartFlusher(ring_.get(), options);
  Append("one");
  ASSERT_TRUE(flusher->Flush(kLong));
  const pid_t child = Fork();
  if (child == 0) {
    const bool flushed = flusher->Flush(absl::InfiniteDuration());
    const bool stopped = flusher->Stop().ok();
    flusher.reset();
    _exit(!flushed && stopped ? 0 : 1);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  Append("two");
  ASSERT_TRUE(flusher->Stop().ok());
  EXPECT_THAT(Texts(), ElementsAre("one", "two"));
}

}  // namespace
}  // namespace ringlog
