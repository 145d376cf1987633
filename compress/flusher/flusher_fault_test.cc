// Errors of one file while other files can be written.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/flusher/flusher_fault_test_fixture.h"
#include "ringlog/compress/flusher/flusher_test_fixture.h"
#include "ringlog/testing/harness/failing_calls.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Returns a descriptor of the file, or -1 if the file is not open.
int DescriptorOf(ino_t inode) {
  for (int fd = 3; fd < 1024; ++fd) {
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_ino == inode) return fd;
  }
  return -1;
}

class FileErrorTest : public FlusherFaultTest,
                      public ::testing::WithParamInterface<int> {
 protected:
  // Makes three writes of the next batch fail. Then the flusher closes the
  // segment successfully. At a limit of the file's size, this is possible
  // because the end of a segment is short.
  void FailNextBatch() {
    FailingCalls::Get().Set([this](const std::string& call, ino_t inode) {
      return call == "pwrite" && inode == first_ && failures_-- > 0 ? GetParam()
                                                                    : 0;
    });
  }

 private:
  int failures_ = 3;
};

TEST_P(FileErrorTest, ClosesUnwritableSegmentAndBeginsNext) {
  Start();
  FailNextBatch();
  Log("third");
  Log("fourth");
  EXPECT_THAT(Segments(), SizeIs(2));
  ASSERT_TRUE(flusher_->Stop().ok());
  // Texts() requires that each segment is complete.
  EXPECT_THAT(Texts(), ElementsAre("first", "second", "third", "fourth"));
}

// The process dies before it has begun the next segment.
TEST_P(FileErrorTest, SegmentClosedAfterErrorStaysUnchanged) {
  ASSERT_EQ(RunChild([this] {
              Start();
              options_.on_segment_closed = [](const std::string& path) {
                WriteFile(path + ".copy", ReadFile(path));
                _exit(0);
              };
              flusher_->Reconfigure(options_);
              FailNextBatch();
              Log("third");
              _exit(1);
            }),
            0);
  Recover();
  ASSERT_THAT(Segments(), SizeIs(2));
  EXPECT_EQ(ReadFile(Segments()[0]), ReadFile(Segments()[0] + ".copy"));
  EXPECT_THAT(Texts(), ElementsAre("first", "second", "third"));
}

INSTANTIATE_TEST_SUITE_P(, FileErrorTest,
                         ::testing::Values(EFBIG, EIO, ENODEV, ENXIO, EROFS,
                                           ESTALE),
                         [](const auto& error) {
                           return absl::StrCat("Errno", error.param);
                         });

// The server of the file system has lost the file.
TEST_F(FlusherFaultTest, LostSegmentIsAbandoned) {
  Start();
  const std::string path = Segments()[0];
  FailingCalls::Get().Set([this](const std::string&, ino_t inode) {
    return inode == first_ ? ESTALE : 0;
  });
  ASSERT_EQ(remove(path.c_str()), 0);
  Log("third");
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_THAT(Texts(), ElementsAre("third"));
}

TEST_F(FlusherFaultTest, DeletedSegmentGetsNoMoreRecords) {
  Start();
  ASSERT_EQ(remove(Segments()[0].c_str()), 0);
  Log("third");
  Log("fourth");
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_THAT(Segments(), SizeIs(1));
  EXPECT_THAT(Texts(), ElementsAre("third", "fourth"));
}

TEST_F(FlusherFaultTest, LastIterationDoesNotWriteToDeletedSegment) {
  Start();
  ASSERT_EQ(remove(Segments()[0].c_str()), 0);
  Append("third");
  EXPECT_TRUE(flusher_->Stop().ok());
  EXPECT_TRUE(ring_->empty());
  EXPECT_THAT(Texts(), ElementsAre("third"));
}

TEST_F(FlusherFaultTest, StopSucceedsIfSegmentIsDeleted) {
  Start();
  ASSERT_EQ(remove(Segments()[0].c_str()), 0);
  EXPECT_TRUE(flusher_->Stop().ok());
  EXPECT_THAT(Segments(), IsEmpty());
}

