// Another user makes files with the names that a process or its recovery will
// use next. No record may be lost or duplicated, and no foreign file may
// change.

#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/recovery/leftover_recovery.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/other_boot.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::IsEmpty;
using ::testing::IsSubsetOf;

constexpr int64_t kSecondNs = 1000000000;
constexpr int kSeconds = 60;

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
  }

  // Makes the files again that Delete() deleted.
  void TakeAgain() {
    const std::vector<std::string> paths = std::move(paths_);
    paths_.clear();
    for (const std::string& path : paths) Take(std::string(Basename(path)));
  }

 private:
  const std::string directory_;
  std::vector<std::string> paths_;
};

// Removes all cursors from the ring.
void LoseCursors(const std::string& ring) {
  std::string bytes = ReadFile(ring);
  bytes.replace(kLiveOffset + offsetof(RingLive, cursor),
                sizeof(RingLive::cursor), sizeof(RingLive::cursor), '\0');
  WriteFile(ring, bytes);
}

// The process dies after each step of a script.
class TakenSegmentTest : public ::testing::TestWithParam<size_t> {
 protected:
  TakenSegmentTest() {
    // Other users may write to the directory.
    EXPECT_EQ(chmod(directory_.c_str(), 0777), 0);
  }

  // Runs a process that dies. Returns the path of its ring.
  std::string LiveAndDie() {
    ScriptedProcess process(directory_, ScriptedProcess::OpenFrames());
    taken_.TakeSegments(process.ring()->header(), 3);
    process.Run(TwoSegmentScript(), GetParam());
    logged_ = process.logged();
    const bool has_segment = GetParam() >= 3;
    EXPECT_EQ(!OwnSegments().empty(), has_segment);
    return process.ring_path();
  }

  // Returns the segments whose names have a salt, with their content, by path.
  std::map<std::string, std::string> OwnSegments() const {
    std::map<std::string, std::string> segments;
    for (const std::string& path : FilesIn(directory_, ".log.zst")) {
      if (ParseFileName(Basename(path)).salt != 0) {
        segments[path] = ReadFile(path);
      }
    }
    return segments;
  }

  void Recover() {
    EXPECT_THAT(RecoverLeftovers(directory_, directory_).errors, IsEmpty());
    EXPECT_THAT(FilesIn(directory_, ".ring"), IsEmpty());
  }

  const std::string directory_ = MakeTestDirectory();
  TakenNames taken_{directory_};
  int logged_ = 0;
};

TEST_P(TakenSegmentTest, KeepsEachRecordOnceAfterDeath) {
  LiveAndDie();
  Recover();
  taken_.Delete();
  EXPECT_EQ(TextsIn(directory_), NumberedTexts(logged_));
}

TEST_P(TakenSegmentTest, KeepsEachRecordOnceAfterReboot) {
  const std::string ring = LiveAndDie();
  WriteFile(ring, WithOtherBootId(ReadFile(ring)));
  Recover();
  taken_.Delete();
  EXPECT_EQ(TextsIn(directory_), NumberedTexts(logged_));
}

// Without a cursor, all segments stay unchanged, and records of an open frame
// may be duplicated.
TEST_P(TakenSegmentTest, KeepsEachRecordWithoutCursor) {
  LoseCursors(LiveAndDie());
  Recover();
  taken_.Delete();
  std::vector<std::string> texts;
  for (const std::string& path : FilesIn(directory_, ".zst")) {
    for (const absl::string_view line :
         absl::StrSplit(Decompress(path), '\n', absl::SkipEmpty())) {
      texts.emplace_back(TextOfLine(line));
    }
  }
  EXPECT_THAT(NumberedTexts(logged_), IsSubsetOf(texts));
}

// An earlier recovery was killed before it deleted the ring. That recovery
// could not use the numbers that are free now. In the second case, it also did
// not find the segments of the process.
TEST_P(TakenSegmentTest, RecoveryDeletesSegmentOfKilledRecovery) {
  const std::string path = LiveAndDie();
  const std::string ring = ReadFile(path);
  const std::map<std::string, std::string> segments = OwnSegments();
  for (const bool finds_segments : {true, false}) {
    if (!finds_segments) {
      for (const auto& [segment, bytes] : segments) unlink(segment.c_str());
    }
    Recover();
    taken_.Delete();
    for (const auto& [segment, bytes] : segments) WriteFile(segment, bytes);
    WriteFile(path, ring);
    ASSERT_EQ(chmod(path.c_str(), 0600), 0);
    Recover();
    EXPECT_EQ(TextsIn(directory_), NumberedTexts(logged_));
    // Restores the files from before the first recovery.
    for (const std::string& file : FilesIn(directory_, ".log.zst")) {
      unlink(file.c_str());
    }
    WriteFile(path, ring);
    ASSERT_EQ(chmod(path.c_str(), 0600), 0);
    taken_.TakeAgain();
  }
}

INSTANTIATE_TEST_SUITE_P(EachStep, TakenSegmentTest, EachScriptStep());

// Without a cursor, recovery writes a new segment under a temporary name.
TEST(TakenNameTest, RecoverySucceedsIfTemporaryNameIsTaken) {
  const std::string directory = MakeTestDirectory();
  LogAndDie(directory, 3);
  const std::string ring = FilesIn(directory, ".ring").at(0);
  LoseCursors(ring);
  const absl::StatusOr<RingHeader> header = ReadRingHeader(ring, 0);
  ASSERT_TRUE(header.ok()) << header.status();
  TakenNames taken(directory);
  taken.Take(
      SegmentFileName(*header, 1, header->created_unix_ns, LineFormat::kText) +
      ".tmp");
  EXPECT_THAT(RecoverLeftovers(directory, directory).errors, IsEmpty());
  taken.Delete();
  EXPECT_EQ(TextsIn(directory), NumberedTexts(3));
  EXPECT_EQ(FilesIn(directory, "").size(), 1u) << "only the segment stays";
}

TEST(TakenNameTest, RecoverySkipsTakenNumbers) {
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
