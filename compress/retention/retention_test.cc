// Invariants checked: each limit deletes the oldest files, and only as many as
// necessary.

#include "ringlog/compress/retention/retention.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
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
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// More free space than any test asks for.
constexpr uint64_t kPlenty = uint64_t{1} << 40;
const absl::Time kNow = absl::FromUnixSeconds(1795489384);

// Returns a ring id. All of them have the same prefix.
RingId Id(uint32_t ring) {
  RingId id = {1, 2, 3, 4};
  std::memcpy(id.data() + 12, &ring, sizeof ring);
  return id;
}

LogFile Segment(uint32_t ring, uint64_t number, absl::Duration age,
                uint64_t bytes = 100) {
  LogFile file;
  file.kind = FileKind::kSegment;
  file.ring_id = Id(ring);
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

// Returns the segments of one ring. The last element is deleted first.
std::vector<LogFile> FiveSegments() {
  std::vector<LogFile> files;
  for (uint64_t number = 5; number > 0; --number) {
    files.push_back(
        Segment(1, number, absl::Hours(10 - static_cast<int>(number))));
  }
  return files;
}

TEST(RetentionTest, NoLimitDeletesNothing) {
  const RetentionOptions options;
  EXPECT_FALSE(options.has_limit());
  EXPECT_THAT(Excess(FiveSegments(), options, 0), IsEmpty());
}

TEST(RetentionTest, UnknownFreeSpaceDeletesNothing) {
  RetentionOptions options;
  options.min_free_bytes = kPlenty;
  EXPECT_THAT(Excess(FiveSegments(), options, std::nullopt), IsEmpty());
  options.max_files = 3;
  EXPECT_THAT(Excess(FiveSegments(), options, std::nullopt), ElementsAre(4, 3));
}

TEST(RetentionTest, FreeSpaceDoesNotOverflow) {
  const uint64_t max = std::numeric_limits<uint64_t>::max();
  RetentionOptions options;
  options.max_files = 3;
  options.min_free_bytes = max / 2;
  EXPECT_THAT(Excess(FiveSegments(), options, max - 1), ElementsAre(4, 3));
  EXPECT_EQ(FreeBytesAfter(max - 1, 1), max);
  EXPECT_EQ(FreeBytesAfter(max - 1, 2), max);
  EXPECT_EQ(FreeBytesAfter(std::nullopt, 2), std::nullopt);
}

TEST(RetentionTest, MaxFilesDeletesOldest) {
  RetentionOptions options;
  options.max_files = 3;
  EXPECT_THAT(Excess(FiveSegments(), options), ElementsAre(4, 3));
  options.max_files = 5;
  EXPECT_THAT(Excess(FiveSegments(), options), IsEmpty());
}

TEST(RetentionTest, MaxBytesDeletesOldest) {
  RetentionOptions options;
  options.max_bytes = 300;
  EXPECT_THAT(Excess(FiveSegments(), options), ElementsAre(4, 3));
  options.max_bytes = 299;
  EXPECT_THAT(Excess(FiveSegments(), options), ElementsAre(4, 3, 2));
}

TEST(RetentionTest, MaxAgeDeletesOldest) {
  RetentionOptions options;
  options.max_age = absl::Hours(7);
  EXPECT_THAT(Excess(FiveSegments(), options), ElementsAre(4, 3));
}

TEST(RetentionTest, AgeCountsFromLastWrite) {
  std::vector<LogFile> files = FiveSegments();
  files[4].modified = kNow;
  RetentionOptions options;
  options.max_age = absl::Hours(7);
  EXPECT_THAT(Excess(files, options), ElementsAre(3));
}

TEST(RetentionTest, MinFreeBytesDeletesOldest) {
  RetentionOptions options;
  options.min_free_bytes = 1000;
  EXPECT_THAT(Excess(FiveSegments(), options, 750), ElementsAre(4, 3, 2));
  EXPECT_THAT(Excess(FiveSegments(), options, 1000), IsEmpty());
  // The deletion of all segments does not suffice.
  EXPECT_THAT(Excess(FiveSegments(), options, 0), ElementsAre(4, 3, 2, 1, 0));
}

TEST(RetentionTest, DeletionCountsForAllLimits) {
  RetentionOptions options;
  options.max_age = absl::Hours(7);
  options.max_files = 3;
  options.max_bytes = 300;
  EXPECT_THAT(Excess(FiveSegments(), options), ElementsAre(4, 3));
}

TEST(RetentionTest, RingsCountInBytesNotInFiles) {
  std::vector<LogFile> files = FiveSegments();
  files.push_back(RingFile(7, absl::Hours(20)));
  RetentionOptions options;
  options.max_files = 5;
  EXPECT_THAT(Excess(files, options), IsEmpty());
  options.max_bytes = 1300;
  EXPECT_THAT(Excess(files, options), ElementsAre(4, 3));
}

TEST(RetentionTest, LastSegmentOfExistingRingStays) {
  std::vector<LogFile> files = {
      Segment(1, 1, absl::Hours(5)), Segment(1, 2, absl::Hours(4)),
      Segment(2, 1, absl::Hours(3)), RingFile(1, absl::Hours(6))};
  RetentionOptions options;
  options.max_age = absl::Seconds(1);
  EXPECT_THAT(Excess(files, options), ElementsAre(0, 2));
}

TEST(RetentionTest, LaterSegmentIsDeletedInsteadOfOneInUse) {
  std::vector<LogFile> files = FiveSegments();
  files[4].stays = true;
  RetentionOptions options;
  options.max_files = 3;
  EXPECT_THAT(Excess(files, options), ElementsAre(3, 2));
}

TEST(RetentionTest, SegmentsOfOneRingAreInOrderOfNumbers) {
  // The clock was set back by an hour after the second segment.
  std::vector<LogFile> files = {
      Segment(1, 1, absl::Hours(5)), Segment(1, 2, absl::Hours(4)),
      Segment(1, 3, absl::Hours(5)), Segment(1, 4, absl::Hours(1))};
  RetentionOptions options;
  options.max_files = 2;
  EXPECT_THAT(Excess(files, options), ElementsAre(0, 1));
}

TEST(RetentionTest, WriteTimeOrdersSegmentsOfOneSecond) {
  // Three processes that started in the same second; file names have seconds.
  std::vector<LogFile> files = {Segment(7, 1, absl::Hours(5)),
                                Segment(3, 1, absl::Hours(5)),
                                Segment(5, 1, absl::Hours(5))};
  files[1].modified += absl::Milliseconds(8);
  files[2].modified += absl::Milliseconds(4);
  RetentionOptions options;
  options.max_files = 1;
  EXPECT_THAT(Excess(files, options), ElementsAre(0, 2));
}

TEST(RetentionTest, FilesFromTheFutureAreDeletedFirst) {
  std::vector<LogFile> files = {
      Segment(1, 1, absl::Hours(5)), Segment(2, 1, -absl::Hours(24 * 365)),
      Segment(2, 2, -absl::Hours(24 * 364)), Segment(3, 1, -absl::Hours(1))};
  RetentionOptions options;
  options.max_files = 1;
  EXPECT_THAT(Excess(files, options), ElementsAre(1, 2, 0));
}

TEST(RetentionTest, OldestLeftoverRingsAreDeletedLast) {
  std::vector<LogFile> files = {Segment(1, 1, absl::Hours(1))};
  for (uint32_t i = 0; i < kSparedLeftovers + 3; ++i) {
    files.push_back(RingFile(100 + i, absl::Hours(500 - i)));
  }
  RetentionOptions options;
  options.max_bytes = 1;
  EXPECT_THAT(Excess(files, options), ElementsAre(0, 1, 2, 3));
  // The ring of a living process is not a leftover.
  files[2].stays = true;
  EXPECT_THAT(Excess(files, options), ElementsAre(0, 1, 3));
  options.max_bytes = 0;
  options.max_files = 1;
  options.max_age = absl::Seconds(1);
  EXPECT_THAT(Excess(files, options), ElementsAre(0))
      << "only max_bytes deletes rings";
}

TEST(RetentionTest, RingOnAnotherDiskFreesNoSpace) {
  std::vector<LogFile> files;
  for (uint32_t i = 0; i < kSparedLeftovers + 3; ++i) {
    files.push_back(RingFile(i, absl::Hours(500 - i)));
  }
  files[0].is_elsewhere = true;
  RetentionOptions options;
  options.min_free_bytes = 1000;
  EXPECT_THAT(Excess(files, options, 0), ElementsAre(1));
}

TEST(RetentionTest, RingsLeaveAQuarterToSegments) {
  std::vector<LogFile> files = FiveSegments();
  files.push_back(RingFile(7, absl::Hours(20), uint64_t{1} << 40));
  RetentionOptions options;
  options.max_bytes = 1600;
  EXPECT_THAT(Excess(files, options), ElementsAre(4));
  options.max_bytes = 2000;
  EXPECT_THAT(Excess(files, options), IsEmpty());
}

TEST(RetentionTest, RingsElsewhereDeleteNoSegment) {
  std::vector<LogFile> files = FiveSegments();
  for (uint32_t i = 0; i < kSparedLeftovers + 3; ++i) {
    files.push_back(RingFile(100 + i, absl::Hours(500 - i)));
    files.back().is_elsewhere = true;
  }
  RetentionOptions options;
  options.max_bytes = 1000 * (kSparedLeftovers + 1);
  // The rings alone exceed max_bytes.
  EXPECT_THAT(Excess(files, options), ElementsAre(5, 6));
  options.max_bytes = 500;
  EXPECT_THAT(Excess(files, options), ElementsAre(5, 6, 7));
}

// Invariants checked, with random files and limits:
//   - a file in use and the last segment of a ring stay
//   - the remaining files are within the limits, or no remaining file may be
//     deleted
//   - each deletion is necessary
TEST(RetentionTest, DeletesEnoughAndNotTooMuch) {
  std::mt19937_64 random(TestSeed());
  const auto pick = [&random](uint64_t n) { return random() % n; };
  for (int run = 0; run < 3000; ++run) {
    std::vector<LogFile> files;
    std::map<RingId, uint64_t> last;
    std::set<RingId> rings;
    const uint64_t ring_count = pick(4) + 1;
    for (uint64_t i = pick(30); i > 0; --i) {
      const auto ring = static_cast<uint32_t>(pick(ring_count));
      files.push_back(Segment(ring, ++last[Id(ring)],
                              absl::Minutes(static_cast<int64_t>(pick(1000))),
                              pick(300)));
      files.back().stays = pick(8) == 0;
    }
    for (uint32_t ring = 0; ring < ring_count; ++ring) {
      if (pick(2) == 0) continue;
      files.push_back(RingFile(ring, absl::Minutes(5)));
      rings.insert(Id(ring));
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
    const std::set<size_t> deleted(excess.begin(), excess.end());
    ASSERT_EQ(deleted.size(), excess.size());
    const auto may_be_deleted = [&](size_t i) {
      const LogFile& file = files[i];
      return file.kind == FileKind::kSegment && !file.stays &&
             (rings.count(file.ring_id) == 0 ||
              file.segment_number != last[file.ring_id]);
    };
    const auto is_too_old = [&](size_t i) {
      return options.max_age != absl::ZeroDuration() &&
             files[i].modified < kNow - options.max_age;
    };
    // Returns true if the limits hold after all deletions except that of file
    // `back`. If `back` is files.size(), all deletions count.
    const auto holds = [&](size_t back) {
      uint64_t count = 0;
      uint64_t bytes = 0;
      uint64_t ring_bytes = 0;
      uint64_t free = free_bytes;
      for (size_t i = 0; i < files.size(); ++i) {
        const bool is_deleted = deleted.count(i) != 0 && i != back;
        count += !is_deleted && files[i].kind == FileKind::kSegment;
        const bool is_ring = files[i].kind == FileKind::kRing;
        (is_ring ? ring_bytes : bytes) += is_deleted ? 0 : files[i].bytes;
        free += is_deleted ? files[i].bytes : 0;
      }
      bytes += std::min(ring_bytes, options.max_bytes - options.max_bytes / 4);
      return (options.max_files == 0 || count <= options.max_files) &&
             (options.max_bytes == 0 || bytes <= options.max_bytes) &&
             free >= options.min_free_bytes;
    };
    bool more_may_be_deleted = false;
    for (size_t i = 0; i < files.size(); ++i) {
      if (deleted.count(i) != 0) {
        ASSERT_TRUE(may_be_deleted(i));
      } else {
        ASSERT_FALSE(may_be_deleted(i) && is_too_old(i));
        more_may_be_deleted |= may_be_deleted(i);
      }
    }
    ASSERT_TRUE(holds(files.size()) || !more_may_be_deleted);
    // The last deletion, apart from those for age, is necessary.
    for (auto it = excess.rbegin(); it != excess.rend(); ++it) {
      if (is_too_old(*it)) continue;
      ASSERT_TRUE(!holds(*it) || files[*it].bytes == 0);
      break;
    }
  }
}

}  // namespace
}  // namespace ringlog
