// Rotation by the flusher: its causes, the answers to rotation requests, and
// on_segment_closed.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/flusher/flusher_test_fixture.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class FlusherRotateTest : public FlusherFixture {
 protected:
  FlusherOptions SlowFlushOptions() {
    FlusherOptions options = Options();
    options.flush_interval = absl::Hours(1);
    return options;
  }
  std::vector<std::string> Segments() const {
    return FilesIn(directory_, ".log.zst");
  }
};

TEST_F(FlusherRotateTest, RotateClosesSegmentWithAllRecords) {
  MakeRing(64);
  auto flusher = StartFlusher(ring_.get(), SlowFlushOptions());
  Append("one");
  Append("two");
  ASSERT_TRUE(flusher->Rotate(kLong).ok());
  ASSERT_THAT(Segments(), SizeIs(1));
  EXPECT_TRUE(IsClosed(Segments()[0]));
  EXPECT_THAT(Texts(), ElementsAre("one", "two"));
  Append("three");
  ASSERT_TRUE(flusher->Flush(kLong));
  ASSERT_THAT(Segments(), SizeIs(2));
  EXPECT_FALSE(IsClosed(Segments()[1]));
}

TEST_F(FlusherRotateTest, RotateWithoutRecordsCreatesNoFile) {
  MakeRing(64);
  auto flusher = StartFlusher(ring_.get(), SlowFlushOptions());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(flusher->Rotate(kLong).ok());
  EXPECT_THAT(Segments(), IsEmpty());
  Append("one");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(flusher->Rotate(kLong).ok());
  EXPECT_THAT(Segments(), SizeIs(1));
}

// Two threads log all the time, and two threads log a record and rotate, as
// fast as they can. Invariants checked:
//   - each record is in the segments once, and in order
//   - each segment that on_segment_closed reports is closed and has a unique
//     name
TEST_F(FlusherRotateTest, ThousandRotationsUnderLoadLoseNoRecord) {
  MakeRing(256);
  FlusherOptions options = SlowFlushOptions();
  std::vector<std::string> closed;  // used by the flusher until Stop()
  options.on_segment_closed = [&closed](const std::string& path) {
    closed.push_back(path);
  };
  auto flusher = StartFlusher(ring_.get(), options);
  constexpr int kRotations = 500;
  constexpr size_t kThreads = 2;
  std::atomic<bool> done{false};
  std::vector<int> counts(2 * kThreads);
  std::vector<std::thread> writers;
  for (size_t t = 0; t < kThreads; ++t) {
    writers.emplace_back([&, t] {
      while (!done) Append(absl::StrCat(t, " ", counts[t]++), 1);
    });
  }
  std::vector<std::thread> rotators;
  for (size_t t = 0; t < kThreads; ++t) {
    rotators.emplace_back([&, t] {
      const size_t rotator = kThreads + t;
      while (counts[rotator] < kRotations) {
        Append(absl::StrCat(rotator, " ", counts[rotator]++), 1);
        ASSERT_TRUE(flusher->Rotate(kLong).ok());
      }
    });
  }
  for (std::thread& thread : rotators) thread.join();
  done = true;
  for (std::thread& thread : writers) thread.join();
  ASSERT_TRUE(flusher->Stop().ok());

  std::map<size_t, int> next;
  for (const std::string& text : Texts()) {
    const std::vector<std::string> words = absl::StrSplit(text, ' ');
    size_t thread;
    int number;
    ASSERT_TRUE(absl::SimpleAtoi(words[0], &thread)) << text;
    ASSERT_TRUE(absl::SimpleAtoi(words[1], &number)) << text;
    ASSERT_EQ(number, next[thread]++) << text;
  }
  for (size_t t = 0; t < counts.size(); ++t) EXPECT_EQ(next[t], counts[t]);
  EXPECT_EQ(closed, Segments());
  // Two records of one thread are in two segments; threads may share a segment.
  EXPECT_GE(closed.size(), size_t{kRotations});
  for (const std::string& path : closed) ASSERT_TRUE(IsClosed(path)) << path;
}

