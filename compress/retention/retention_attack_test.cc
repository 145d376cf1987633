// Attacks on retention by another user, who may write to the directories, and
// by files that take no blocks on the disk. This file replaces pread(2), to
// count its calls.
//
// Invariants checked:
//   - files of other users do not count, are neither read nor deleted, and are
//     reported once if a limit does not hold because of them
//   - the holes of a file do not count, and take no time
//   - a reader cannot keep a segment

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/retention/retention.h"
#include "ringlog/compress/retention/retention_runner.h"
#include "ringlog/compress/retention/retention_test_fixture.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

// Calls of pread(2). After kMaxReads, each one fails, so that a test of an
// endless loop ends.
constexpr uint64_t kMaxReads = 100000;
uint64_t g_reads = 0;

constexpr uid_t kOtherUser = 65534;

// Returns the name of a segment of a new ring, begun an hour from now.
std::string SegmentName(int ring) {
  RingHeader header = {};
  std::strcpy(header.program, "program");
  std::strcpy(header.host, "host");
  std::memcpy(header.ring_id, &ring, sizeof ring);
  return SegmentFileName(header, 1, absl::GetCurrentTimeNanos() + 3600000000000,
                         LineFormat::kText);
}

// Returns the content of a segment with that name and without records.
std::string SegmentContent(int ring) {
  const std::string frame(
      "\x28\xB5\x2F\xFD\x04\x58\x01\x00\x00\x99\xE9\xD8\x51", 13);
  FrameMetadata metadata;
  std::memcpy(metadata.identity.ring_id.data(), &ring, sizeof ring);
  metadata.compressed_bytes = frame.size();
  metadata.text_checksum = 0x51D8E999;
  return frame + EncodeMetadataFrame(metadata);
}

void MakeSparse(const std::string& path, const std::string& begin,
                uint64_t bytes) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 ||
      pwrite(fd, begin.data(), begin.size(), 0) !=
          static_cast<ssize_t>(begin.size()) ||
      ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    abort();
  }
  close(fd);
}

class RetentionAttackTest : public RetentionFixture {
 protected:
  RetentionAttackTest() {
    EXPECT_EQ(chmod(directory_.c_str(), 01777), 0);
    EXPECT_EQ(chmod(rings_.c_str(), 01777), 0);
  }

  // Returns true if this process may become another user. Root may not do so in
  // a sandbox with one user.
  static bool CanBecomeOther() {
    return RunChild([] { _exit(setuid(kOtherUser) == 0 ? 0 : 1); }) == 0;
  }
  // Runs `body` as another user, whose working directory is `directory`.
  static void AsOtherUser(const std::string& directory,
                          const std::function<void()>& body) {
    ASSERT_EQ(RunChild([&] {
                if (chdir(directory.c_str()) != 0 || setgroups(0, nullptr) ||
                    setgid(kOtherUser) != 0 || setuid(kOtherUser) != 0) {
                  abort();
                }
                body();
                _exit(0);
              }),
              0);
  }

  // Leaves a ring of the program in `directory`, with a hole of 2 GiB.
  void LeaveSparseRing(const std::string& directory) const {
    RingOptions options;
    options.slot_count = 2;
    options.program = "program";
    options.host = "host";
    options.segment_directory = directory_;
    const auto ring = Ring::CreateIn(directory, RingFileName, options);
    if (!ring.ok() || truncate((*ring)->path().c_str(), off_t{2} << 30) != 0) {
      abort();
    }
  }
  // Deletes excess files twice, in a new process. Returns its stderr.
  std::string EnforceTwice(const RetentionOptions& limits,
                           mode_t segment_mode = kDefaultSegmentMode) const {
    std::string err;
    EXPECT_EQ(RunChild(
                  [&] {
                    RetentionRunner runner({directory_, rings_, "program"});
                    for (int i = 0; i < 2; ++i) {
                      if (!runner.Run({limits, segment_mode}, &Never)) abort();
                    }
                    _exit(runner.errors() == 0 ? 0 : 1);
                  },
                  &err),
              0);
    return err;
  }

  const std::string rings_ = MakeTestDirectory();
};

TEST_F(RetentionAttackTest, ForgedSegmentsOfAnotherUserCauseNoDeletion) {
  if (!CanBecomeOther()) GTEST_SKIP() << "only root can become another user";
  MakeSegments(5);
  const std::vector<std::string> own = Segments("program");
  constexpr int kForged = 60;
  AsOtherUser(directory_, [] {
    for (int i = 1; i <= kForged; ++i) {
      WriteFile(SegmentName(i), SegmentContent(i));
    }
  });
  for (const RetentionOptions& limits : {MaxFiles(5), MaxBytes(100 << 10)}) {
    const std::string err = EnforceTwice(limits);
    for (const std::string& path : own) {
      EXPECT_TRUE(std::filesystem::exists(path)) << path;
    }
    EXPECT_THAT(Segments("program"), SizeIs(5 + kForged));
    EXPECT_THAT(err,
                HasSubstr(absl::StrCat(kForged, " files named program.*")));
    EXPECT_THAT(err, HasSubstr(absl::StrCat("with: find '", directory_, "'")));
    EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  }
  // The limit holds, so the forged segments are not reported.
  EXPECT_EQ(EnforceTwice(MaxFiles(5 + kForged)), "");
}

