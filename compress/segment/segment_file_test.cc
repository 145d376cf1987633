#include "ringlog/compress/segment/segment_file.h"

#include <fcntl.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

// A reader that sees the name of a new segment can lock it before its writer.
TEST(SegmentFileTest, WriteRetriesFailedLock) {
  const std::string path = MakeTestDirectory() + "/segment";
  WriteFile(path, "");
  absl::StatusOr<SegmentFile> file = SegmentFile::Open(path, O_RDWR);
  ASSERT_TRUE(file.ok()) << file.status();
  absl::StatusOr<SegmentFile> other = SegmentFile::Open(path, O_RDWR);
  ASSERT_TRUE(other.ok()) << other.status();
  std::optional<SegmentFile> reader(*std::move(other));
  ASSERT_TRUE(reader->Lock().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(file->Lock()));
  EXPECT_TRUE(file->WriteAt(0, "a").ok()) << "a write needs no lock";
  reader.reset();
  const absl::StatusOr<SegmentFile> observer = SegmentFile::Open(path, O_RDWR);
  ASSERT_TRUE(observer.ok()) << observer.status();
  EXPECT_FALSE(*observer->IsLocked());
  EXPECT_TRUE(file->WriteAt(1, "b").ok());
  EXPECT_TRUE(*observer->IsLocked());
  EXPECT_EQ(ReadFile(path), "ab");
}

}  // namespace
}  // namespace ringlog
