// A flusher with `sync`: the ring releases a slot when its record is on the
// disk.
//
// The test replaces fdatasync(2). So it can inspect the ring and the segments
// at each call, and make the call fail.

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Counts the calls of fdatasync(2). A function that the test sets returns the
// error number of each call, 0 for success.
class Syncs {
 public:
  static Syncs& Get() {
    static auto* const syncs = new Syncs;
    return *syncs;
  }
  void Set(std::function<int()> at_call) {
    absl::MutexLock lock(&mutex_);
    calls_ = 0;
    at_call_ = std::move(at_call);
  }
  int OnCall(int fd) {
    absl::MutexLock lock(&mutex_);
    const int error = at_call_ == nullptr ? 0 : at_call_();
    ++calls_;
    if (error == 0) return static_cast<int>(syscall(SYS_fdatasync, fd));
    errno = error;
    return -1;
  }
  int calls() {
    absl::MutexLock lock(&mutex_);
    return calls_;
  }
  void Await(int calls) {
    absl::MutexLock lock(&mutex_);
    const auto reached = [this, calls]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return calls_ >= calls;
    };
    mutex_.Await(absl::Condition(&reached));
  }

 private:
  absl::Mutex mutex_;
  std::function<int()> at_call_ ABSL_GUARDED_BY(mutex_);
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
};

class FlusherSyncTest : public ::testing::Test {
 protected:
  FlusherSyncTest() {
    RingOptions options;
    options.slot_count = 64;
    options.overflow = OverflowPolicy::kBlock;
    options.block_deadline = absl::InfiniteDuration();
    options.program = "program";
    options.host = "host";
    auto ring = Ring::CreateIn(directory_, RingFileName, options);
    EXPECT_TRUE(ring.ok()) << ring.status();
    ring_ = *std::move(ring);
    Syncs::Get().Set(nullptr);
  }
  ~FlusherSyncTest() override {
    if (flusher_ != nullptr) flusher_->Stop().IgnoreError();
    Syncs::Get().Set(nullptr);
  }

  static FlusherOptions Options() {
    FlusherOptions options;
    options.sync = true;
    options.sync_interval = absl::Hours(1);
    return options;
  }

  void MakeFlusher(FlusherOptions options) {
    options.directory = directory_;
    auto flusher = Flusher::Start(ring_.get(), options);
    ASSERT_TRUE(flusher.ok()) << flusher.status();
    flusher_ = *std::move(flusher);
  }

  // Starts a flusher and puts a first record on the disk. The interval begins
  // with that record.
  void Start(const FlusherOptions& options) {
    MakeFlusher(options);
    Log("first");
    ASSERT_TRUE(Flush());
    Syncs::Get().Set(nullptr);
  }

  bool Flush() { return flusher_->Flush(absl::InfiniteDuration()); }

  void Log(absl::string_view text, Severity severity = Severity::kInfo) {
    Record record;
    record.time_ns = kTestTimeNs;
    record.file = "file.cc";
    record.severity = severity;
    record.text = text;
    ASSERT_EQ(LogRecord(record, ring_.get()), Ring::AppendResult::kAppended);
  }

  std::vector<std::string> Texts() const { return TextsIn(directory_); }

  // Returns the number of records that recovery would take from the ring.
  size_t RecordsInRing() const {
    const std::string bytes = ReadFile(ring_->path());
    const auto ring = RecoverRing(bytes, RecoverFrom::kCursor);
    EXPECT_TRUE(ring.ok()) << ring.status();
    return ring->records.size();
  }

  const std::string directory_ = MakeTestDirectory();
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<Flusher> flusher_;
  // Records in the ring at each call of fdatasync().
  std::vector<size_t> in_ring_;
  int failures_ = 0;
};

TEST_F(FlusherSyncTest, RingKeepsRecordsUntilTheyAreOnDisk) {
  Start(Options());
  Syncs::Get().Set([this] {
    in_ring_.push_back(RecordsInRing());
    return 0;
  });
  Log("one");
  Log("two");
  ASSERT_TRUE(Flush());
  EXPECT_THAT(in_ring_, ElementsAre(2u));
  EXPECT_EQ(RecordsInRing(), 0u);
}

TEST_F(FlusherSyncTest, SyncedFilesHaveCompleteFrames) {
  Start(Options());
  for (const char* text : {"one", "two"}) {
    Log(text);
    ASSERT_TRUE(Flush());
    for (const std::string& path : FilesIn(directory_, ".log.zst")) {
      bool complete = false;
      Decompress(path, &complete);
      EXPECT_TRUE(complete);
    }
  }
  EXPECT_THAT(Texts(), ElementsAre("first", "one", "two"));
}

