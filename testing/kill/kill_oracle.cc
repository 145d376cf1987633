#include "ringlog/testing/kill/kill_oracle.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/recovery/leftover_recovery.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::IsEmpty;

void ExpectTexts(const std::vector<std::string>& texts,
                 const KillOracle& oracle, const KillOracle::Progress& progress,
                 uint32_t overwritten) {
  std::vector<std::string> expected;
  for (uint32_t n = 0; n < progress.acknowledged; ++n) {
    const uint32_t length = oracle.lengths[n];
    if (length != 0) expected.push_back(KillText(n, length));
  }
  // The log may have or lack the record that was being appended.
  if (progress.begun > progress.acknowledged) {
    const std::string next =
        KillText(progress.acknowledged, oracle.lengths[progress.acknowledged]);
    if (!texts.empty() && texts.back() == next) expected.push_back(next);
  }
  const size_t gone = expected.size() - std::min(expected.size(), texts.size());
  ASSERT_LE(gone, overwritten);
  expected.erase(expected.begin(),
                 expected.begin() + static_cast<std::ptrdiff_t>(gone));
  ASSERT_EQ(texts, expected);
}

// Returns the texts of all crash reports, with their continuation lines.
std::vector<std::string> ReportsIn(const std::vector<std::string>& lines) {
  std::vector<std::string> reports;
  for (const std::string& line : lines) {
    if (absl::StrContains(line, " signal:")) {
      reports.push_back(TextOfLine(line));
    } else if (!reports.empty()) {
      EXPECT_TRUE(absl::StartsWith(line, "\t"))
          << "after the crash report: " << line;
      absl::StrAppend(&reports.back(), "\n", line.substr(1));
    }
  }
  return reports;
}

void ExpectReport(const std::vector<std::string>& reports,
                  const KillOracle::Progress& progress) {
  ASSERT_LE(reports.size(), progress.report_begun == 0 ? 0u : 1u);
  ASSERT_GE(reports.size(), progress.report_appended == 0 ? 0u : 1u);
  if (reports.empty()) return;
  // A record does not end in a line break.
  const std::string text = reports[0] + "\n";
  const std::string report = absl::StrJoin(KillReport(), "");
  EXPECT_TRUE(absl::StartsWith(report, reports[0])) << reports[0];
  EXPECT_LE(reports[0].size(), progress.report_begun);
  EXPECT_GE(text.size(), progress.report_appended);
}

}  // namespace

bool operator==(const KillOracle::Progress& a, const KillOracle::Progress& b) {
  const auto all = [](const KillOracle::Progress& s) {
    return std::make_tuple(s.begun, s.acknowledged, s.dropped, s.is_recovered,
                           s.report_begun, s.report_appended);
  };
  return all(a) == all(b);
}

const std::vector<std::string>& KillReport() {
  static const auto* const report = new std::vector<std::string>{
      "*** SIGSEGV received at time=1795489439 on cpu 1 ***\n",
      "PC: @     0x55d3c1a3e2f4  (unknown)  a function that has a long name\n",
      "    @     0x7f1fd2c4a520  (unknown)  another function\n"};
  return *report;
}

std::string KillText(uint32_t number, size_t length) {
  std::string text = absl::StrCat("record ", number, " ");
  while (text.size() < length) {
    text.push_back(static_cast<char>('a' + text.size() % 26));
  }
  return text;
}

void ExpectAllRecovered(const std::string& directory, const KillOracle& oracle,
                        const KillOracle::Progress& progress,
                        uint32_t overwritten) {
  for (int run = 0; run < 2; ++run) {  // the second one must change nothing
    const RecoveredLeftovers recovery = RecoverLeftovers(directory, directory);
    ASSERT_THAT(recovery.errors, IsEmpty());
  }
  ASSERT_THAT(FilesIn(directory, ".ring"), IsEmpty());
  std::vector<std::string> texts;
  uint32_t unfinished = 0;
  uint32_t dropped = 0;
  const std::vector<std::string> lines = AllLines(directory);
  for (const std::string& line : lines) {
    const std::string text = TextOfLine(line);
    if (absl::StartsWith(text, "record ")) texts.push_back(text);
    // The second line of a gap has its cause. These two causes are losses.
    EXPECT_FALSE(absl::StrContains(line, "\"cause\":\"missing\"") ||
                 absl::StrContains(line, "\"cause\":\"checksum_mismatch\""))
        << line;
    unfinished += absl::StrContains(line, "\"cause\":\"unfinished\"");
    dropped += absl::StrContains(line, "\"cause\":\"ring_full\"");
  }
  ExpectTexts(texts, oracle, progress, overwritten);
  ExpectReport(ReportsIn(lines), progress);
  // At most one record was being appended. The log has this record or a gap.
  EXPECT_LE(unfinished, progress.begun - progress.acknowledged)
      << AllText(directory);
  if (overwritten != 0) return;
  EXPECT_GE(dropped, progress.dropped);
  EXPECT_LE(dropped,
            progress.dropped + (progress.begun - progress.acknowledged));
}

}  // namespace ringlog
