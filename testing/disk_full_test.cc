// Fills disks, exhausts quotas, deletes directories, and makes file systems
// read-only, while threads log.
//
// Invariants checked:
//   - The process continues, and no thread waits while it logs.
//   - When there is space again, the flusher resumes by itself.
//   - Each record that Append() accepted is in a segment, once and in order.
//   - The log reports as many drops as Append() returned.
//   - Each segment is complete.
//
// Oracle: the results of Append(), and libzstd. This file replaces pwrite(2) to
// exhaust a quota.

#include <errno.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/relaxed.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/sanitizer.h"
#include "ringlog/testing/harness/small_file_system.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {
namespace {

constexpr absl::Duration kLong = absl::Minutes(5);
constexpr size_t kThreads = 2;

std::atomic<bool> g_quota_is_exhausted{false};

// Threads that log, and the records that must be found.
class Load {
 public:
  // The ring must not be in `directory`, whose disk gets full.
  Load(const std::string& directory, const std::string& ring_directory)
      : directory_(directory) {
    RingOptions ring;
    ring.slot_count = 1024;
    ring.program = "program";
    ring.host = "host";
    ring.segment_directory = directory;
    ring_ = *Ring::CreateIn(ring_directory, RingFileName, ring);
    FlusherOptions options;
    options.directory = directory;
    options.flush_interval = absl::Milliseconds(5);
    flusher_ = *Flusher::Start(ring_.get(), options);
    for (size_t t = 0; t < kThreads; ++t) {
      threads_.emplace_back([this, t] { Run(t); });
    }
  }

  // If an assertion failed, the threads may still be running.
  ~Load() { Join(); }
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // Returns a lower bound of the number of records that each thread has tried
  // to log.
  std::array<uint64_t, kThreads> Attempted() const {
    return {attempted_[0].load(), attempted_[1].load()};
  }
  uint64_t dropped() const {
    return ring_->dropped(DropCause::kRingFull, Severity::kInfo);
  }
  uint64_t errors() {
    return LoadRelaxed(&ring_->flusher_counters()->write_errors);
  }
  Flusher* flusher() { return flusher_.get(); }

  // Closes the segment, checks all closed segments, and deletes them.
  void CheckAndDeleteSegments() {
    ASSERT_TRUE(flusher_->Rotate(kLong).ok());
    const std::vector<std::string> paths = FilesIn(directory_, ".log.zst");
    for (const std::string& path : paths) {
      bool complete = false;
      const std::string text = Decompress(path, &complete);
      // The newest segment may have been begun after the rotation.
      if (path == paths.back() && !complete) continue;
      ASSERT_TRUE(complete) << path;
      if (path == paths.back() && !IsClosed(path)) continue;
      CheckText(text);
      ASSERT_TRUE(std::filesystem::remove(path));
    }
  }

  // Accepts that records `begin` to `end` - 1 of thread `t` are missing.
  void AllowMissing(size_t t, uint64_t begin, uint64_t end) {
    may_be_missing_[t].resize(std::max<size_t>(may_be_missing_[t].size(), end));
    for (uint64_t n = begin; n < end; ++n) may_be_missing_[t][n] = true;
  }

  // Stops the threads and the flusher, and checks all records.
  void Finish() {
    Join();
    ASSERT_TRUE(flusher_->Stop().ok());
    for (const std::string& path : FilesIn(directory_, ".log.zst")) {
      bool complete = false;
      CheckText(Decompress(path, &complete));
      ASSERT_TRUE(complete) << path;
    }
    for (size_t t = 0; t < kThreads; ++t) {
      found_[t].resize(accepted_[t].size());
      may_be_missing_[t].resize(accepted_[t].size());
      for (size_t n = 0; n < accepted_[t].size(); ++n) {
        if (may_be_missing_[t][n] && !found_[t][n]) continue;
        ASSERT_EQ(found_[t][n], accepted_[t][n]) << t << " " << n;
        records_ += found_[t][n];
      }
    }
  }
  uint64_t records() const { return records_; }
  uint64_t reported_drops() const { return reported_drops_; }