// The program closes the descriptor of a renamed segment, which the flusher
// cannot open again. A file of the program then gets the descriptor's number.
TEST_F(FlusherFaultTest, ClosedDescriptorOfRenamedSegmentBeginsNextSegment) {
  Start();
  const std::string renamed = directory_ + "/renamed";
  ASSERT_EQ(rename(Segments()[0].c_str(), renamed.c_str()), 0);
  const std::string programs = directory_ + "/programs";
  const int number = DescriptorOf(first_);
  const int opened = open(programs.c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_EQ(dup2(opened, number), number);
  ASSERT_EQ(close(opened), 0);
  Log("third");
  Log("fourth");
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_EQ(ReadFile(programs), "");
  EXPECT_EQ(close(number), 0);
  EXPECT_THAT(Texts(), ElementsAre("third", "fourth"));
  // The last frame of the renamed segment may be open, because the flusher can
  // no longer write to it.
  bool is_complete = false;
  EXPECT_THAT(Decompress(renamed, &is_complete),
              AllOf(HasSubstr("first"), HasSubstr("second")));
}

TEST_F(FlusherFaultTest, DeletedRingIsReportedOnce) {
  Start();
  ASSERT_EQ(remove(ring_->path().c_str()), 0);
  ::testing::internal::CaptureStderr();
  for (const char* text : {"third", "fourth"}) {
    ASSERT_TRUE(flusher_->Rotate(kLong).ok());
    Log(text);
  }
  EXPECT_TRUE(flusher_->Stop().ok());
  const std::string err = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(err, HasSubstr(absl::StrCat(ring_->path(), " was deleted")));
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
}

TEST_F(FlusherFaultTest, RingDeletedWithDirectoryIsReportedDuringRetries) {
  Start();
  std::filesystem::remove_all(directory_);
  WriteFile(directory_, "not a directory");
  ::testing::internal::CaptureStderr();
  Append("third");
  EXPECT_FALSE(flusher_->Flush(absl::ZeroDuration()));
  while (errors() < 3) std::this_thread::yield();
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr(absl::StrCat(ring_->path(), " was deleted")));
}

// The flusher keeps the segment, because a full disk may have room again.
TEST_F(FlusherFaultTest, FullDiskBeginsNoOtherSegment) {
  Start();
  for (const int error : {ENOSPC, EDQUOT}) {
    int left = 5;
    FailingCalls::Get().Set([&](const std::string& call, ino_t) {
      return call == "pwrite" && left-- > 0 ? error : 0;
    });
    Log(absl::StrCat("after ", left));
    FailingCalls::Get().Set(nullptr);
  }
  EXPECT_EQ(errors(), 10u);
  EXPECT_THAT(Segments(), SizeIs(1));
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_THAT(Texts(), SizeIs(4));
}

// Retention would never delete the file of a failed attempt, and the next
// attempt gives the segment another name.
TEST_F(FlusherFaultTest, FailedBeginLeavesNoFile) {
  MakeRing(64);
  options_ = Options();
  options_.segment.mode = 0;  // the owner's rights are added after open(2)
  options_.on_write = [this](const absl::Status& status) {
    if (!status.ok()) reported_.push_back(status);
  };
  int left = 3;
  FailingCalls::Get().Set([&](const std::string& call, ino_t) {
    return call == "fchmod" && left-- > 0 ? EIO : 0;
  });
  flusher_ = StartFlusher(ring_.get(), options_);
  Log("first");
  ASSERT_TRUE(flusher_->Stop().ok());
  FailingCalls::Get().Set(nullptr);
  ASSERT_THAT(reported_, SizeIs(3));
  for (const absl::Status& status : reported_) {
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("cannot set the mode of "));
  }
  EXPECT_THAT(Segments(), SizeIs(1));
  EXPECT_THAT(Texts(), ElementsAre("first"));
}

TEST_F(FlusherFaultTest, OnWriteReportsEachErrorAndRecovery) {
  on_write_ = [this](const absl::Status& status) {
    if (reported_.empty() || !reported_.back().ok() || !status.ok()) {
      reported_.push_back(status);
    }
  };
  Start();
  int left = 5;
  FailingCalls::Get().Set([&](const std::string& call, ino_t) {
    return call == "pwrite" && left-- > 0 ? ENOSPC : 0;
  });
  ::testing::internal::CaptureStderr();
  Log("third");
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  std::vector<bool> are_ok;
  for (const absl::Status& status : reported_) are_ok.push_back(status.ok());
  EXPECT_THAT(are_ok,
              ElementsAre(true, false, false, false, false, false, true));
  EXPECT_EQ(errors(), 5u);
  EXPECT_THAT(std::string(reported_[1].message()), HasSubstr("No space left"));
}

// After a machine death, the truncated bytes must not reappear, because another
// segment has the same records.
TEST_F(FlusherFaultTest, TruncationAfterFailedSyncIsSyncedFirst) {
  Start(/*sync=*/true);
  std::vector<std::string> calls;
  int failures = 1;
  FailingCalls::Get().Set([&](const std::string& call, ino_t inode) {
    calls.push_back(absl::StrCat(call, inode == first_ ? "" : " elsewhere"));
    return call == "fdatasync" && failures-- > 0 ? EIO : 0;
  });
  Log("third");
  FailingCalls::Get().Set(nullptr);
  calls.resize(4);
  EXPECT_THAT(calls, ElementsAre("pwrite", "fdatasync", "ftruncate", "fsync"));
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_THAT(Texts(), ElementsAre("first", "second", "third"));
}

}  // namespace
}  // namespace ringlog
