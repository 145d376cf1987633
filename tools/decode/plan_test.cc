// Makes plans while live processes write. The processes write when the plan
// reads a ring, so the order of events is always the same.

#include "ringlog/tools/decode/plan.h"

#include <dirent.h>
#include <dlfcn.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/ordinary_user.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/tools/decode/decode_sink.h"
#include "ringlog/tools/decode/found_segment.h"
#include "ringlog/tools/decode/inputs.h"
#include "ringlog/tools/decode/report.h"
#include "ringlog/tools/decode/ring_image.h"
#include "ringlog/tools/decode/source.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Number of readings of a directory that do not find a file, by file name.
std::map<std::string, int>& Hidden() {
  static auto* const hidden = new std::map<std::string, int>;
  return *hidden;
}
void HideFromNextReadings(const std::string& path, int readings) {
  Hidden()[std::filesystem::path(path).filename()] = readings;
}

// Number of complete readings of a directory.
int& Readings() {
  static int readings = 0;
  return readings;
}

// Zeroes both cursors, as if their pages had not reached the disk.
void ZeroCursors(const std::string& ring_path) {
  std::string content = ReadFile(ring_path);
  content.replace(kLiveOffset + offsetof(RingLive, cursor),
                  2 * sizeof(PersistCursor),
                  std::string(2 * sizeof(PersistCursor), '\0'));
  WriteFile(ring_path, content);
}

// Replaces a file by one of another user.
void ReplaceByForeign(const std::string& path, const std::string& content) {
  const std::string foreign = absl::StrCat(path, ".foreign");
  WriteFile(foreign, content);
  EXPECT_EQ(chown(foreign.c_str(), 12345, 12345), 0);
  std::filesystem::rename(foreign, path);
}

class PlanTest : public ::testing::Test {
 protected:
  PlanTest() : directory_(MakeTestDirectory()), process_(directory_) {
    sink_.on_note = [this](const std::string& path, absl::string_view) {
      notes_.push_back(path);
    };
    sink_.on_damage = [this](const std::string&, absl::string_view message) {
      damage_.emplace_back(message);
    };
    sink_.on_unusable = [this](const std::string&, const absl::Status& status) {
      unusable_.emplace_back(status.message());
    };
  }

  void Make(const RingReader& read_ring = nullptr) {
    plans_ = MakePlan({directory_}, &report_, read_ring);
  }

  std::vector<std::string> Segments() const {
    std::vector<std::string> paths;
    for (const SourcePlan& plan : plans_) {
      for (const SegmentPart& part : plan.segments) paths.push_back(part.path);
    }
    return paths;
  }

  const std::string directory_;
  ScriptedProcess process_;
  std::vector<std::string> notes_;
  std::vector<std::string> damage_;
  std::vector<std::string> unusable_;
  DecodeSink sink_;
  Report report_{&sink_};
  std::vector<SourcePlan> plans_;
};

TEST_F(PlanTest, SegmentFilledDuringPlanningIsRead) {
  process_.Log("a");
  process_.Flush();
  const std::string path = process_.segment_path(1);
  const std::string content = ReadFile(path);
  WriteFile(path, "");
  int readings = 0;
  Make([&](const std::string& ring_path) {
    ++readings;
    WriteFile(path, content);
    return RingImage::Read(ring_path);
  });
  EXPECT_EQ(readings, 1);
  EXPECT_THAT(Segments(), ElementsAre(path));
  EXPECT_THAT(notes_, IsEmpty());
  EXPECT_EQ(report_.result.exit_status(), 0);
}

TEST_F(PlanTest, SegmentFilledBeforeDeletionOfRingIsRead) {
  process_.Log("a");
  process_.Flush();
  const std::string path = process_.segment_path(1);
  const std::string content = ReadFile(path);
  WriteFile(path, "");
  Make([&](const std::string& ring_path) {
    WriteFile(path, content);
    std::filesystem::remove(ring_path);
    return RingImage::Read(ring_path);
  });
  EXPECT_THAT(Segments(), ElementsAre(path));
  EXPECT_THAT(notes_, IsEmpty());
  EXPECT_EQ(report_.result.exit_status(), 0);
}