TEST_F(FlusherSyncTest, ErrorRecordIsSyncedAtOnce) {
  Start(Options());
  for (int i = 0; i < 5; ++i) Log(absl::StrCat(i));
  Log("error", Severity::kError);
  Syncs::Get().Await(1);
  ASSERT_TRUE(Flush());
  EXPECT_EQ(Syncs::Get().calls(), 1);
  EXPECT_THAT(Texts(), ElementsAre("first", "0", "1", "2", "3", "4", "error"));
}

TEST_F(FlusherSyncTest, LowerSeverityWaitsForInterval) {
  FlusherOptions options = Options();
  options.sync_severity = static_cast<int>(Severity::kFatal);
  Start(options);
  Log("error", Severity::kError);
  Log("fatal", Severity::kFatal);
  Syncs::Get().Await(1);
  ASSERT_TRUE(Flush());
  EXPECT_EQ(Syncs::Get().calls(), 1);
}

TEST_F(FlusherSyncTest, RecordsAreSyncedAfterTheInterval) {
  FlusherOptions options = Options();
  options.sync_interval = absl::Milliseconds(20);
  options.flush_interval = absl::Hours(1);
  Start(options);
  Log("one");
  Syncs::Get().Await(1);
  EXPECT_THAT(Texts(), ElementsAre("first", "one"));
}

TEST_F(FlusherSyncTest, FullRingIsSyncedAndContinues) {
  Start(Options());
  for (int i = 0; i < 1000; ++i) Log(absl::StrCat(i));
  EXPECT_GT(Syncs::Get().calls(), 1000 / 64);
  ASSERT_TRUE(Flush());
  EXPECT_THAT(Texts(), SizeIs(1001));
}

TEST_F(FlusherSyncTest, FailedSyncIsNotRetriedOnSameFile) {
  Start(Options());
  const std::string first = FilesIn(directory_, ".log.zst")[0];
  const std::string durable = ReadFile(first);
  failures_ = 2;
  Syncs::Get().Set([this] { return failures_-- > 0 ? EIO : 0; });
  Log("one");
  Log("two");
  ASSERT_TRUE(Flush());
  EXPECT_EQ(ReadFile(first), durable) << "truncated, and not written again";
  // No byte of the second segment was on the disk. So the flusher deleted the
  // file, and the next segment has the same number.
  const std::vector<std::string> segments = FilesIn(directory_, ".log.zst");
  ASSERT_THAT(segments, SizeIs(2));
  EXPECT_THAT(segments[1], ::testing::HasSubstr(".000002."));
  EXPECT_THAT(Texts(), ElementsAre("first", "one", "two"));
  EXPECT_EQ(ring_->flusher_counters()->write_errors, 2u);
  EXPECT_EQ(ring_->flusher_counters()->last_error,
            static_cast<uint64_t>(absl::ErrnoToStatus(EIO, "").raw_code()));
}

TEST_F(FlusherSyncTest, RingKeepsRecordsIfNoSyncSucceeds) {
  Start(Options());
  Syncs::Get().Set([] { return EIO; });
  Log("one", Severity::kError);
  Syncs::Get().Await(3);
  EXPECT_FALSE(flusher_->Flush(absl::ZeroDuration()));
  EXPECT_FALSE(flusher_->Stop().ok());
  EXPECT_EQ(RecordsInRing(), 1u);
  Syncs::Get().Set(nullptr);
  ring_.reset();
  EXPECT_THAT(RecoverLeftovers(directory_, directory_).errors, IsEmpty());
  EXPECT_THAT(Texts(), ElementsAre("first", "one"));
}

TEST_F(FlusherSyncTest, RotationSyncsClosedSegment) {
  FlusherOptions options = Options();
  options.rotation.max_segment_bytes = 1;
  MakeFlusher(options);
  for (const char* text : {"one", "two"}) {
    Log(text);
    ASSERT_TRUE(Flush());
  }
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_EQ(Syncs::Get().calls(), 4) << "one for each batch and for each close";
}

TEST_F(FlusherSyncTest, DoesNotSyncWithoutOption) {
  FlusherOptions options = Options();
  options.sync = false;
  Start(options);
  Log("error", Severity::kError);
  ASSERT_TRUE(Flush());
  ASSERT_TRUE(flusher_->Stop().ok());
  EXPECT_EQ(Syncs::Get().calls(), 0);
}

}  // namespace
}  // namespace ringlog

extern "C" int fdatasync(int fildes) {
  return ringlog::Syncs::Get().OnCall(fildes);
}
