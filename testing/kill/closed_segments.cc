#include "ringlog/testing/kill/closed_segments.h"

#include <sys/stat.h>

#include "absl/crc/crc32c.h"
#include "absl/log/check.h"
#include "gtest/gtest.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

uint32_t Checksum(const std::string& bytes) {
  return static_cast<uint32_t>(absl::ComputeCrc32c(bytes));
}

}  // namespace

void ClosedSegments::Add(const std::string& path) {
  CHECK_LE(path.size(), kMaxPathBytes);
  const std::string bytes = ReadFile(path);
  Segment& segment = segments_[count_ % segments_.size()];
  segment.path[path.copy(segment.path.data(), kMaxPathBytes)] = '\0';
  segment.bytes = bytes.size();
  segment.checksum = Checksum(bytes);
  ++count_;
}

void ClosedSegments::ExpectUnchanged(bool may_be_deleted) const {
  const uint64_t count = count_;
  for (uint64_t n = count > kKept ? count - kKept : 0; n < count; ++n) {
    const Segment& segment = segments_[n % segments_.size()];
    const std::string path = segment.path.data();
    struct stat st;
    if (stat(path.c_str(), &st) != 0) {
      EXPECT_TRUE(may_be_deleted) << path << " is deleted";
      continue;
    }
    const std::string bytes = ReadFile(path);
    EXPECT_EQ(bytes.size(), segment.bytes) << path;
    EXPECT_EQ(Checksum(bytes), segment.checksum) << path;
  }
}

}  // namespace ringlog
