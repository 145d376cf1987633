// Tests SegmentReader and DataRanges on sparse files. An attacker needs one
// block of a disk for a file of a terabyte.
//
// This file replaces pread(2), to count calls and bytes, and lseek(2), to
// simulate file systems.
//
// Invariants checked:
//   - the bytes that are read, and the system calls, are in proportion to the
//     blocks on the disk
//   - a hole costs only the frame that it is in
//   - a file system that reports no holes, or wrong ones, costs no record

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <functional>
#include <ios>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/data_ranges.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/compress/segment/segment_repair.h"
#include "ringlog/testing/fixtures/read_records.h"
#include "ringlog/testing/fixtures/sample_segment.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

constexpr uint64_t kTebibyte = uint64_t{1} << 40;
constexpr uint64_t kMebibyte = uint64_t{1} << 20;

const std::string kHeader("\x28\xB5\x2F\xFD\x00\x58", 6);

// Calls of pread(2). After kMaxCalls, each one fails, so that a test of a
// reader without bounds ends.
constexpr uint64_t kMaxCalls = 200000;
uint64_t g_calls = 0;
uint64_t g_bytes = 0;

// Replaces lseek(2) with SEEK_DATA and SEEK_HOLE, unless it is empty.
std::function<off_t(off_t offset, int whence)> g_seek;

class SegmentSparseTest : public ::testing::Test {
 protected:
  SegmentSparseTest() : path_(MakeTestDirectory() + "/sparse") {
    fd_ = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    EXPECT_GE(fd_, 0) << errno;
  }
  ~SegmentSparseTest() override {
    g_seek = nullptr;
    close(fd_);
  }

  void Put(uint64_t offset, const std::string& bytes) {
    ASSERT_EQ(
        pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)),
        static_cast<ssize_t>(bytes.size()));
    end_ = std::max(end_, offset + bytes.size());
  }
  // Sets the size of the file. Returns false if the file system has no room for
  // its holes.
  bool Extend(uint64_t bytes) {
    if (ftruncate(fd_, static_cast<off_t>(bytes)) != 0) return false;
    end_ = bytes;
    return DiskBytes() < bytes;
  }
  uint64_t DiskBytes() const {
    struct stat st = {};
    EXPECT_EQ(fstat(fd_, &st), 0);
    return static_cast<uint64_t>(st.st_blocks) * 512;
  }

  // Reads the file to its end.
  void Read() {
    g_calls = g_bytes = 0;
    absl::StatusOr<std::unique_ptr<SegmentReader>> reader =
        SegmentReader::Open(path_);
    ASSERT_TRUE(reader.ok()) << reader.status();
    text_ = absl::StrJoin(ReadRecords(reader->get()), "");
    skipped_ = (*reader)->skipped();
    EXPECT_TRUE((*reader)->read_status().ok()) << (*reader)->read_status();
  }

  void ExpectBoundByDisk(uint64_t reads_of_a_byte) {
    EXPECT_LE(g_bytes, DiskBytes() * reads_of_a_byte + 2 * kMebibyte);
    EXPECT_LE(g_calls, DiskBytes() / 512 + 100);
  }

  const std::string path_;
  int fd_ = -1;
  uint64_t end_ = 0;
  std::string text_;
  std::vector<SkippedRegion> skipped_;
};

TEST_F(SegmentSparseTest, HoleAfterFrameHeaderIsNotRead) {
  Put(0, kHeader);
  if (!Extend(kTebibyte)) GTEST_SKIP() << "no files of 1 TiB on this disk";
  ASSERT_NO_FATAL_FAILURE(Read());
  ASSERT_EQ(skipped_.size(), 1u);
  EXPECT_EQ(skipped_[0].begin, 0u);
  EXPECT_EQ(skipped_[0].end, kTebibyte);
  ExpectBoundByDisk(1);
}

