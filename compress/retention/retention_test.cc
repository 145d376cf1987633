#include "ringlog/compress/retention/retention.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint64_t kPlenty = uint64_t{1} << 40;
const absl::Time kNow = absl::FromUnixSeconds(1795489384);

LogFile Segment(uint32_t ring, uint64_t number, absl::Duration age,
                uint64_t bytes = 100) {
  LogFile file;
  file.kind = FileKind::kSegment;
  file.ring_id_prefix = ring;
  file.segment_number = number;
  file.begun = kNow - age;
  file.modified = kNow - age;
  file.bytes = bytes;
  return file;
}

LogFile RingFile(uint32_t ring, absl::Duration age, uint64_t bytes = 1000) {
  LogFile file = Segment(ring, 0, age, bytes);
  file.kind = FileKind::kRing;
  return file;
}

std::vector<size_t> Excess(const std::vector<LogFile>& files,
                           const RetentionOptions& options,
                           std::optional<uint64_t> free_bytes = kPlenty) {
  return ExcessFiles(files, options, kNow, free_bytes);
}

// Oldest last, so that the order of the list is not that of the answer.
std::vector<LogFile> FiveSegments() {
  std::vector<LogFile> files;
  for (uint64_t number = 5; number > 0; --number) {
    files.push_back(
        Segment(1, number, absl::Hours(10 - static_cast<int>(number))));
  }
  return files;
}

TEST(RetentionTest, WithoutLimitsEverythingStays) {
  const RetentionOptions options;
  EXPECT_FALSE(options.has_limit());
  EXPECT_THAT(Excess(FiveSegments(), options, 0), IsEmpty());
}

TEST(RetentionTest, WithoutAnAnswerOfTheDiskNothingGoesBecauseOfIt) {
  RetentionOptions options;
  options.min_free_bytes = kPlenty;
  EXPECT_THAT(Excess(FiveSegments(), options, std::nullopt), IsEmpty());
  options.max_files = 3;
  EXPECT_THAT(Excess(FiveSegments(), options, std::nullopt), ElementsAre(4, 3));
}

TEST(RetentionTest, ADiskThatSaysItIsEndlessDoesNotBecomeAFullOne) {
  const uint64_t most = std::numeric_limits<uint64_t>::max();
  RetentionOptions options;
  options.max_files = 3;
  options.min_free_bytes = most / 2;
  EXPECT_THAT(Excess(FiveSegments(), options, most - 1), ElementsAre(4, 3));
  EXPECT_EQ(FreeBytesAfter(most - 1, 1), most);
  EXPECT_EQ(FreeBytesAfter(most - 1, 2), most);
  EXPECT_EQ(FreeBytesAfter(std::nullopt, 2), std::nullopt);
}

TEST(RetentionTest, TheOldestAreTooMany) {
  RetentionOptions options;
  options.max_files = 3;
  EXPECT_THAT(Excess(FiveSegments(), options), ElementsAre(4, 3));
  options.max_files = 5;
  EXPECT_THAT(Excess(FiveSegments(), options), IsEmpty());
}

TEST(RetentionTest, TheOldestGoUntilTheRestIsSmallEnough) {
  RetentionOptions options;
  options.max_bytes = 300;
  EXPECT_THAT(Excess(FiveSegments(), options), ElementsAre(4, 3));
  options.max_bytes = 299;
  EXPECT_THAT(Excess(FiveSegments(), options), ElementsAre(4, 3, 2));
}

TEST(RetentionTest, WhatIsTooOldGoesWhateverElseThereIs) {
  RetentionOptions options;
  options.max_age = absl::Hours(7);
  EXPECT_THAT(Excess(FiveSegments(), options), ElementsAre(4, 3));
}

TEST(RetentionTest, ASegmentIsAsOldAsItsLastRecord) {
  std::vector<LogFile> files = FiveSegments();
  files[4].modified = kNow;
  RetentionOptions options;
  options.max_age = absl::Hours(7);
  EXPECT_THAT(Excess(files, options), ElementsAre(3));
}

