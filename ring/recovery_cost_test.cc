// The memory that recovery takes, and the bytes that it reads, do not depend on
// the content of the ring.

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>

#include "absl/log/check.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "ringlog/ring/file_source.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/ring/ring_header_scan.h"
#include "ringlog/ring/ring_recovery.h"
#include "ringlog/testing/fixtures/costly_rings.h"
#include "ringlog/testing/harness/cost.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

constexpr uint64_t kMiB = 1 << 20;

std::unique_ptr<FileSource> Open(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  absl::StatusOr<std::unique_ptr<FileSource>> source =
      FileSource::Make(fd, path, kMaxRingFileBytes);
  CHECK_OK(source);
  return *std::move(source);
}

struct Counts {
  uint64_t records = 0;
  uint64_t crash_reports = 0;
  uint64_t gaps = 0;
  uint64_t missing_positions = 0;
};

Counts CountItems(const std::string& path) {
  const std::unique_ptr<FileSource> source = Open(path);
  const absl::StatusOr<RingHeader> header =
      ParseRingHeader(*source->Read(0, kRingHeaderAreaBytes));
  CHECK_OK(header);
  const auto ring =
      RingRecovery::Start(source.get(), *header, RecoverFrom::kCursor);
  CHECK_OK(ring);
  Counts counts;
  while (true) {
    const absl::StatusOr<RingRecovery::Item> item = (*ring)->Next();
    CHECK_OK(item);
    if (*item == RingRecovery::Item::kEnd) return counts;
    if (*item == RingRecovery::Item::kGap) {
      const Gap& gap = (*ring)->gap();
      ++counts.gaps;
      counts.missing_positions += gap.end_position - gap.first_position;
    } else {
      const RecoveredRecord& record = (*ring)->record();
      ++(record.is_crash_report ? counts.crash_reports : counts.records);
    }
  }
}

// Recovers the ring in a child, which must find the expected items.
Cost CostOfRecovery(const std::string& path, const Counts& expected) {
  return CostOf([&] {
    const Counts counts = CountItems(path);
    CHECK_EQ(counts.records, expected.records);
    CHECK_EQ(counts.crash_reports, expected.crash_reports);
    CHECK_EQ(counts.gaps, expected.gaps);
    CHECK_EQ(counts.missing_positions, expected.missing_positions);
  });
}

TEST(RecoveryCostTest, FullRingTakesOneWindow) {
  const std::string path = MakeFullRing(MakeTestDirectory(), 64);
  Counts expected;
  expected.records = 64 * 2048 / 8 * 7;
  const Cost cost = CostOfRecovery(path, expected);
  EXPECT_LE(cost.memory_bytes, 2 * kMiB);
  EXPECT_LE(cost.read_bytes, 2 * 64 * kMiB + 2 * kMiB);
}

TEST(RecoveryCostTest, ReadsOnlyBlocksOfSparseRing) {
  const std::string path = MakeSparseRing(MakeTestDirectory(), kMaxSlotCount);
  Counts expected;
  expected.records = 1;
  // Before the record, after it, and beyond the end of the file.
  expected.gaps = 3;
  expected.missing_positions = kMaxSlotCount - 2;
  const Cost cost = CostOfRecovery(path, expected);
  EXPECT_LE(cost.memory_bytes, 2 * kMiB);
  EXPECT_LE(cost.read_bytes, kMiB);
}

TEST(RecoveryCostTest, LongRecordTakesLimitedMemory) {
  const std::string path = MakeRingOfLongRecord(MakeTestDirectory());
  Counts expected;
  expected.records = 1;
  EXPECT_LE(CostOfRecovery(path, expected).memory_bytes, 6 * kMiB);
}

TEST(RecoveryCostTest, GapsTakeNoMemory) {
  const std::string path = MakeRingOfGaps(MakeTestDirectory());
  Counts expected;
  expected.records = 1;
  expected.gaps = expected.missing_positions = (1 << 17) - 1;
  EXPECT_LE(CostOfRecovery(path, expected).memory_bytes, 2 * kMiB);
}

TEST(RecoveryCostTest, CrashReportsTakeLimitedMemory) {
  const std::string path = MakeRingOfCrashReports(MakeTestDirectory());
  Counts expected;
  expected.records = 1;
  expected.crash_reports = kMaxCrashBytes / sizeof(CrashCell) - 1;
  EXPECT_LE(CostOfRecovery(path, expected).memory_bytes, 6 * kMiB);
}

TEST(RecoveryCostTest, RebuildingAHeaderTakesOneTableOfSeeds) {
  const std::string path = MakeRingOfSeeds(MakeTestDirectory());
  const Cost cost = CostOf([&path] {
    // Two seeds are equal by chance, or none are.
    RebuildRingHeader(Open(path).get()).status().IgnoreError();
  });
  EXPECT_LE(cost.memory_bytes, 4 * kMiB);
}

}  // namespace
}  // namespace ringlog