TEST_F(SegmentSparseTest, HoleCostsOnlyItsFrame) {
  constexpr size_t kLost = 5;
  const SampleSegment sample =
      MakeSampleSegment(LineFormat::kText, 10, TestSeed());
  const uint64_t begin = sample.frames[kLost].begin;
  Put(0, sample.bytes.substr(0, begin + 20));
  if (!Extend(kTebibyte)) GTEST_SKIP() << "no files of 1 TiB on this disk";
  Put(kTebibyte, sample.bytes.substr(sample.frames[kLost].metadata_end));
  ASSERT_NO_FATAL_FAILURE(Read());
  EXPECT_EQ(text_, sample.TextWithout(kLost));
  ASSERT_EQ(skipped_.size(), 1u);
  EXPECT_EQ(skipped_[0].begin, begin);
  EXPECT_EQ(skipped_[0].end, kTebibyte);
  EXPECT_FALSE(skipped_[0].is_truncated);
  ExpectBoundByDisk(16);
}

TEST_F(SegmentSparseTest, HoleAtTheEndCountsAsEnd) {
  const SampleSegment sample =
      MakeSampleSegment(LineFormat::kText, 10, TestSeed());
  const uint64_t length = sample.frames[8].blocks[1].end;
  Put(0, sample.bytes.substr(0, length));
  if (!Extend(kTebibyte)) GTEST_SKIP() << "no files of 1 TiB on this disk";
  ASSERT_NO_FATAL_FAILURE(Read());
  EXPECT_EQ(text_, sample.TextUpTo(length));
  ASSERT_EQ(skipped_.size(), 1u);
  EXPECT_TRUE(skipped_[0].is_truncated);
  ExpectBoundByDisk(16);
}

TEST_F(SegmentSparseTest, HolesInBlocksAreNotRead) {
  // Raw blocks of 128 KiB with their content in holes.
  const std::string block("\x00\x00\x10", 3);
  Put(0, kHeader);
  for (int i = 0; i < 512; ++i) {
    Put(end_, block);
    ASSERT_TRUE(Extend(end_ + (128 << 10)));
  }
  Put(end_, std::string("\x06\x00\x00", 3));
  if (DiskBytes() > end_ / 8) GTEST_SKIP() << "no holes of 128 KiB";
  ASSERT_NO_FATAL_FAILURE(Read());
  EXPECT_FALSE(skipped_.empty());
  ExpectBoundByDisk(8);
}

TEST_F(SegmentSparseTest, PayloadOfMetadataInHolesIsNotRead) {
  const std::string frame(
      "\x28\xB5\x2F\xFD\x04\x58\x01\x00\x00\x99\xE9\xD8\x51", 13);
  FrameMetadata metadata;
  metadata.identity.ring_id = {1};
  metadata.compressed_bytes = frame.size();
  metadata.text_checksum = 0x51D8E999;
  const std::string ours = EncodeMetadataFrame(metadata);
  Put(0, frame + ours + "x");
  // The header claims a payload of 64 KiB.
  const std::string claim =
      std::string("\x57\x2A\x4D\x18\x00\x00\x01\x00", 8) + ours.substr(8, 40);
  for (uint64_t i = 1; i <= 2000; ++i) Put(i * (80 << 10), claim);
  if (DiskBytes() > end_ / 8) GTEST_SKIP() << "no holes of 64 KiB";
  ASSERT_NO_FATAL_FAILURE(Read());
  EXPECT_FALSE(skipped_.empty());
  ExpectBoundByDisk(8);
}

TEST_F(SegmentSparseTest, ManyHeadersTakeOneCall) {
  const auto repeated = [](const std::string& piece) {
    std::string all;
    while (all.size() < kMebibyte) all += piece;
    return all;
  };
  const std::string frame = kHeader + std::string("\x01\x00\x00", 3);
  const std::string skippable("\x50\x2A\x4D\x18\0\0\0\0", 8);
  for (const std::string& bytes :
       {kHeader + repeated(std::string(3, '\0')), repeated(frame),
        frame + repeated(skippable)}) {
    Put(0, bytes);
    ASSERT_EQ(ftruncate(fd_, static_cast<off_t>(bytes.size())), 0);
    ASSERT_NO_FATAL_FAILURE(Read());
    ExpectBoundByDisk(16);
  }
}

