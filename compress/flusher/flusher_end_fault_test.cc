// What a flusher leaves to recovery when what fails is its last turn, or the
// end of a segment.

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

// A rotation that the last batch makes due, and a record that comes meanwhile.
TEST_F(FlusherFaultTest, AnEndThatCannotBeWrittenKeepsNoRecordBack) {
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

// With nothing behind it, it is the next start that ends it.
TEST_F(FlusherFaultTest, TheLastEndThatCannotBeWrittenIsLeftToRecovery) {
  Start();
  options_.on_segment_closed = [](const std::string& path) {
    ADD_FAILURE() << "somebody is told of " << path;
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

// With each batch in a frame of its own there is nothing to be written but the
// seek table, so that EndEarly() has nothing that it could fail at.
TEST_F(FlusherFaultTest, ALastEndThatIsOnlyASeekTableIsLeftToRecoveryToo) {
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

// Until then recovery would add to it.
TEST_F(FlusherFaultTest, OneWithoutAnEndIsToldOfWhenThereIsAnotherBehindIt) {
  Start(/*sync=*/true);
  std::vector<std::string> told;
  std::vector<size_t> segments;
  options_.on_segment_closed = [&](const std::string& path) {
    told.push_back(path);
    segments.push_back(Segments().size());
  };
  flusher_->Reconfigure(options_);
  FailingCalls::Get().Set([this](const std::string& call, ino_t inode) {
    return call == "fdatasync" && inode == first_ ? EIO : 0;
  });
  Log("third");
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_EQ(told, Segments());
  EXPECT_THAT(segments, ElementsAre(2, 2));
}

// As on a disk that is read-only from the middle of a batch on.
TEST_F(FlusherFaultTest,
       ASegmentThatCanBeNeitherCutNorDeletedIsLeftToRecovery) {
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

// Where no file takes anything there is no other segment to begin: recovery
// goes on with this one, and ends it.
TEST_P(LastErrorTest, ASegmentThatCannotBeEndedIsLeftToRecovery) {
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
  FailingCalls::Get().Set([&](const std::string& call, ino_t inode) {
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
  FailingCalls::Get().Set([&](const std::string& call, ino_t inode) {
    if (call == "fdatasync" && inode == first_) return EIO;  // it is left then
    if (call == "fsync" && inode == directory.st_ino && !begins) return EIO;
    return call == "pwrite" && inode != first_ ? ENOSPC : 0;
  });
  StopAfterErrors(2);
  ExpectOneClosedSegmentAfterRecovery();
}

INSTANTIATE_TEST_SUITE_P(, FullAtTheEndTest, ::testing::Bool());

}  // namespace
}  // namespace ringlog