TEST_F(PlanTest, LostCursorHidesNoSegment) {
  process_.Log("a");
  process_.Flush();
  process_.EndSegment();
  process_.Log("b");
  process_.Flush();
  ZeroCursors(process_.ring_path());
  Make();
  EXPECT_THAT(Segments(),
              ElementsAre(process_.segment_path(1), process_.segment_path(2)));
  EXPECT_THAT(damage_, ElementsAre(HasSubstr("cursor is damaged")));
  EXPECT_EQ(report_.result.exit_status(), 1);
}

TEST_F(PlanTest, SegmentBegunAfterReadingIsNotDamage) {
  process_.Log("a");
  ZeroCursors(process_.ring_path());  // None has been published yet.
  int readings = 0;
  Make([&](const std::string& ring_path) {
    absl::StatusOr<RingImage> image = RingImage::Read(ring_path);
    if (++readings == 1) process_.Flush();
    return image;
  });
  EXPECT_EQ(readings, 2);
  EXPECT_THAT(Segments(), ElementsAre(process_.segment_path(1)));
  EXPECT_THAT(damage_, IsEmpty());
  EXPECT_EQ(report_.result.exit_status(), 0);
}

// A reading of a directory may miss a file that is created meanwhile, but find
// a file that is created later.
TEST_F(PlanTest, SegmentThatAReadingMissedIsRead) {
  for (const char* text : {"a", "b", "c"}) {
    process_.Log(text);
    process_.Flush();
    process_.EndSegment();
  }
  // Another process has recovered the ring.
  std::filesystem::remove(process_.ring_path());
  HideFromNextReadings(process_.segment_path(2), 2);
  Make();
  EXPECT_THAT(Segments(),
              ElementsAre(process_.segment_path(1), process_.segment_path(2),
                          process_.segment_path(3)));
  EXPECT_EQ(report_.result.exit_status(), 0);
}

TEST_F(PlanTest, RingThatAReadingMissedIsRead) {
  process_.Log("a");
  process_.Flush();
  process_.Log("b");
  HideFromNextReadings(process_.ring_path(), 2);
  Make();
  EXPECT_THAT(Segments(), ElementsAre(process_.segment_path(1)));
  ASSERT_EQ(plans_.size(), 1u);
  EXPECT_NE(plans_[0].ring, nullptr);
  EXPECT_EQ(report_.result.exit_status(), 0);
}

// The last reading finds segment 3, and misses segment 2. The plan leaves out
// segment 3, because a gap before it would be wrong.
TEST_F(PlanTest, SegmentAfterMissedSegmentIsLeftOut) {
  for (const char* text : {"a", "b", "c"}) {
    process_.Log(text);
    process_.Flush();
    process_.EndSegment();
  }
  std::filesystem::remove(process_.ring_path());
  HideFromNextReadings(process_.segment_path(2), 3);
  HideFromNextReadings(process_.segment_path(3), 2);
  Make();
  EXPECT_THAT(Segments(), ElementsAre(process_.segment_path(1)));
}

TEST_F(PlanTest, SegmentsBegunOneAfterAnotherAreNotDamage) {
  ScriptedProcess other(directory_);
  std::vector<std::string> read;
  for (ScriptedProcess* process : {&process_, &other}) {
    process->Log("a");
    ZeroCursors(process->ring_path());  // None has been published yet.
  }
  const auto flush = [&](const std::string& path) {
    (path == other.ring_path() ? other : process_).Flush();
  };
  Make([&](const std::string& path) {
    absl::StatusOr<RingImage> image = RingImage::Read(path);
    read.push_back(path);
    if (read.size() == 2) flush(read[0]);
    if (read.size() == 3) flush(read[1]);
    return image;
  });
  ASSERT_EQ(read.size(), 4u);
  EXPECT_EQ(read[2], read[0]);
  EXPECT_EQ(read[3], read[1]);
  EXPECT_THAT(damage_, IsEmpty());
  EXPECT_EQ(report_.result.exit_status(), 0);
}

