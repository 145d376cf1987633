// Recovery takes at most 16 MiB of memory of the application, and reads only
// blocks that are on the disk, whatever the content of the ring.

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cstdint>
#include <string>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringlog/compress/recovery/leftover_recovery.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/costly_rings.h"
#include "ringlog/testing/harness/cost.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kMaxMemory = 16 * kMiB;

class LeftoverCostTest : public ::testing::Test {
 protected:
  // Recovers the ring in a child, which must find `records` and `gaps`.
  Cost Recover(const std::string& path, uint64_t records, uint64_t gaps) {
    return CostOf([&] {
      const absl::StatusOr<LeftoverReport> report =
          RecoverLeftover(path, directory_, SegmentWriterOptions());
      CHECK_OK(report);
      CHECK_EQ(report->records, records);
      CHECK_EQ(report->gap_count, gaps);
    });
  }
  // Returns the number of lines in the segments.
  uint64_t Lines() const { return AllLines(directory_).size(); }

  const std::string directory_ = MakeTestDirectory();
};

TEST_F(LeftoverCostTest, FullRingTakesMemoryOfOneBatch) {
  constexpr uint64_t kRecords = 64 * 2048 / 8 * 7;
  const Cost cost = Recover(MakeFullRing(directory_, 64), kRecords, 0);
  EXPECT_LE(cost.memory_bytes, kMaxMemory);
  EXPECT_EQ(Lines(), kRecords);
}

TEST_F(LeftoverCostTest, ReadsOnlyBlocksOfSparseRing) {
  const Cost cost = Recover(MakeSparseRing(directory_, kMaxSlotCount), 1, 3);
  EXPECT_LE(cost.memory_bytes, kMaxMemory);
  EXPECT_LE(cost.read_bytes, kMiB);
}

TEST_F(LeftoverCostTest, LongRecordTakesLimitedMemory) {
  const Cost cost = Recover(MakeRingOfLongRecord(directory_), 1, 0);
  EXPECT_LE(cost.memory_bytes, kMaxMemory);
  EXPECT_EQ(Lines(), 1u);
}

TEST_F(LeftoverCostTest, ManyGapsTakeMemoryOfOneBatch) {
  constexpr uint64_t kGaps = (1 << 17) - 1;
  const Cost cost = Recover(MakeRingOfGaps(directory_), 1, kGaps);
  EXPECT_LE(cost.memory_bytes, kMaxMemory);
}

TEST_F(LeftoverCostTest, CrashReportsTakeLimitedMemory) {
  const Cost cost = Recover(MakeRingOfCrashReports(directory_),
                            kMaxCrashBytes / sizeof(CrashCell), 0);
  EXPECT_LE(cost.memory_bytes, kMaxMemory);
}

TEST_F(LeftoverCostTest, ReadsOnlyBlocksOfUnfinishedRing) {
  const std::string ring = MakeSparseRing(directory_, kMaxSlotCount);
  const std::string path = absl::StrCat(ring, ".tmp");
  ASSERT_EQ(rename(ring.c_str(), path.c_str()), 0);
  // The ring stays, because it has a record.
  const auto recover = [&] {
    return RecoverLeftover(path, directory_, SegmentWriterOptions()).status();
  };
  const Cost cost = CostOf([&] { CHECK(absl::IsInvalidArgument(recover())); });
  EXPECT_LE(cost.memory_bytes, 2 * kMiB);
  EXPECT_LE(cost.read_bytes, kMiB);
  ASSERT_EQ(truncate(path.c_str(), kMaxRingFileBytes / 4), 0);
  EXPECT_LE(CostOf([&] { CHECK_OK(recover()); }).read_bytes, kMiB);
  EXPECT_TRUE(FileIsGone(path));
}

}  // namespace
}  // namespace ringlog