 private:
  void Join() {
    done_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  void Run(size_t t) {
    constexpr int kBurst = 64;
    while (!done_) {
      for (int i = 0; i < kBurst; ++i) {
        const std::string text = absl::StrCat(t, " ", accepted_[t].size(), " ",
                                              accepted_[t].size() * 7919);
        Record record;
        record.text = text;
        const auto result = LogRecord(record, ring_.get());
        accepted_[t].push_back(result == Ring::AppendResult::kAppended);
        attempted_[t].store(accepted_[t].size());
      }
      // Without a pause, the threads would leave no processor time for others.
      absl::SleepFor(absl::Milliseconds(1));
    }
  }

  void CheckText(const std::string& all) {
    for (absl::string_view line : absl::StrSplit(all, '\n')) {
      if (line.empty() || line[0] == ' ') continue;
      const std::vector<std::string> words =
          absl::StrSplit(TextOfLine(line), ' ');
      ASSERT_GE(words.size(), 3u) << line;
      if (words[1] == "INFO") {
        uint64_t drops = 0;
        ASSERT_TRUE(absl::SimpleAtoi(words[0], &drops)) << line;
        reported_drops_ += drops;
        continue;
      }
      size_t t = 0;
      size_t n = 0;
      ASSERT_TRUE(absl::SimpleAtoi(words[0], &t)) << line;
      ASSERT_TRUE(absl::SimpleAtoi(words[1], &n)) << line;
      ASSERT_EQ(words[2], absl::StrCat(n * 7919));
      ASSERT_GE(n, next_[t]) << "doubled or out of order: " << line;
      next_[t] = n + 1;
      found_[t].resize(n + 1);
      found_[t][n] = true;
    }
  }

  const std::string directory_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<Flusher> flusher_;
  std::atomic<bool> done_{false};
  // Indexed by record number. Owned by the logging thread until Finish().
  std::array<std::vector<bool>, kThreads> accepted_;
  std::array<std::atomic<uint64_t>, kThreads> attempted_ = {};
  std::vector<std::thread> threads_;

  std::array<std::vector<bool>, kThreads> found_;
  std::array<std::vector<bool>, kThreads> may_be_missing_;
  std::array<size_t, kThreads> next_ = {};
  uint64_t records_ = 0;
  uint64_t reported_drops_ = 0;
};

// Fills and frees the disk again and again under load, and checks the
// invariants.
void FillAndFree(const std::string& directory,
                 const std::function<void()>& fill,
                 const std::function<void()>& free) {
  const int cycles = IsLongMode() ? 1000 : kHasSanitizer ? 5 : 20;
  Load load(directory, MakeTestDirectory());
  for (int cycle = 0; cycle < cycles; ++cycle) {
    const uint64_t errors = load.errors();
    const uint64_t dropped = load.dropped();
    fill();
    WaitUntil([&] {
      return load.errors() != errors && load.dropped() > dropped + 100;
    });
    free();
    ASSERT_TRUE(load.flusher()->Flush(kLong));
    load.CheckAndDeleteSegments();
    if (::testing::Test::HasFatalFailure()) return;
  }
  load.Finish();
  EXPECT_EQ(load.reported_drops(), load.dropped());
  std::cout << cycles << " cycles, " << load.records() << " records, "
            << load.dropped() << " dropped and reported, " << load.errors()
            << " errors" << std::endl;
}

TEST(DiskFullTest, ResumesAfterFullDisk) {
  InSmallFileSystem([](const std::string& directory) {
    const std::string filler = directory + "/filler";
    FillAndFree(
        directory, [&] { FillFileSystem(filler); },
        [&] { unlink(filler.c_str()); });
  });
}

TEST(DiskFullTest, ResumesAfterExhaustedQuota) {
  FillAndFree(
      MakeTestDirectory(), [] { g_quota_is_exhausted = true; },
      [] { g_quota_is_exhausted = false; });
}

// Deleting a directory deletes the records logged before. Later records must
// not be lost.
TEST(DiskFullTest, ResumesAfterDeletedDirectory) {
  const std::string directory = MakeTestDirectory() + "/logs";
  std::filesystem::create_directory(directory);
  Load load(directory, MakeTestDirectory());
  const int cycles = IsLongMode() ? 300 : kHasSanitizer ? 5 : 20;
  for (int cycle = 0; cycle < cycles; ++cycle) {
    const auto begin = load.Attempted();
    load.CheckAndDeleteSegments();
    if (HasFatalFailure()) return;
    WaitUntil([&] { return load.Attempted()[0] > begin[0] + 200; });
    std::error_code error;
    do {
      std::filesystem::remove_all(directory, error);
    } while (error);
    const auto end = load.Attempted();
    for (size_t t = 0; t < kThreads; ++t) {
      load.AllowMissing(t, begin[t], end[t] + 1);
    }
    ASSERT_TRUE(load.flusher()->Flush(kLong));
    WaitUntil([&] { return load.Attempted()[1] > end[1] + 200; });
    ASSERT_TRUE(load.flusher()->Flush(kLong));
  }
  load.Finish();
  std::cout << cycles << " cycles, " << load.records() << " records, "
            << load.dropped() << " dropped" << std::endl;
}

TEST(DiskFullTest, ResumesAfterReadOnlyFileSystem) {
  InSmallFileSystem([](const std::string& directory) {
    Load load(directory, MakeTestDirectory());
    for (int cycle = 0; cycle < 10; ++cycle) {
      // The system refuses to remount while a segment is open.
      do {
        ASSERT_TRUE(load.flusher()->Rotate(kLong).ok());
      } while (mount("ringlog", directory.c_str(), "tmpfs",
                     MS_REMOUNT | MS_RDONLY, "size=8m") != 0);
      const uint64_t dropped = load.dropped();
      const uint64_t errors = load.errors();
      // The ring may be full before the first attempt to write.
      WaitUntil([&] {
        return load.dropped() > dropped + 100 && load.errors() > errors;
      });
      ASSERT_EQ(
          mount("ringlog", directory.c_str(), "tmpfs", MS_REMOUNT, "size=8m"),
          0);
      ASSERT_TRUE(load.flusher()->Flush(kLong));
      load.CheckAndDeleteSegments();
    }
    load.Finish();
    EXPECT_EQ(load.reported_drops(), load.dropped());
  });
}

}  // namespace
}  // namespace ringlog

// While the quota is exhausted, half of each write fits, and a write of one
// byte fails.
extern "C" ssize_t pwrite(int fd, const void* buf, size_t n, off_t offset) {
  if (ringlog::g_quota_is_exhausted) {
    if (n > 1) return syscall(SYS_pwrite64, fd, buf, n / 2, offset);
    errno = EDQUOT;
    return -1;
  }
  return syscall(SYS_pwrite64, fd, buf, n, offset);
}
