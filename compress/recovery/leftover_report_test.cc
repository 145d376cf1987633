// Invariants checked: the crash report of a dead process is in the segments
// once, after all records, even if a recovery is killed and repeated.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/recovery/leftover_recovery.h"
#include "ringlog/compress/recovery/leftover_segments.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/crash_area.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/other_boot.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kReport[] = "*** SIGSEGV received at time=1 ***";
constexpr int kThread = 12345;
constexpr int64_t kTime = 1795489440000000000;

// Returns `ring` with a flipped bit in its latest cursor.
std::string WithDamagedCursor(std::string ring) {
  const size_t selector = kLiveOffset + offsetof(RingLive, cursor_selector);
  const size_t cursor = kLiveOffset + offsetof(RingLive, cursor) +
                        (ring[selector] & 1) * sizeof(PersistCursor);
  ring[cursor] = static_cast<char>(ring[cursor] ^ 1);
  return ring;
}

// Returns the number of occurrences of `part` in segments, which may be
// truncated.
int CountInSegments(const std::string& directory, absl::string_view part) {
  int count = 0;
  for (const std::string& path : FilesIn(directory, ".zst")) {
    const std::string text = Decompress(path);
    for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++at) {
      ++count;
    }
  }
  return count;
}

class ReportTest : public ::testing::TestWithParam<size_t> {
 protected:
  // Makes as many steps of TwoSegmentScript() as the parameter says, writes a
  // crash report and dies. Returns the number of logged records.
  int LiveAndReport() {
    ScriptedProcess process(directory_, ScriptedProcess::OpenFrames());
    process.Run(TwoSegmentScript(), GetParam());
    ring_path_ = process.ring()->path();
    const CrashArea& area = process.ring()->crash_area();
    area.Append(kThread, kTime, kReport);
    area.Append(kThread, kTime, "\n");
    area.End(kThread, kTime);
    return process.logged();
  }

  static std::vector<std::string> MessagesAndReport(int count) {
    std::vector<std::string> messages = NumberedTexts(count);
    messages.push_back(kReport);
    return messages;
  }

  // Recovers `ring`, and recovers it again for each length of the segment that
  // a killed recovery may leave. Expects the same result each time.
  void ExpectSameResultAfterKill(const std::string& ring) {
    const auto parsed = RecoverRing(ring, RecoverFrom::kCursor);
    ASSERT_TRUE(parsed.ok());
    const absl::StatusOr<SegmentCursor> cursor =
        DecodeCursorState(parsed->cursor);
    ASSERT_TRUE(cursor.ok());
    WriteFile(ring_path_, ring);
    const absl::StatusOr<LeftoverReport> report = RecoverOnlyRing(directory_);
    ASSERT_TRUE(report.ok()) << report.status();
    ASSERT_FALSE(report->segment_path.empty());
    const std::string intact = ReadFile(report->segment_path);
    const std::vector<std::string> texts = TextsIn(directory_);
    for (size_t length = cursor->segment_bytes; length <= intact.size();
         length += length + 20 < intact.size() ? 131 : 3) {
      WriteFile(ring_path_, ring);
      WriteFile(report->segment_path, intact.substr(0, length));
      const absl::StatusOr<LeftoverReport> again = RecoverOnlyRing(directory_);
      ASSERT_TRUE(again.ok()) << again.status() << " at " << length;
      ASSERT_EQ(TextsIn(directory_), texts) << " at " << length;
    }
  }

  const std::string directory_ = MakeTestDirectory();
  std::string ring_path_;
};

INSTANTIATE_TEST_SUITE_P(AfterEachStep, ReportTest, EachScriptStep());

TEST_P(ReportTest, AppearsOnceAfterAllRecords) {
  const int logged = LiveAndReport();
  ASSERT_TRUE(RecoverOnlyRing(directory_).ok());
  EXPECT_EQ(TextsIn(directory_), MessagesAndReport(logged));
  EXPECT_THAT(AllLines(directory_).back(),
              HasSubstr(absl::StrCat(" ", kThread, " signal:11] ", kReport)));
  EXPECT_TRUE(absl::StartsWith(AllLines(directory_).back(), "F2026"));
  EXPECT_THAT(FilesIn(directory_, ".ring"), IsEmpty());
}

TEST_P(ReportTest, AppearsOnceAfterKilledRecovery) {
  const int logged = LiveAndReport();
  ExpectSameResultAfterKill(ReadFile(ring_path_));
  EXPECT_EQ(TextsIn(directory_), MessagesAndReport(logged));
}

// After a reboot, recovery trusts the segments and not the cursor.
TEST_P(ReportTest, AppearsOnceAfterRebootAndKilledRecovery) {
  const int logged = LiveAndReport();
  ExpectSameResultAfterKill(WithOtherBootId(ReadFile(ring_path_)));
  EXPECT_EQ(TextsIn(directory_), MessagesAndReport(logged));
}

TEST_P(ReportTest, AppearsOnceWithDamagedCursor) {
  const int logged = LiveAndReport();
  const std::string intact = ReadFile(ring_path_);
  const auto parsed = RecoverRing(intact, RecoverFrom::kCursor);
  ASSERT_TRUE(parsed.ok());
  if (parsed->cursor.sequence == 0) return;
  const std::string ring = WithDamagedCursor(intact);
  WriteFile(ring_path_, ring);
  ASSERT_TRUE(RecoverOnlyRing(directory_).ok());
  // Repeats the recovery, as if it had been killed before it deleted the ring.
  WriteFile(ring_path_, ring);
  ASSERT_TRUE(RecoverOnlyRing(directory_).ok());
  EXPECT_EQ(CountInSegments(directory_, kReport), 1);
  EXPECT_GT(logged, 0);
}

TEST(DropsAndReportTest, DropGapPrecedesReport) {
  const std::string directory = MakeTestDirectory();
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.LogNumbered(3);
    process.ring()->CountDrop(DropCause::kRingFull, Severity::kWarning);
    process.ring()->crash_area().Append(kThread, kTime, kReport);
  }
  ASSERT_TRUE(RecoverOnlyRing(directory).ok());
  const std::vector<std::string> lines = AllLines(directory);
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_THAT(lines[3], HasSubstr("1 WARNING record dropped"));
  EXPECT_THAT(lines[5], HasSubstr(kReport));
}

TEST(DropsAndReportTest, BothAppearOnceWithDamagedCursor) {
  const std::string directory = MakeTestDirectory();
  std::string path;
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.Run(TwoSegmentScript());
    process.ring()->CountDrop(DropCause::kRingFull, Severity::kWarning);
    process.ring()->crash_area().Append(kThread, kTime, kReport);
    path = process.ring()->path();
  }
  const std::string ring = WithDamagedCursor(ReadFile(path));
  // The second attempt starts with the segments of the first one.
  for (int attempt = 0; attempt < 2; ++attempt) {
    WriteFile(path, ring);
    ASSERT_TRUE(RecoverOnlyRing(directory).ok());
    EXPECT_EQ(CountInSegments(directory, "1 WARNING record dropped"), 1);
    EXPECT_EQ(CountInSegments(directory, kReport), 1);
  }
}

}  // namespace
}  // namespace ringlog
