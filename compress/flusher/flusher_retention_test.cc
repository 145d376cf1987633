// Invariants checked: neither the log nor the end of the process waits for
// retention; retention makes room on a full disk.
//
// This file replaces unlinkat(2), so that a test can hold up retention, and
// pwrite(2) and statvfs(3), so that a disk is full until a file is deleted.

#include <errno.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/flusher/flusher_options.h"
#include "ringlog/compress/flusher/flusher_test_fixture.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/deletion_gate.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {
namespace {

// Holds up the deletion of a segment.
std::atomic<DeletionGate*> g_gate{nullptr};
std::atomic<bool> g_is_full{false};

class FlusherRetentionTest : public FlusherFixture {
 protected:
  ~FlusherRetentionTest() override {
    g_gate = nullptr;
    g_is_full = false;
  }
  void WriteSegments(Flusher* flusher, int count) {
    for (int i = 0; i < count; ++i) {
      Append("record");
      ASSERT_TRUE(flusher->Rotate(kLong).ok());
    }
  }
  size_t SegmentCount() const { return FilesIn(directory_, ".log.zst").size(); }
};

TEST_F(FlusherRetentionTest, LoggingContinuesWhileRetentionIsStuck) {
  DeletionGate gate;
  g_gate = &gate;
  MakeRing(64);
  FlusherOptions options = Options();
  options.retention.max_files = 1;
  const auto flusher = StartFlusher(ring_.get(), options);
  WriteSegments(flusher.get(), 2);
  gate.has_come.Await();
  WriteSegments(flusher.get(), 20);
  EXPECT_EQ(SegmentCount(), 22u);
  // A forked child has neither the flusher's thread nor that of retention.
  EXPECT_EQ(RunChild([&] {
              flusher->Reconfigure(options);
              const bool is_flushed = flusher->Flush(kLong);
              _exit(!is_flushed && flusher->Stop().ok() ? 0 : 1);
            }),
            0);
  EXPECT_TRUE(flusher->Stop().ok());
  EXPECT_EQ(SegmentCount(), 22u);
  EXPECT_EQ(Texts().size(), 22u);
  g_gate = nullptr;
  gate.may_go_on.Send();
  gate.has_deleted.Await();
  WaitUntil([] { return !HasThread("ringlog-retain"); });
  EXPECT_EQ(SegmentCount(), 21u);
}

TEST_F(FlusherRetentionTest, SparseFileDelaysNeitherLoggingNorStop) {
  MakeRing(64);
  std::string name =
      SegmentFileName(ring_->header(), 77, kTestTimeNs, LineFormat::kText);
  const std::string path = absl::StrCat(directory_, "/", name);
  WriteFile(path, std::string("\x28\xB5\x2F\xFD\x00\x58", 6));
  if (truncate(path.c_str(), off_t{1} << 40) != 0) {
    GTEST_SKIP() << "no files of 1 TiB on this disk";
  }
  FlusherOptions options = Options();
  options.retention.max_files = 3;
  const auto flusher = StartFlusher(ring_.get(), options);
  WriteSegments(flusher.get(), 6);
  EXPECT_TRUE(flusher->Stop().ok());
  EXPECT_EQ(SegmentCount(), 4u);
}

TEST_F(FlusherRetentionTest, FreesFullDisk) {
  MakeRing(64);
  FlusherOptions options = Options();
  options.retention.min_free_bytes = 1;
  const auto flusher = StartFlusher(ring_.get(), options);
  WriteSegments(flusher.get(), 3);
  // Each Flush() causes an iteration. The first one starts the last run of
  // retention that is due. If the disk is not full, the next run is due in a
  // minute.
  for (int i = 0; i < 5; ++i) {
    Append("record");
    ASSERT_TRUE(flusher->Flush(kLong));
  }
  WaitUntil([] { return !HasThread("ringlog-retain"); });
  g_is_full = true;
  Append("later");
  EXPECT_TRUE(flusher->Flush(kLong / 4));
  EXPECT_FALSE(g_is_full);
  EXPECT_EQ(SegmentCount(), 3u);
  EXPECT_TRUE(flusher->Stop().ok());
  EXPECT_EQ(Texts().back(), "later");
}

int Unlink(int directory, const char* name, int flags) {
  const bool is_segment = absl::EndsWith(name, ".log.zst");
  if (is_segment) g_is_full = false;
  DeletionGate* const gate = is_segment ? g_gate.load() : nullptr;
  const DeletionPass pass(gate);
  return static_cast<int>(syscall(SYS_unlinkat, directory, name, flags));
}

}  // namespace
}  // namespace ringlog

extern "C" {

int unlinkat(int fd, const char* name, int flag) noexcept {
  return ringlog::Unlink(fd, name, flag);
}

ssize_t pwrite(int fd, const void* buf, size_t n, off_t offset) {
  if (ringlog::g_is_full) {
    errno = ENOSPC;
    return -1;
  }
  return syscall(SYS_pwrite64, fd, buf, n, offset);
}

int statvfs(const char*, struct statvfs* buf) noexcept {
  *buf = {};
  buf->f_frsize = 4096;
  buf->f_bavail = ringlog::g_is_full ? 0 : 1000;
  return 0;
}

}  // extern "C"