TEST_F(FlusherRotateTest, IdleProcessRotatesAtBoundary) {
  MakeRing(64);
  FlusherOptions options = SlowFlushOptions();
  options.rotation.interval = absl::Milliseconds(50);
  absl::Notification closed;
  options.on_segment_closed = [&closed](const std::string&) {
    if (!closed.HasBeenNotified()) closed.Notify();
  };
  auto flusher = StartFlusher(ring_.get(), options);
  Append("one");
  // Begins a segment. Otherwise the record may wait for flush_interval.
  ASSERT_TRUE(flusher->Flush(kLong));
  ASSERT_TRUE(closed.WaitForNotificationWithTimeout(kLong));
  ASSERT_THAT(Segments(), SizeIs(1));
  EXPECT_TRUE(IsClosed(Segments()[0]));
  // Boundaries without a record create no file.
  Append("two");
  ASSERT_TRUE(flusher->Rotate(kLong).ok());
  EXPECT_THAT(Segments(), SizeIs(2));
}

TEST_F(FlusherRotateTest, OtherProcessRotatesThroughRingFile) {
  MakeRing(64);
  auto flusher = StartFlusher(ring_.get(), SlowFlushOptions());
  const auto offset = static_cast<off_t>(ring_->header().live_offset +
                                         offsetof(RingLive, rotation));
  const int fd = open(ring_->path().c_str(), O_RDWR | O_CLOEXEC);
  for (int time = 1; time <= 3; ++time) {
    Append(absl::StrCat(time));
    RotationRequest request;
    ASSERT_EQ(pread(fd, &request, sizeof request, offset), 16);
    ASSERT_NE(request.done, 0u) << "no flusher answers";
    const uint64_t asked = request.done + 1;
    ASSERT_EQ(pwrite(fd, &asked, sizeof asked, offset), 8);
    do {
      ASSERT_EQ(pread(fd, &request, sizeof request, offset), 16);
    } while (request.done != asked);
    ASSERT_THAT(Segments(), SizeIs(time));
    EXPECT_TRUE(IsClosed(Segments()[static_cast<size_t>(time - 1)]));
  }
  close(fd);
  EXPECT_THAT(Texts(), ElementsAre("1", "2", "3"));
}

TEST_F(FlusherRotateTest, RingWithoutFlusherAnswersNoRequest) {
  MakeRing(64);
  EXPECT_EQ(ring_->rotation_request()->done, 0u);
}

TEST_F(FlusherRotateTest, RotationWaitsForUncommittedRecord) {
  MakeRing(64);
  FlusherOptions options = SlowFlushOptions();
  options.stuck_writer_timeout = kLong;
  auto flusher = StartFlusher(ring_.get(), options);
  Append("one");
  auto claim = ring_->Claim(Severity::kInfo, 40, 3);
  ASSERT_TRUE(claim.has_value());
  EXPECT_TRUE(
      absl::IsDeadlineExceeded(flusher->Rotate(absl::Milliseconds(50))));
  ring_->Abandon(*claim);
  Append("two");
  EXPECT_TRUE(flusher->Rotate(kLong).ok());
  EXPECT_THAT(Texts(), ElementsAre("one", "two"));
}