TEST(RetentionTest, TheOldestGoUntilThereIsRoomOnTheDisk) {
  RetentionOptions options;
  options.min_free_bytes = 1000;
  EXPECT_THAT(Excess(FiveSegments(), options, 750), ElementsAre(4, 3, 2));
  EXPECT_THAT(Excess(FiveSegments(), options, 1000), IsEmpty());
  // More than there is, on a disk that others have filled.
  EXPECT_THAT(Excess(FiveSegments(), options, 0), ElementsAre(4, 3, 2, 1, 0));
}

TEST(RetentionTest, WhatGoesForItsAgeCountsForTheOtherLimits) {
  RetentionOptions options;
  options.max_age = absl::Hours(7);
  options.max_files = 3;
  options.max_bytes = 300;
  EXPECT_THAT(Excess(FiveSegments(), options), ElementsAre(4, 3));
}

TEST(RetentionTest, RingsCountInBytesAndNotInFiles) {
  std::vector<LogFile> files = FiveSegments();
  files.push_back(RingFile(7, absl::Hours(20)));
  RetentionOptions options;
  options.max_files = 5;
  EXPECT_THAT(Excess(files, options), IsEmpty());
  options.max_bytes = 1300;
  EXPECT_THAT(Excess(files, options), ElementsAre(4, 3));
}

TEST(RetentionTest, TheLastSegmentOfARingThatIsThereStays) {
  std::vector<LogFile> files = {
      Segment(1, 1, absl::Hours(5)), Segment(1, 2, absl::Hours(4)),
      Segment(2, 1, absl::Hours(3)), RingFile(1, absl::Hours(6))};
  RetentionOptions options;
  options.max_age = absl::Seconds(1);
  EXPECT_THAT(Excess(files, options), ElementsAre(0, 2));
}

TEST(RetentionTest, WhatIsInUseStaysAndOthersGoForIt) {
  std::vector<LogFile> files = FiveSegments();
  files[4].stays = true;
  RetentionOptions options;
  options.max_files = 3;
  EXPECT_THAT(Excess(files, options), ElementsAre(3, 2));
}

TEST(RetentionTest, TheSegmentsOfARingGoByTheirNumbers) {
  // The clock was set back by an hour after the second.
  std::vector<LogFile> files = {
      Segment(1, 1, absl::Hours(5)), Segment(1, 2, absl::Hours(4)),
      Segment(1, 3, absl::Hours(5)), Segment(1, 4, absl::Hours(1))};
  RetentionOptions options;
  options.max_files = 2;
  EXPECT_THAT(Excess(files, options), ElementsAre(0, 1));
}

TEST(RetentionTest, WithinASecondTheFileSystemSaysWhichIsOlder) {
  // Three lives of a second; the names of the files say no more.
  std::vector<LogFile> files = {Segment(7, 1, absl::Hours(5)),
                                Segment(3, 1, absl::Hours(5)),
                                Segment(5, 1, absl::Hours(5))};
  files[1].modified += absl::Milliseconds(8);
  files[2].modified += absl::Milliseconds(4);
  RetentionOptions options;
  options.max_files = 1;
  EXPECT_THAT(Excess(files, options), ElementsAre(0, 2));
}

TEST(RetentionTest, FilesOfTheFutureDoNotPushOutWhatIsLoggedNow) {
  std::vector<LogFile> files = {
      Segment(1, 1, absl::Hours(5)), Segment(2, 1, -absl::Hours(24 * 365)),
      Segment(2, 2, -absl::Hours(24 * 364)), Segment(3, 1, -absl::Hours(1))};
  RetentionOptions options;
  options.max_files = 1;
  EXPECT_THAT(Excess(files, options), ElementsAre(1, 2, 0));
}

TEST(RetentionTest, LeftoversGoLastAndOnlyBeyondThoseSpared) {
  std::vector<LogFile> files = {Segment(1, 1, absl::Hours(1))};
  for (uint32_t i = 0; i < kSparedLeftovers + 3; ++i) {
    files.push_back(RingFile(100 + i, absl::Hours(500 - i)));
  }
  RetentionOptions options;
  options.max_bytes = 1;
  EXPECT_THAT(Excess(files, options), ElementsAre(0, 1, 2, 3));
  // Those of processes that live are none.
  files[2].stays = true;
  EXPECT_THAT(Excess(files, options), ElementsAre(0, 1, 3));
  options.max_bytes = 0;
  options.max_files = 1;
  options.max_age = absl::Seconds(1);
  EXPECT_THAT(Excess(files, options), ElementsAre(0)) << "no reason for rings";
}