// Another user can make any number of files.
TEST_F(PlanTest, NumberOfReadingsDoesNotGrowWithNumberOfRings) {
  constexpr int kRings = 100;
  rlimit files;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  if (files.rlim_max < 8 * kRings + 100) {
    GTEST_SKIP() << "RLIMIT_NOFILE is too low";
  }
  files.rlim_cur = 8 * kRings + 100;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  process_.Log("a");
  const std::string ring = ReadFile(process_.ring_path()).substr(0, 8192);
  for (int i = 0; i < kRings; ++i) {
    WriteFile(absl::StrCat(directory_, "/", i, ".ring"), ring);
  }
  Readings() = 0;
  Make();
  // Some directories in /dev/shm may be read, too.
  EXPECT_LT(Readings(), kRings / 2);
}

TEST_F(PlanTest, UnchangedSegmentIsNotInspectedAgain) {
  process_.NameSegment();
  process_.CreateSegment();
  InputFile input;
  input.path = process_.segment_path(1);
  input.name = ParseFileName(Basename(input.path));
  input.owner = geteuid();
  for (const char* content : {"", "not a zstd file", "neither this"}) {
    WriteFile(input.path, content);
    const FoundSegment segment = InspectSegment(input);
    EXPECT_FALSE(MayInspectAgain(segment)) << content;
    WriteFile(input.path, absl::StrCat(content, "x"));
    EXPECT_TRUE(MayInspectAgain(segment)) << content;
  }
}

// Another user replaces the ring after the plan has read the directory. The
// cursor of the forged ring states that no byte of the first segment counts.
TEST_F(PlanTest, RingReplacedByAnotherUserHidesNoSegment) {
  if (!MayActForOtherUsers()) {
    GTEST_SKIP() << "needs root, and the ids of other users";
  }
  process_.NameSegment();
  const std::string forged = ReadFile(process_.ring_path());
  process_.CreateSegment();
  process_.Log("a");
  process_.Flush();
  process_.EndSegment();
  Make([&](const std::string& ring_path) {
    ReplaceByForeign(ring_path, forged);
    return RingImage::Read(ring_path);
  });
  EXPECT_THAT(Segments(), ElementsAre(process_.segment_path(1)));
  EXPECT_THAT(unusable_, ElementsAre(HasSubstr("another user's file")));
}

TEST_F(PlanTest, SegmentReplacedByAnotherUserIsNotRead) {
  if (!MayActForOtherUsers()) {
    GTEST_SKIP() << "needs root, and the ids of other users";
  }
  process_.Log("a");
  process_.Flush();
  process_.EndSegment();
  const std::string path = process_.segment_path(1);
  Make();
  ASSERT_EQ(plans_.size(), 1u);
  ReplaceByForeign(path, ReadFile(path));
  Source source(&plans_[0], &report_);
  EXPECT_FALSE(source.Next());
  EXPECT_THAT(unusable_, ElementsAre(HasSubstr("another user's file")));
}

TEST_F(PlanTest, UnpublishedFirstSegmentDoesNotCount) {
  process_.Log("a");
  process_.TakeAndWrite();
  const std::string path = process_.segment_path(1);
  WriteFile(path, ReadFile(path).substr(0, 20));
  ZeroCursors(process_.ring_path());
  Make();
  EXPECT_THAT(Segments(), IsEmpty());
  ASSERT_EQ(plans_.size(), 1u);
  Source source(&plans_[0], &report_);
  EXPECT_TRUE(source.Next());
  EXPECT_FALSE(source.Next());
  EXPECT_EQ(report_.result.exit_status(), 0);
}

}  // namespace
}  // namespace ringlog

// Replaces readdir(3) of the C library.
extern "C" dirent* readdir(DIR* directory) {
  static const auto real =
      reinterpret_cast<dirent* (*)(DIR*)>(dlsym(RTLD_NEXT, "readdir"));
  while (dirent* const entry = real(directory)) {
    const auto hidden = ringlog::Hidden().find(entry->d_name);
    if (hidden == ringlog::Hidden().end() || hidden->second == 0) return entry;
    --hidden->second;
  }
  ++ringlog::Readings();
  return nullptr;
}
