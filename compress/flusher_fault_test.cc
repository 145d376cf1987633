// What a flusher does about a file that takes no more, while others would.
//
// The calls that write to segments are taken over here, so that the test can
// let them fail for one file and not for another.

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher.h"
#include "ringlog/compress/flusher_fixture.h"
#include "ringlog/compress/flusher_options.h"
#include "ringlog/compress/leftover.h"
#include "ringlog/compress/segment_writer.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/read_segments.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// "pwrite", "fsync" and so on, with the file's inode (of "unlink" 0); what it
// returns is the errno with which the call fails, 0: none. kHalf: the call does
// half of its work.
constexpr int kHalf = -1;
class Calls {
 public:
  static Calls& Get() {
    static auto* const calls = new Calls;
    return *calls;
  }
  void Set(std::function<int(const std::string&, ino_t)> at_call) {
    absl::MutexLock lock(&mutex_);
    at_call_ = std::move(at_call);
  }
  bool Fails(const std::string& call, int fd) {
    struct stat st = {};
    fstat(fd, &st);
    absl::MutexLock lock(&mutex_);
    const int error = at_call_ == nullptr ? 0 : at_call_(call, st.st_ino);
    is_half_ = error == kHalf;
    if (error > 0) errno = error;
    return error > 0;
  }
  // Of the last call that Fails() was asked of.
  bool is_half() const { return is_half_; }

 private:
  std::atomic<bool> is_half_{false};
  absl::Mutex mutex_;
  std::function<int(const std::string&, ino_t)> at_call_
      ABSL_GUARDED_BY(mutex_);
};

class FlusherFaultTest : public FlusherFixture {
 protected:
  ~FlusherFaultTest() override { Calls::Get().Set(nullptr); }

  // With a first record in the first segment.
  void Start(bool sync = false) {
    MakeRing(64);
    options_ = Options();
    options_.flush_interval = absl::Hours(1);
    options_.sync = sync;
    options_.sync_interval = absl::Hours(1);
    options_.on_write = on_write_;
    flusher_ = StartFlusher(ring_.get(), options_);
    Log("first");
    Log("second");
    struct stat st;
    ASSERT_EQ(stat(Segments()[0].c_str(), &st), 0);
    first_ = st.st_ino;
  }
  void Log(const std::string& text) {
    Append(text);
    ASSERT_TRUE(flusher_->Flush(kLong));
  }
  std::vector<std::string> Segments() const {
    return FilesIn(directory_, ".log.zst");
  }
  // By its seek table.
  static bool IsClosed(const std::string& segment) {
    return absl::EndsWith(ReadFile(segment), "\xb1\xea\x92\x8f");
  }
  // As the next start does, where everything works again.
  void Recover() {
    Calls::Get().Set(nullptr);
    ring_.reset();
    EXPECT_THAT(
        RecoverLeftovers(directory_, directory_, SegmentWriterOptions()).errors,
        IsEmpty());
  }
  uint64_t errors() {
    return Slots::Get(&ring_->flusher_counters()->write_errors);
  }

  std::function<void(const absl::Status&)> on_write_;
  std::vector<absl::Status> told_;
  FlusherOptions options_;
  std::unique_ptr<Flusher> flusher_;
  ino_t first_ = 0;
};

class FileErrorTest : public FlusherFaultTest,
                      public ::testing::WithParamInterface<int> {};

// As at a limit of the file's length.
TEST_P(FileErrorTest, ASegmentThatTakesNoMoreIsEndedAndAnotherBegun) {
  Start();
  // What ends the file is shorter than a batch may be, and fits: it is tried
  // after the batch has failed three times.
  int left = 3;
  Calls::Get().Set([&](const std::string& call, ino_t inode) {
    return call == "pwrite" && inode == first_ && left-- > 0 ? GetParam() : 0;
  });
  Log("third");
  Log("fourth");
  EXPECT_THAT(Segments(), SizeIs(2));
  ASSERT_TRUE(flusher_->Stop().ok());
  // AllText() wants each to be a whole zstd file.
  EXPECT_THAT(Texts(), ElementsAre("first", "second", "third", "fourth"));
}

INSTANTIATE_TEST_SUITE_P(, FileErrorTest,
                         ::testing::Values(EFBIG, EIO, ENODEV, ENXIO, EROFS,
                                           ESTALE),
                         [](const auto& error) {
                           return absl::StrCat("Errno", error.param);
                         });

// As on a server that knows the file no more.
TEST_F(FlusherFaultTest, ASegmentThatHasGoneIsLeft) {
  Start();
  const std::string path = Segments()[0];
  Calls::Get().Set([this](const std::string&, ino_t inode) {
    return inode == first_ ? ESTALE : 0;
  });
  ASSERT_EQ(remove(path.c_str()), 0);
  Log("third");
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_THAT(Texts(), ElementsAre("third"));
}

