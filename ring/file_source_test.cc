#include "ringlog/ring/file_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kMaxBytes = 1 << 30;
constexpr uint64_t kBlock = 4096;

class FileSourceTest : public ::testing::Test {
 protected:
  ~FileSourceTest() override { close(fd_); }

  void Open(int flags = O_RDWR | O_CREAT) {
    fd_ = open(path_.c_str(), flags | O_CLOEXEC, 0600);
    ASSERT_GE(fd_, 0);
  }
  void Write(uint64_t offset, absl::string_view bytes) {
    ASSERT_EQ(
        pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset)),
        static_cast<ssize_t>(bytes.size()));
  }
  void Make() {
    absl::StatusOr<std::unique_ptr<FileSource>> source =
        FileSource::Make(fd_, path_, kMaxBytes);
    ASSERT_TRUE(source.ok()) << source.status();
    source_ = *std::move(source);
  }
  bool KnowsHoles() { return lseek(fd_, 0, SEEK_DATA) != 0; }

  const std::string path_ = MakeTestDirectory() + "/ring";
  int fd_ = -1;
  std::unique_ptr<FileSource> source_;
};

TEST_F(FileSourceTest, ReadsBytesAtAnyOffset) {
  std::mt19937_64 random(TestSeed());
  const auto below = [&](uint64_t n) { return random() % n; };
  std::string content(3 << 20, '\0');
  for (char& c : content) c = static_cast<char>(below(256));
  Open();
  Write(0, content);
  Make();
  ASSERT_EQ(source_->size(), content.size());
  for (int i = 0; i < 1000; ++i) {
    const uint64_t offset = below(content.size() + 10);
    const uint64_t bytes = below(i % 10 == 0 ? content.size() : 1000);
    const auto found = source_->Read(offset, bytes);
    ASSERT_TRUE(found.ok()) << found.status();
    if (offset >= content.size()) {
      ASSERT_TRUE(found->empty());
      continue;
    }
    ASSERT_GE(found->size(), std::min(bytes, content.size() - offset));
    ASSERT_EQ(*found, content.substr(offset, found->size()));
    if (i % 100 == 0) source_->FreeWindow();
  }
}

TEST_F(FileSourceTest, FindsHolesOfSparseFile) {
  constexpr uint64_t kData = 10 << 20;
  constexpr uint64_t kSize = 64 << 20;
  Open();
  ASSERT_EQ(ftruncate(fd_, kSize), 0);
  Write(kData, std::string(kBlock, 'x'));
  if (!KnowsHoles()) GTEST_SKIP() << "the file system reports no holes";
  Make();
  EXPECT_EQ(source_->EndOfHole(0), kData);
  EXPECT_EQ(source_->EndOfHole(kData + 1), kData + 1);
  EXPECT_EQ(source_->EndOfHole(kData + kBlock), kSize);
  EXPECT_EQ(source_->EndOfHole(kSize), kSize);
  // A window ends with the data.
  EXPECT_EQ(source_->Read(kData, 1)->size(), kBlock);
  // The view has all requested bytes, also those of a hole.
  EXPECT_EQ(source_->Read(kData, 2 * kBlock)->size(), 2 * kBlock);
  EXPECT_EQ(source_->Read(kSize - 1, 2)->size(), 1u);
}

TEST_F(FileSourceTest, ReadsHolesOfSmallFile) {
  Open();
  ASSERT_EQ(ftruncate(fd_, 1 << 19), 0);
  Make();
  EXPECT_EQ(source_->EndOfHole(0), 0u);
  EXPECT_EQ(source_->Read(0, 1)->size(), FileSource::kWindowBytes);
}

TEST_F(FileSourceTest, FileThatHasBecomeShorterIsAnError) {
  Open();
  Write(0, std::string(2 * FileSource::kWindowBytes, 'x'));
  Make();
  ASSERT_TRUE(source_->Read(0, 1).ok());
  ASSERT_EQ(ftruncate(fd_, FileSource::kWindowBytes + 7), 0);
  const absl::Status status =
      source_->Read(FileSource::kWindowBytes, 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(),
            "read " + path_ +
                ": it has become shorter: 262151 bytes instead of 524288");
}

TEST_F(FileSourceTest, ReadErrorNamesFile) {
  Open(O_WRONLY | O_CREAT);
  Write(0, "x");
  Make();
  EXPECT_THAT(std::string(source_->Read(0, 1).status().message()),
              HasSubstr("read " + path_ + ": Bad file descriptor"));
}

TEST_F(FileSourceTest, OtherFilesAreRefused) {
  Open();
  ASSERT_EQ(ftruncate(fd_, 10), 0);
  EXPECT_EQ(FileSource::Make(fd_, "ring", 9).status(),
            absl::InvalidArgumentError(
                "ring: not a regular file of at most 9 bytes"));
  EXPECT_TRUE(FileSource::Make(fd_, "ring", 10).ok());
  const int directory = open("/", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(
      FileSource::Make(directory, "", 9).status(),
      absl::InvalidArgumentError("not a regular file of at most 9 bytes"));
  close(directory);
}

}  // namespace
}  // namespace ringlog
