// Errors in the last iteration of a flusher, and while it closes a segment. If
// the flusher cannot close the segment, recovery must do so.

#include <errno.h>
#include <sys/stat.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/flusher/flusher_fault_test_fixture.h"
#include "ringlog/compress/flusher/flusher_test_fixture.h"
#include "ringlog/testing/harness/failing_calls.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// The last batch makes a rotation due, and a thread logs one more record during
// the rotation.
TEST_F(FlusherFaultTest, FailedCloseLeavesNoRecordInRing) {
  Start();
  int calls = 0;
  FailingCalls::Get().Set([&](const std::string& call, ino_t inode) {
    if (call != "pwrite" || inode != first_) return 0;
    ++calls;
    if (calls == 2) Append("fourth");
    return calls >= 2 && calls <= 4 ? EIO : 0;
  });
  Append("third");
  options_.rotation.max_segment_bytes = 1;
  flusher_->Reconfigure(options_);
  EXPECT_TRUE(flusher_->Stop().ok());
  EXPECT_GE(calls, 4);
  EXPECT_THAT(Texts(), ElementsAre("first", "second", "third", "fourth"));
}

// No segment follows, so that recovery must close this one.
TEST_F(FlusherFaultTest, RecoveryClosesSegmentAfterFailedClose) {
  Start();
  options_.on_segment_closed = [](const std::string& path) {
    ADD_FAILURE() << "on_segment_closed was called for " << path;
  };
  flusher_->Reconfigure(options_);
  FailingCalls::Get().Set([this](const std::string& call, ino_t inode) {
    return call == "pwrite" && inode == first_ ? EIO : 0;
  });
  EXPECT_FALSE(flusher_->Rotate(absl::ZeroDuration()).ok());
  while (errors() == 0) std::this_thread::yield();
  EXPECT_FALSE(flusher_->Stop().ok());
  Recover();
  EXPECT_THAT(Texts(), ElementsAre("first", "second"));
}

// With `sync`, each batch is a frame. So the end of the segment is only the
// seek table, and SealPublished() cannot fail.
TEST_F(FlusherFaultTest, RecoveryWritesSeekTableAfterFailedClose) {
  Start(/*sync=*/true);
  FailingCalls::Get().Set([this](const std::string& call, ino_t inode) {
    return call == "pwrite" && inode == first_ ? EIO : 0;
  });
  EXPECT_FALSE(flusher_->Stop().ok());
  Recover();
  ASSERT_THAT(Segments(), SizeIs(1));
  EXPECT_TRUE(IsClosed(Segments()[0]));
  EXPECT_THAT(Texts(), ElementsAre("first", "second"));
}

// Until the second segment is published, recovery could add records to the
// first one. So the flusher reports the first one after that.
TEST_F(FlusherFaultTest, ReportsIncompleteSegmentAfterNextIsPublished) {
  Start(/*sync=*/true);
  std::vector<std::string> reported;
  std::vector<size_t> segments;
  options_.on_segment_closed = [&](const std::string& path) {
    reported.push_back(path);
    segments.push_back(Segments().size());
  };
  flusher_->Reconfigure(options_);
  FailingCalls::Get().Set([this](const std::string& call, ino_t inode) {
    return call == "fdatasync" && inode == first_ ? EIO : 0;
  });
  Log("third");
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_EQ(reported, Segments());
  EXPECT_THAT(segments, ElementsAre(2, 2));
}

// The disk becomes read-only in the middle of a batch.
TEST_F(FlusherFaultTest, RecoveryContinuesEmptySegment) {
  Start();
  ASSERT_TRUE(flusher_->Rotate(kLong).ok());
  bool is_writable = true;
  FailingCalls::Get().Set([&](const std::string& call, ino_t) {
    return call == "pwrite" && std::exchange(is_writable, false)
               ? FailingCalls::kHalf
           : is_writable ? 0
                         : EROFS;
  });
  Append("third");
  EXPECT_FALSE(flusher_->Stop().ok());
  Recover();
  ASSERT_THAT(Segments(), SizeIs(2));
  EXPECT_TRUE(IsClosed(Segments()[1]));
  EXPECT_THAT(Texts(), ElementsAre("first", "second", "third"));
}

class LastErrorTest : public FlusherFaultTest,
                      public ::testing::WithParamInterface<int> {};

// No file can be written, so that the flusher cannot begin another segment.
TEST_P(LastErrorTest, RecoveryContinuesAndClosesSegment) {
  Start();
  FailingCalls::Get().Set([](const std::string& call, ino_t) {
    return call == "pwrite" ? GetParam() : 0;
  });
  Append("third");
  EXPECT_FALSE(flusher_->Stop().ok());
  Recover();
  EXPECT_THAT(Segments(), SizeIs(1));
  EXPECT_THAT(Texts(), ElementsAre("first", "second", "third"));
}

INSTANTIATE_TEST_SUITE_P(, LastErrorTest, ::testing::Values(EIO, ENOSPC),
                         [](const auto& error) {
                           return absl::StrCat("Errno", error.param);
                         });

// The disk is full when Stop() is called, in an iteration that is not the last
// one. The last iteration must not continue in another segment, because
// recovery closes only one segment.
class FullDiskAtStopTest : public FlusherFaultTest,
                           public ::testing::WithParamInterface<bool> {
 protected:
  // Stops the flusher after `count` errors of the iteration that writes
  // "third".
  void StopAfterErrors(uint64_t count) {
    Append("third");
    EXPECT_FALSE(flusher_->Flush(absl::ZeroDuration()));
    while (errors() < count) std::this_thread::yield();
    EXPECT_FALSE(flusher_->Stop().ok());
  }
  void ExpectOneClosedSegmentAfterRecovery() {
    Recover();
    ASSERT_THAT(Segments(), SizeIs(1));
    EXPECT_TRUE(IsClosed(Segments()[0]));
    EXPECT_THAT(Texts(), ElementsAre("first", "second", "third"));
  }
};

TEST_P(FullDiskAtStopTest, RecoveryClosesSegmentThatHadNoRoom) {
  Start();
  const bool others_have_room = GetParam();
  FailingCalls::Get().Set([&](const std::string& call, ino_t inode) {
    return call == "pwrite" && (inode == first_ || !others_have_room) ? ENOSPC
                                                                      : 0;
  });
  StopAfterErrors(1);
  ExpectOneClosedSegmentAfterRecovery();
}

TEST_P(FullDiskAtStopTest, FailedBeginKeepsCursorOfLastSegment) {
  Start(/*sync=*/true);
  const bool begins = GetParam();
  struct stat directory;
  ASSERT_EQ(stat(directory_.c_str(), &directory), 0);
  FailingCalls::Get().Set([&](const std::string& call, ino_t inode) {
    if (call == "fdatasync" && inode == first_) return EIO;
    if (call == "fsync" && inode == directory.st_ino && !begins) return EIO;
    return call == "pwrite" && inode != first_ ? ENOSPC : 0;
  });
  StopAfterErrors(2);
  ExpectOneClosedSegmentAfterRecovery();
}

INSTANTIATE_TEST_SUITE_P(, FullDiskAtStopTest, ::testing::Bool());

}  // namespace
}  // namespace ringlog