TEST_F(RetentionAttackTest, SparseRingOfAnotherUserCausesNoDeletion) {
  if (!CanBecomeOther()) GTEST_SKIP() << "only root can become another user";
  MakeSegments(5);
  for (const std::string& directory : {rings_, directory_}) {
    AsOtherUser(directory, [this] { LeaveSparseRing("."); });
    ASSERT_THAT(FilesIn(directory, ".ring"), SizeIs(1));
    EnforceTwice(MaxBytes(1 << 20));
    EXPECT_THAT(Segments("program"), SizeIs(5));
    EXPECT_THAT(FilesIn(directory, ".ring"), SizeIs(1));
  }
}

TEST_F(RetentionAttackTest, HolesOfRingsCauseNoDeletion) {
  MakeSegments(5);
  InChild([this] { LeaveSparseRing(rings_); });
  InChild([this] { LeaveSparseRing(directory_); });
  EXPECT_EQ(EnforceTwice(MaxBytes(1 << 20)), "");
  EXPECT_THAT(Segments("program"), SizeIs(5));
}

TEST_F(RetentionAttackTest, FilesOfAnotherUserAreNotRead) {
  if (!CanBecomeOther()) GTEST_SKIP() << "only root can become another user";
  AsOtherUser(directory_, [] {
    for (int i = 1; i <= 100; ++i) {
      MakeSparse(SegmentName(i), "\x28\xB5\x2F\xFD", 64 << 20);
    }
  });
  g_reads = 0;
  Enforce(MaxFiles(3));
  EXPECT_EQ(g_reads, 0u);
}

TEST_F(RetentionAttackTest, SparseSegmentsTakeFewCalls) {
  constexpr int kFiles = 100;
  const std::string header("\x28\xB5\x2F\xFD\x00\x58", 6);
  for (int i = 1; i <= kFiles; ++i) {
    const std::string path = absl::StrCat(directory_, "/", SegmentName(i));
    MakeSparse(path, header, i == 1 ? uint64_t{1} << 40 : 64 << 20);
  }
  MakeSegments(5);
  g_reads = 0;
  Enforce(MaxFiles(3));
  EXPECT_LE(g_reads, 10 * kFiles);
  EXPECT_THAT(Segments("program"), SizeIs(kFiles + 3));
}

TEST_F(RetentionAttackTest, ReaderCannotKeepSegments) {
  MakeSegments(5);
  std::vector<int> readers;
  for (const std::string& path : Segments("program")) {
    readers.push_back(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_GE(readers.back(), 0);
    ASSERT_EQ(flock(readers.back(), LOCK_EX | LOCK_NB), 0);
    struct flock lock = {};
    lock.l_type = F_RDLCK;
    ASSERT_EQ(fcntl(readers.back(), F_OFD_SETLK, &lock), 0);
  }
  Enforce(MaxFiles(3));
  EXPECT_THAT(Segments("program"), SizeIs(3));
  for (const int fd : readers) close(fd);
}

// A segment with a second name may be a file of another directory.
TEST_F(RetentionAttackTest, LinksAreReportedAndStay) {
  MakeSegments(5);
  const std::string first = Segments("program")[0];
  std::filesystem::create_hard_link(first, rings_ + "/link");
  EXPECT_THAT(EnforceTwice(MaxFiles(4)), HasSubstr("1 files named program.*"));
  EXPECT_THAT(Segments("program"), SizeIs(5));
  std::filesystem::remove(rings_ + "/link");
  EXPECT_EQ(EnforceTwice(MaxFiles(4)), "");
  EXPECT_THAT(Segments("program"), SizeIs(4));
}

TEST_F(RetentionAttackTest, SegmentsThatOthersMayChangeStay) {
  MakeSegments(5);
  for (const std::string& path : Segments("program")) {
    ASSERT_EQ(chmod(path.c_str(), 0660), 0);
  }
  EXPECT_THAT(EnforceTwice(MaxFiles(3)), HasSubstr("5 files named program.*"));
  EXPECT_THAT(Segments("program"), SizeIs(5));
  // The program itself permits its group to write.
  EXPECT_EQ(EnforceTwice(MaxFiles(3), 0660), "");
  EXPECT_THAT(Segments("program"), SizeIs(3));
}

ssize_t CountedRead(int fd, void* buf, size_t n, off_t offset) {
  if (++g_reads > kMaxReads) {
    errno = EIO;
    return -1;
  }
  return syscall(SYS_pread64, fd, buf, n, offset);
}

}  // namespace
}  // namespace ringlog

extern "C" ssize_t pread(int fd, void* buf, size_t n, off_t offset) {
  return ringlog::CountedRead(fd, buf, n, offset);
}