TEST(RetentionTest, WhatIsElsewhereMakesNoRoom) {
  std::vector<LogFile> files;
  for (uint32_t i = 0; i < kSparedLeftovers + 3; ++i) {
    files.push_back(RingFile(i, absl::Hours(500 - i)));
  }
  files[0].is_elsewhere = true;
  RetentionOptions options;
  options.min_free_bytes = 1000;
  EXPECT_THAT(Excess(files, options, 0), ElementsAre(0, 1));
}

// Invariants checked, of random files and limits: nothing that stays goes, nor
// the last segment of a ring; what is left is within the limits, or nothing is
// left that might go; of what goes not one could have stayed.
TEST(RetentionTest, WhatGoesIsEnoughAndNotTooMuch) {
  std::mt19937_64 random(TestSeed());
  const auto pick = [&random](uint64_t n) { return random() % n; };
  for (int run = 0; run < 3000; ++run) {
    std::vector<LogFile> files;
    std::map<uint32_t, uint64_t> last;
    std::set<uint32_t> rings;
    const uint64_t ring_count = pick(4) + 1;
    for (uint64_t i = pick(30); i > 0; --i) {
      const auto ring = static_cast<uint32_t>(pick(ring_count));
      files.push_back(Segment(ring, ++last[ring],
                              absl::Minutes(static_cast<int64_t>(pick(1000))),
                              pick(300)));
      files.back().stays = pick(8) == 0;
    }
    for (uint32_t ring = 0; ring < ring_count; ++ring) {
      if (pick(2) == 0) continue;
      files.push_back(RingFile(ring, absl::Minutes(5)));
      rings.insert(ring);
    }
    std::shuffle(files.begin(), files.end(), random);
    RetentionOptions options;
    if (pick(2) == 0) options.max_files = pick(20) + 1;
    if (pick(2) == 0) options.max_bytes = pick(6000) + 1;
    if (pick(2) == 0) {
      options.max_age = absl::Minutes(static_cast<int64_t>(pick(1200)) + 1);
    }
    const uint64_t free_bytes = pick(1000);
    if (pick(2) == 0) options.min_free_bytes = pick(3000);

    const std::vector<size_t> excess = Excess(files, options, free_bytes);
    const std::set<size_t> gone(excess.begin(), excess.end());
    ASSERT_EQ(gone.size(), excess.size());
    const auto may_go = [&](size_t i) {
      const LogFile& file = files[i];
      return file.kind == FileKind::kSegment && !file.stays &&
             (rings.count(file.ring_id_prefix) == 0 ||
              file.segment_number != last[file.ring_id_prefix]);
    };
    const auto is_too_old = [&](size_t i) {
      return options.max_age != absl::ZeroDuration() &&
             files[i].modified < kNow - options.max_age;
    };
    // Whether the limits hold if `back` had stayed; none: files.size().
    const auto holds = [&](size_t back) {
      uint64_t count = 0;
      uint64_t bytes = 0;
      uint64_t free = free_bytes;
      for (size_t i = 0; i < files.size(); ++i) {
        const bool is_gone = gone.count(i) != 0 && i != back;
        count += !is_gone && files[i].kind == FileKind::kSegment;
        bytes += is_gone ? 0 : files[i].bytes;
        free += is_gone ? files[i].bytes : 0;
      }
      return (options.max_files == 0 || count <= options.max_files) &&
             (options.max_bytes == 0 || bytes <= options.max_bytes) &&
             free >= options.min_free_bytes;
    };
    bool more_might_go = false;
    for (size_t i = 0; i < files.size(); ++i) {
      if (gone.count(i) != 0) {
        ASSERT_TRUE(may_go(i));
      } else {
        ASSERT_FALSE(may_go(i) && is_too_old(i));
        more_might_go |= may_go(i);
      }
    }
    ASSERT_TRUE(holds(files.size()) || !more_might_go);
    // Of those that are not too old, the last that goes is needed.
    for (auto it = excess.rbegin(); it != excess.rend(); ++it) {
      if (is_too_old(*it)) continue;
      ASSERT_TRUE(!holds(*it) || files[*it].bytes == 0);
      break;
    }
  }
}

}  // namespace
}  // namespace ringlog
