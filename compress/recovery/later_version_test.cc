// A segment of a later format version stays as it is, and so does its ring: the
// program of that version can recover both.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr size_t kLengthBytes = sizeof(uint32_t);

// Gives the metadata frame that begins at or after `offset` a later version and
// a matching checksum.
void MakeLater(std::string* segment, size_t offset) {
  const absl::string_view magic(reinterpret_cast<const char*>(kMetadataMagic),
                                sizeof kMetadataMagic);
  const size_t payload = segment->find(magic.data(), offset, magic.size());
  ASSERT_NE(payload, std::string::npos);
  const size_t length =
      static_cast<unsigned char>((*segment)[payload - kLengthBytes]);
  (*segment)[payload + magic.size()] =
      static_cast<char>(kSegmentMajorVersion + 1);
  const absl::string_view covered =
      absl::string_view(*segment).substr(payload, length - sizeof(uint32_t));
  const auto checksum = static_cast<uint32_t>(absl::ComputeCrc32c(covered));
  segment->replace(payload + covered.size(), sizeof checksum,
                   reinterpret_cast<const char*>(&checksum), sizeof checksum);
}

class LaterVersionTest : public ::testing::Test {
 protected:
  // Makes a process that dies with two frames and a record in its ring.
  LaterVersionTest() {
    ScriptedProcess process(directory_);
    for (int frame = 0; frame < 2; ++frame) {
      process.LogNumbered(2);
      process.Flush();
    }
    process.LogNumbered(1);
    segment_ = FilesIn(directory_, ".zst").at(0);
  }

  void ExpectUnchanged(const std::string& bytes) const {
    WriteFile(segment_, bytes);
    const RecoveredLeftovers leftovers =
        RecoverLeftovers(directory_, directory_);
    ASSERT_THAT(leftovers.errors, SizeIs(1));
    EXPECT_TRUE(absl::IsUnimplemented(leftovers.errors[0]));
    EXPECT_THAT(leftovers.errors[0].message(), HasSubstr(segment_));
    EXPECT_EQ(ReadFile(segment_), bytes);
    EXPECT_THAT(FilesIn(directory_, ".ring"), SizeIs(1));
    EXPECT_THAT(FilesIn(directory_, ".zst"), SizeIs(1));
  }

  const std::string directory_ = MakeTestDirectory();
  std::string segment_;
};

TEST_F(LaterVersionTest, SegmentStays) {
  std::string bytes = ReadFile(segment_);
  MakeLater(&bytes, 0);
  ExpectUnchanged(bytes);
}

// The cursor counts more bytes than the file has.
TEST_F(LaterVersionTest, TruncatedSegmentStays) {
  std::string bytes = ReadFile(segment_);
  MakeLater(&bytes, 0);
  bytes.pop_back();
  ExpectUnchanged(bytes);
}

}  // namespace
}  // namespace ringlog