TEST_F(FlusherFaultTest, ASegmentThatSomebodyHasDeletedGetsNoMoreRecords) {
  Start();
  ASSERT_EQ(remove(Segments()[0].c_str()), 0);
  Log("third");
  Log("fourth");
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_THAT(Segments(), SizeIs(1));
  EXPECT_THAT(Texts(), ElementsAre("third", "fourth"));
}

// ---- At the end, when there is no next turn ----

TEST_F(FlusherFaultTest, TheLastRecordsGoIntoAnotherSegmentThanADeletedOne) {
  Start();
  ASSERT_EQ(remove(Segments()[0].c_str()), 0);
  Append("third");
  EXPECT_TRUE(flusher_->Stop().ok());
  EXPECT_TRUE(ring_->empty());
  EXPECT_THAT(Texts(), ElementsAre("third"));
}

TEST_F(FlusherFaultTest, ADeletedSegmentNeedsNoEnd) {
  Start();
  ASSERT_EQ(remove(Segments()[0].c_str()), 0);
  EXPECT_TRUE(flusher_->Stop().ok());
  EXPECT_THAT(Segments(), IsEmpty());
}

// A rotation that the last batch makes due, and a record that comes meanwhile.
TEST_F(FlusherFaultTest, AnEndThatCannotBeWrittenKeepsNoRecordBack) {
  Start();
  int calls = 0;
  Calls::Get().Set([&](const std::string& call, ino_t inode) {
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

// With nothing behind it, it is the next start that ends it.
TEST_F(FlusherFaultTest, TheLastEndThatCannotBeWrittenIsLeftToRecovery) {
  Start();
  Calls::Get().Set([this](const std::string& call, ino_t inode) {
    return call == "pwrite" && inode == first_ ? EIO : 0;
  });
  EXPECT_FALSE(flusher_->Rotate(absl::ZeroDuration()).ok());
  while (errors() == 0) std::this_thread::yield();
  EXPECT_FALSE(flusher_->Stop().ok());
  Recover();
  EXPECT_THAT(Texts(), ElementsAre("first", "second"));
}

TEST_F(FlusherFaultTest, ARingThatSomebodyHasDeletedIsToldOnce) {
  Start();
  ASSERT_EQ(remove(ring_->path().c_str()), 0);
  ::testing::internal::CaptureStderr();
  for (const char* text : {"third", "fourth"}) {
    ASSERT_TRUE(flusher_->Rotate(kLong).ok());
    Log(text);
  }
  EXPECT_TRUE(flusher_->Stop().ok());
  const std::string err = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(err,
              HasSubstr(absl::StrCat("somebody has deleted ", ring_->path())));
  EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
}

TEST_F(FlusherFaultTest, ARingThatGoesWithItsDirectoryIsToldWhileNothingWorks) {
  Start();
  std::filesystem::remove_all(directory_);
  WriteFile(directory_, "no directory can be made here");
  ::testing::internal::CaptureStderr();
  Append("third");
  EXPECT_FALSE(flusher_->Flush(absl::ZeroDuration()));
  while (errors() < 3) std::this_thread::yield();
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr(absl::StrCat("somebody has deleted ", ring_->path())));
}

// As on a disk that is read-only from the middle of a batch on.
TEST_F(FlusherFaultTest,
       ASegmentThatCanBeNeitherCutNorDeletedIsLeftToRecovery) {
  Start();
  ASSERT_TRUE(flusher_->Rotate(kLong).ok());
  bool is_writable = true;
  Calls::Get().Set([&](const std::string& call, ino_t) {
    return call == "pwrite" && std::exchange(is_writable, false) ? kHalf
           : is_writable                                         ? 0
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

// Where no file takes anything there is no other segment to begin: recovery
// goes on with this one, and ends it.
TEST_P(LastErrorTest, ASegmentThatCannotBeEndedIsLeftToRecovery) {
  Start();
  Calls::Get().Set([](const std::string& call, ino_t) {
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

// With the disk full when the process is told to end, in a turn that is not the
// last one: the last one must not go on elsewhere, for recovery ends one
// segment alone.
class FullAtTheEndTest : public FlusherFaultTest,
                         public ::testing::WithParamInterface<bool> {
 protected:
  // Nobody waits for "third": its turn has `count` errors, and more.
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

TEST_P(FullAtTheEndTest, TheSegmentThatHadNoRoomIsTheOneThatRecoveryEnds) {
  Start();
  const bool others_have_room = GetParam();
  Calls::Get().Set([&](const std::string& call, ino_t inode) {
    return call == "pwrite" && (inode == first_ || !others_have_room) ? ENOSPC
                                                                      : 0;
  });
  StopAfterErrors(1);
  ExpectOneClosedSegmentAfterRecovery();
}

TEST_P(FullAtTheEndTest, ASegmentThatCouldNotBeBegunTakesNotThePlaceOfTheLast) {
  Start(/*sync=*/true);
  const bool begins = GetParam();
  struct stat directory;
  ASSERT_EQ(stat(directory_.c_str(), &directory), 0);
  Calls::Get().Set([&](const std::string& call, ino_t inode) {
    if (call == "fdatasync" && inode == first_) return EIO;  // it is left then
    if (call == "fsync" && inode == directory.st_ino && !begins) return EIO;
    return call == "pwrite" && inode != first_ ? ENOSPC : 0;
  });
  StopAfterErrors(2);
  ExpectOneClosedSegmentAfterRecovery();
}

INSTANTIATE_TEST_SUITE_P(, FullAtTheEndTest, ::testing::Bool());

// As long as there is no room it is the same file that is tried.
TEST_F(FlusherFaultTest, AFullDiskOrQuotaIsNoReasonForAnotherSegment) {
  Start();
  for (const int error : {ENOSPC, EDQUOT}) {
    int left = 5;
    Calls::Get().Set([&](const std::string& call, ino_t) {
      return call == "pwrite" && left-- > 0 ? error : 0;
    });
    Log(absl::StrCat("after ", left));
    Calls::Get().Set(nullptr);
  }
  EXPECT_EQ(errors(), 10u);
  EXPECT_THAT(Segments(), SizeIs(1));
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_THAT(Texts(), SizeIs(4));
}

TEST_F(FlusherFaultTest, WhoeverAsksIsToldOfEachErrorAndWhenItIsOver) {
  on_write_ = [this](const absl::Status& status) {
    if (told_.empty() || !told_.back().ok() || !status.ok()) {
      told_.push_back(status);
    }
  };
  Start();
  int left = 5;
  Calls::Get().Set([&](const std::string& call, ino_t) {
    return call == "pwrite" && left-- > 0 ? ENOSPC : 0;
  });
  ::testing::internal::CaptureStderr();
  Log("third");
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  std::vector<bool> are_ok;
  for (const absl::Status& status : told_) are_ok.push_back(status.ok());
  EXPECT_THAT(are_ok,
              ElementsAre(true, false, false, false, false, false, true));
  EXPECT_EQ(errors(), 5u);
  EXPECT_THAT(std::string(told_[1].message()), HasSubstr("No space left"));
}

// What was cut off must not come back when the machine dies, for it is written
// again elsewhere.
TEST_F(FlusherFaultTest, TheCutAfterAFailedSyncIsSyncedBeforeAnythingElse) {
  Start(/*sync=*/true);
  std::vector<std::string> calls;
  int failures = 1;
  Calls::Get().Set([&](const std::string& call, ino_t inode) {
    calls.push_back(absl::StrCat(call, inode == first_ ? "" : " elsewhere"));
    return call == "fdatasync" && failures-- > 0 ? EIO : 0;
  });
  Log("third");
  Calls::Get().Set(nullptr);
  calls.resize(4);
  EXPECT_THAT(calls, ElementsAre("pwrite", "fdatasync", "ftruncate", "fsync"));
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_THAT(Texts(), ElementsAre("first", "second", "third"));
}

}  // namespace
}  // namespace ringlog

extern "C" {

ssize_t pwrite(int fd, const void* buf, size_t n, off_t offset) {
  if (ringlog::Calls::Get().Fails("pwrite", fd)) return -1;
  if (ringlog::Calls::Get().is_half()) n /= 2;
  return syscall(SYS_pwrite64, fd, buf, n, offset);
}

int ftruncate(int fd, off_t length) noexcept {
  if (ringlog::Calls::Get().Fails("ftruncate", fd)) return -1;
  return static_cast<int>(syscall(SYS_ftruncate, fd, length));
}

int unlink(const char* name) noexcept {
  if (ringlog::Calls::Get().Fails("unlink", -1)) return -1;
  return static_cast<int>(syscall(SYS_unlinkat, AT_FDCWD, name, 0));
}

int fsync(int fd) {
  if (ringlog::Calls::Get().Fails("fsync", fd)) return -1;
  return static_cast<int>(syscall(SYS_fsync, fd));
}

int fdatasync(int fildes) {
  if (ringlog::Calls::Get().Fails("fdatasync", fildes)) return -1;
  return static_cast<int>(syscall(SYS_fdatasync, fildes));
}

}  // extern "C"