TEST_F(SegmentSparseTest, WrongHolesCostNoRecord) {
  const SampleSegment sample =
      MakeSampleSegment(LineFormat::kText, 10, TestSeed());
  Put(0, sample.bytes);
  const std::vector<std::function<off_t(off_t, int)>> file_systems = {
      // Reports only holes.
      [](off_t offset, int whence) -> off_t {
        errno = ENXIO;
        return whence == SEEK_HOLE ? offset : -1;
      },
      // Reports no data after byte 5000.
      [](off_t offset, int whence) -> off_t {
        errno = ENXIO;
        if (whence == SEEK_HOLE) return std::max<off_t>(offset, 5000);
        return offset < 5000 ? offset : -1;
      },
      [](off_t, int) -> off_t {
        errno = EINVAL;
        return -1;
      }};
  for (const auto& seek : file_systems) {
    g_seek = seek;
    ASSERT_NO_FATAL_FAILURE(Read());
    EXPECT_EQ(text_, sample.text());
    EXPECT_TRUE(skipped_.empty());
  }
}

TEST_F(SegmentSparseTest, CopyHasTheSameHoles) {
  const std::string bytes = "some data";
  Put(0, bytes);
  Put(kTebibyte / 2, bytes);
  if (!Extend(kTebibyte)) GTEST_SKIP() << "no files of 1 TiB on this disk";
  const std::string copy = path_ + ".copy";
  ASSERT_TRUE(CopySegment(path_, kWholeFile, 0640, copy).ok());
  struct stat st = {};
  ASSERT_EQ(stat(copy.c_str(), &st), 0);
  EXPECT_EQ(static_cast<uint64_t>(st.st_size), kTebibyte);
  EXPECT_LE(static_cast<uint64_t>(st.st_blocks) * 512, 2 * DiskBytes());
  std::ifstream in(copy, std::ios::binary);
  for (const uint64_t offset : {uint64_t{0}, kTebibyte / 2}) {
    std::string found(bytes.size(), '\0');
    in.seekg(static_cast<std::streamoff>(offset));
    ASSERT_TRUE(
        in.read(found.data(), static_cast<std::streamsize>(found.size())));
    EXPECT_EQ(found, bytes);
  }
}

TEST_F(SegmentSparseTest, RangesHaveAllData) {
  std::mt19937_64 random(TestSeed());
  const auto fd = [this] { return fd_; };
  std::string content(2 * kMebibyte, '\0');
  ASSERT_TRUE(Extend(content.size()));
  for (int i = 0; i < 60; ++i) {
    const uint64_t offset = random() % (content.size() - 9000);
    const std::string data(1 + random() % 9000, 'x');
    Put(offset, data);
    content.replace(offset, data.size(), data);
    const uint64_t limit = 1 + random() % content.size();
    DataRanges ranges;
    uint64_t last_end = 0;
    for (uint64_t at = 0; at < limit;) {
      const FileRange range = ranges.Next(fd, at, limit);
      ASSERT_TRUE(at <= range.begin && range.begin <= range.end &&
                  range.end <= limit);
      ASSERT_GE(content.find('x', at), range.begin) << "data in a hole";
      if (range.begin < range.end) last_end = range.end;
      at = range.end;
    }
    EXPECT_EQ(DataRanges().LastEnd(fd, limit), last_end);
  }
}

ssize_t CountedRead(int fd, void* buf, size_t n, off_t offset) {
  if (++g_calls > kMaxCalls) {
    errno = EIO;
    return -1;
  }
  const ssize_t got = syscall(SYS_pread64, fd, buf, n, offset);
  if (got > 0) g_bytes += static_cast<uint64_t>(got);
  return got;
}

}  // namespace
}  // namespace ringlog

extern "C" ssize_t pread(int fd, void* buf, size_t n, off_t offset) {
  return ringlog::CountedRead(fd, buf, n, offset);
}

extern "C" off_t lseek(int fd, off_t offset, int whence) noexcept {
  const bool is_replaced = whence == SEEK_DATA || whence == SEEK_HOLE;
  if (is_replaced && ringlog::g_seek) return ringlog::g_seek(offset, whence);
  return syscall(SYS_lseek, fd, offset, whence);
}
