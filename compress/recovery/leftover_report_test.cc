// A process that wrote a crash report before it died: recovery brings it into a
// segment behind all else, once, however often it is killed and done again.

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
#include "ringlog/testing/fixtures/leftover_life.h"
#include "ringlog/testing/fixtures/other_boot.h"
#include "ringlog/testing/harness/read_segments.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kReport[] = "*** SIGSEGV received at time=1 ***";
constexpr int kThread = 12345;
constexpr int64_t kTime = 1795489440000000000;

// What a process left whose latest cursor got another value in one bit.
std::string WithDamagedCursor(std::string ring) {
  const size_t selector = kLiveOffset + offsetof(RingLive, cursor_selector);
  const size_t cursor = kLiveOffset + offsetof(RingLive, cursor) +
                        (ring[selector] & 1) * sizeof(PersistCursor);
  ring[cursor] = static_cast<char>(ring[cursor] ^ 1);
  return ring;
}

// In segments that may be cut.
int CountInSegments(const std::string& directory, absl::string_view what) {
  int count = 0;
  for (const std::string& path : FilesIn(directory, ".zst")) {
    const std::string text = Decompress(path);
    for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at) {
      ++count;
    }
  }
  return count;
}

class ReportTest : public ::testing::TestWithParam<size_t> {
 protected:
  // Lives up to the step, and dies of a signal; returns how many records were
  // logged.
  int LiveAndReport() {
    Victim victim(directory_);
    for (size_t i = 0; i <= GetParam(); ++i) Life()[i](&victim);
    ring_path_ = victim.ring()->path();
    const CrashArea& area = victim.ring()->crash_area();
    area.Append(kThread, kTime, kReport);
    area.Append(kThread, kTime, "\n");
    area.End(kThread, kTime);
    return victim.logged();
  }

  static std::vector<std::string> MessagesAndReport(int count) {
    std::vector<std::string> messages = Messages(count);
    messages.push_back(kReport);
    return messages;
  }

  // Recovers again and again, of the segment a bit more each time, as a kill
  // leaves it: always what the first one gave.
  void ExpectTheSameAfterAKill(const std::string& ring) {
    const auto parsed = RecoverRing(ring, RecoverFrom::kCursor);
    ASSERT_TRUE(parsed.ok());
    const absl::StatusOr<SegmentCursor> cursor =
        DecodeCursorState(parsed->cursor);
    ASSERT_TRUE(cursor.ok());
    WriteFile(ring_path_, ring);
    const absl::StatusOr<LeftoverReport> report = Recover(directory_);
    ASSERT_TRUE(report.ok()) << report.status();
    ASSERT_FALSE(report->segment_path.empty());
    const std::string whole = ReadFile(report->segment_path);
    const std::vector<std::string> texts = Texts(directory_);
    for (size_t length = cursor->segment_bytes; length <= whole.size();
         length += length + 20 < whole.size() ? 131 : 3) {
      WriteFile(ring_path_, ring);
      WriteFile(report->segment_path, whole.substr(0, length));
      const absl::StatusOr<LeftoverReport> again = Recover(directory_);
      ASSERT_TRUE(again.ok()) << again.status() << " at " << length;
      ASSERT_EQ(Texts(directory_), texts) << " at " << length;
    }
  }

  const std::string directory_ = MakeTestDirectory();
  std::string ring_path_;
};

INSTANTIATE_TEST_SUITE_P(EndsAfterEveryStep, ReportTest,
                         ::testing::Range(size_t{0}, Life().size()));

TEST_P(ReportTest, ComesOnceBehindAllRecords) {
  const int logged = LiveAndReport();
  ASSERT_TRUE(Recover(directory_).ok());
  EXPECT_EQ(Texts(directory_), MessagesAndReport(logged));
  EXPECT_THAT(AllLines(directory_).back(),
              HasSubstr(absl::StrCat(" ", kThread, " signal:11] ", kReport)));
  EXPECT_TRUE(absl::StartsWith(AllLines(directory_).back(), "F2026"));
  EXPECT_THAT(FilesIn(directory_, ".ring"), IsEmpty());
}

// What the cursor says is in the segment is there, whoever was killed.
TEST_P(ReportTest, ComesOnceThoughTheRecoveryIsKilled) {
  const int logged = LiveAndReport();
  ExpectTheSameAfterAKill(ReadFile(ring_path_));
  EXPECT_EQ(Texts(directory_), MessagesAndReport(logged));
}

// The segments say what counts then.
TEST_P(ReportTest, ComesOnceAfterAnotherBootThoughTheRecoveryIsKilled) {
  const int logged = LiveAndReport();
  ExpectTheSameAfterAKill(OfAnotherBoot(ReadFile(ring_path_)));
  EXPECT_EQ(Texts(directory_), MessagesAndReport(logged));
}

TEST_P(ReportTest, ComesOnceThoughTheCursorIsDamaged) {
  const int logged = LiveAndReport();
  const std::string whole = ReadFile(ring_path_);
  const auto parsed = RecoverRing(whole, RecoverFrom::kCursor);
  ASSERT_TRUE(parsed.ok());
  if (parsed->cursor.sequence == 0) return;
  const std::string ring = WithDamagedCursor(whole);
  WriteFile(ring_path_, ring);
  ASSERT_TRUE(Recover(directory_).ok());
  // And again: it had not got to deleting the ring.
  WriteFile(ring_path_, ring);
  ASSERT_TRUE(Recover(directory_).ok());
  EXPECT_EQ(CountInSegments(directory_, kReport), 1);
  EXPECT_GT(logged, 0);
}

TEST(DropsAndReportTest, DropsAreToldBeforeTheReport) {
  const std::string directory = MakeTestDirectory();
  {
    Victim victim(directory);
    victim.Log(3);
    victim.ring()->CountDrop(DropCause::kRingFull, Severity::kWarning);
    victim.ring()->crash_area().Append(kThread, kTime, kReport);
  }
  ASSERT_TRUE(Recover(directory).ok());
  const std::vector<std::string> lines = AllLines(directory);
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_THAT(lines[3], HasSubstr("1 WARNING record dropped"));
  EXPECT_THAT(lines[5], HasSubstr(kReport));
}

TEST(DropsAndReportTest, BothAreToldOnceThoughTheCursorIsDamaged) {
  const std::string directory = MakeTestDirectory();
  std::string path;
  {
    Victim victim(directory);
    for (const auto& step : Life()) step(&victim);
    victim.ring()->CountDrop(DropCause::kRingFull, Severity::kWarning);
    victim.ring()->crash_area().Append(kThread, kTime, kReport);
    path = victim.ring()->path();
  }
  const std::string ring = WithDamagedCursor(ReadFile(path));
  // The second attempt finds what the first one did.
  for (int attempt = 0; attempt < 2; ++attempt) {
    WriteFile(path, ring);
    ASSERT_TRUE(Recover(directory).ok());
    EXPECT_EQ(CountInSegments(directory, "1 WARNING record dropped"), 1);
    EXPECT_EQ(CountInSegments(directory, kReport), 1);
  }
}

}  // namespace
}  // namespace ringlog