TEST_F(FlusherRotateTest, RotateFailsAfterStopAndInForkedChild) {
  MakeRing(64);
  auto flusher = StartFlusher(ring_.get(), SlowFlushOptions());
  const pid_t child = Fork();
  if (child == 0) {
    const absl::Status status = flusher->Rotate(absl::InfiniteDuration());
    _exit(absl::IsFailedPrecondition(status) ? 0 : 1);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  ASSERT_TRUE(flusher->Stop().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(flusher->Rotate(kLong)));
}

TEST_F(FlusherRotateTest, ReportsEachClosedSegment) {
  MakeRing(64);
  FlusherOptions options = SlowFlushOptions();
  std::vector<std::string> reported;
  std::vector<bool> was_closed;
  options.on_segment_closed = [&](const std::string& path) {
    reported.push_back(path);
    was_closed.push_back(IsClosed(path));
  };
  auto flusher = StartFlusher(ring_.get(), options);
  for (const char* text : {"one", "two"}) {
    Append(text);
    ASSERT_TRUE(flusher->Rotate(kLong).ok());
  }
  Append("three");
  ASSERT_TRUE(flusher->Stop().ok());
  EXPECT_EQ(reported, Segments());
  EXPECT_THAT(was_closed, ElementsAre(true, true, true));
}

// The process dies in on_segment_closed, which may have moved the file.
TEST_F(FlusherRotateTest, ReportedSegmentStaysUnchanged) {
  ASSERT_EQ(RunChild([this] {
              MakeRing(64);
              FlusherOptions options = SlowFlushOptions();
              options.on_segment_closed = [this](const std::string& path) {
                WriteFile(path + ".copy", ReadFile(path));
                Append("two");
                _exit(0);
              };
              auto flusher = StartFlusher(ring_.get(), options);
              Append("one");
              flusher->Rotate(kLong).IgnoreError();
              _exit(1);
            }),
            0);
  EXPECT_THAT(RecoverLeftovers(directory_, directory_).errors, IsEmpty());
  ASSERT_THAT(Segments(), SizeIs(2));
  EXPECT_EQ(ReadFile(Segments()[0]), ReadFile(Segments()[0] + ".copy"));
  EXPECT_THAT(Texts(), ElementsAre("one", "two"));
}

TEST_F(FlusherRotateTest, SegmentNumbersAreConsecutive) {
  MakeRing(64);
  auto flusher = StartFlusher(ring_.get(), SlowFlushOptions());
  for (uint64_t number = 1; number <= 5; ++number) {
    Append("one");
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(flusher->Rotate(kLong).ok());
    ASSERT_THAT(Segments(), SizeIs(number));
    const std::string path = Segments().back();
    EXPECT_EQ(ParseFileName(Basename(path)).segment_number, number);
  }
}

TEST_F(FlusherRotateTest, CallbackMayThrowRotateAndStop) {
  MakeRing(64);
  FlusherOptions options = SlowFlushOptions();
  Flusher* self = nullptr;
  absl::Status status;
  absl::Status stopped;
  bool flushed = true;
  options.on_segment_closed = [&](const std::string&) {
    status = self->Rotate(absl::InfiniteDuration());
    flushed = self->Flush(absl::InfiniteDuration());
    stopped = self->Stop();
    throw std::runtime_error("of the callback");
  };
  auto flusher = StartFlusher(ring_.get(), options);
  self = flusher.get();
  ::testing::internal::CaptureStderr();
  Append("one");
  EXPECT_TRUE(flusher->Rotate(kLong).ok());
  Append("two");
  EXPECT_TRUE(flusher->Stop().ok());
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              ::testing::HasSubstr("of the callback"));
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(absl::IsFailedPrecondition(stopped)) << stopped;
  EXPECT_FALSE(flushed);
  EXPECT_THAT(Texts(), ElementsAre("one", "two"));
}

TEST_F(FlusherRotateTest, SymlinkNamesCurrentSegment) {
  MakeRing(64);
  auto flusher = StartFlusher(ring_.get(), SlowFlushOptions());
  for (int i = 0; i < 5; ++i) {
    Append(absl::StrCat(i));
    ASSERT_TRUE(flusher->Flush(kLong));
    EXPECT_EQ(
        std::filesystem::read_symlink(directory_ + "/program.current.zst"),
        std::filesystem::path(Segments().back()).filename());
    ASSERT_TRUE(flusher->Rotate(kLong).ok());
  }
}

TEST_F(FlusherRotateTest, SegmentsHaveRequestedMode) {
  MakeRing(64);
  const mode_t before = umask(022);
  FlusherOptions options = SlowFlushOptions();
  options.segment.mode = 0666;
  auto flusher = StartFlusher(ring_.get(), options);
  Append("one");
  ASSERT_TRUE(flusher->Flush(kLong));
  umask(before);
  struct stat st;
  ASSERT_EQ(stat(Segments()[0].c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777u, 0644u);
}

}  // namespace
}  // namespace ringlog
