// Another user makes files with the names that a process or its recovery will
// use next. No record may be lost or doubled, and no foreign file may change.

#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/recovery/leftover_recovery.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::IsEmpty;

constexpr int64_t kSecondNs = 1000000000;
constexpr int kSeconds = 300;

// Files of another user. Instead of the owner, the mode makes them foreign, so
// that the test need not be root.
class TakenNames {
 public:
  explicit TakenNames(const std::string& directory) : directory_(directory) {}

  void Take(const std::string& name) {
    paths_.push_back(absl::StrCat(directory_, "/", name));
    WriteFile(paths_.back(), "foreign");
    ASSERT_EQ(chmod(paths_.back().c_str(), 0666), 0);
  }

  // Takes the names of the segments 1 to `numbers` for `kSeconds` from the
  // ring's creation on.
  void TakeSegments(const RingHeader& header, uint64_t numbers) {
    for (int second = 0; second < kSeconds; ++second) {
      const int64_t time = header.created_unix_ns + second * kSecondNs;
      for (uint64_t number = 1; number <= numbers; ++number) {
        Take(SegmentFileName(header, number, time, LineFormat::kText));
      }
    }
  }

  // Deletes the files. Fails the test if one has changed.
  void Delete() {
    for (const std::string& path : paths_) {
      EXPECT_EQ(ReadFile(path), "foreign") << path;
      unlink(path.c_str());
    }
    paths_.clear();
  }

 private:
  const std::string directory_;
  std::vector<std::string> paths_;
};

class TakenSegmentTest : public ::testing::TestWithParam<size_t> {};

TEST_P(TakenSegmentTest, EachRecordIsOnceAfterDeathAndRecovery) {
  const std::string directory = MakeTestDirectory();
  TakenNames taken(directory);
  int logged = 0;
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    taken.TakeSegments(process.ring()->header(), 3);
    process.Run(TwoSegmentScript(), GetParam());
    logged = process.logged();
  }
  EXPECT_THAT(RecoverLeftovers(directory, directory).errors, IsEmpty());
  EXPECT_THAT(FilesIn(directory, ".ring"), IsEmpty());
  taken.Delete();
  EXPECT_EQ(TextsIn(directory), NumberedTexts(logged));
}

INSTANTIATE_TEST_SUITE_P(EachStep, TakenSegmentTest, EachScriptStep());

// Without a cursor, recovery writes a new segment under a temporary name.
TEST(TakenNameTest, TemporaryNameOfRecovery) {
  const std::string directory = MakeTestDirectory();
  LogAndDie(directory, 3);
  const std::string ring = FilesIn(directory, ".ring").at(0);
  std::string bytes = ReadFile(ring);
  bytes.replace(kLiveOffset + offsetof(RingLive, cursor),
                sizeof(RingLive::cursor), sizeof(RingLive::cursor), '\0');
  WriteFile(ring, bytes);
  const absl::StatusOr<RingHeader> header = ReadRingHeader(ring, 0);
  ASSERT_TRUE(header.ok()) << header.status();
  TakenNames taken(directory);
  taken.Take(
      SegmentFileName(*header, 1, header->created_unix_ns, LineFormat::kText) +
      ".tmp");
  EXPECT_THAT(RecoverLeftovers(directory, directory).errors, IsEmpty());
  taken.Delete();
  EXPECT_EQ(TextsIn(directory), NumberedTexts(3));
  EXPECT_EQ(FilesIn(directory, "").size(), 1u) << "the segment alone";
}

// Each number costs recovery a call of the system, and no memory.
TEST(TakenNameTest, ManyNumbers) {
  const std::string directory = MakeTestDirectory();
  TakenNames taken(directory);
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    const RingHeader& header = process.ring()->header();
    for (uint64_t number = 1; number <= 1000; ++number) {
      taken.Take(SegmentFileName(header, number, header.created_unix_ns,
                                 LineFormat::kText));
    }
    process.LogNumbered(3);
  }
  EXPECT_THAT(RecoverLeftovers(directory, directory).errors, IsEmpty());
  EXPECT_EQ(FilesIn(directory, ".001001.log.zst").size(), 1u);
  taken.Delete();
  EXPECT_EQ(TextsIn(directory), NumberedTexts(3));
}

}  // namespace
}  // namespace ringlog
