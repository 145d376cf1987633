#include "ringlog/testing/kill/kill_oracle.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/harness/read_segments.h"

namespace ringlog {
namespace {

using ::testing::IsEmpty;

void ExpectTexts(const std::vector<std::string>& texts,
                 const KillOracle& oracle, const KillOracle::Said& said,
                 uint32_t overwritten) {
  std::vector<std::string> expected;
  for (uint32_t n = 0; n < said.acknowledged; ++n) {
    const uint32_t length = oracle.lengths[n];
    if (length != 0) expected.push_back(KillText(n, length));
  }
  // The one that was on its way is there or not.
  if (said.begun > said.acknowledged) {
    const std::string next =
        KillText(said.acknowledged, oracle.lengths[said.acknowledged]);
    if (!texts.empty() && texts.back() == next) expected.push_back(next);
  }
  const size_t gone = expected.size() - std::min(expected.size(), texts.size());
  ASSERT_LE(gone, overwritten);
  expected.erase(expected.begin(),
                 expected.begin() + static_cast<std::ptrdiff_t>(gone));
  ASSERT_EQ(texts, expected);
}

// With what is in lines of its own behind its first.
std::vector<std::string> ReportsIn(const std::vector<std::string>& lines) {
  std::vector<std::string> reports;
  for (const std::string& line : lines) {
    if (absl::StrContains(line, " signal:")) {
      reports.push_back(line.substr(line.find("] ") + 2));
    } else if (!reports.empty()) {
      EXPECT_TRUE(absl::StartsWith(line, "\t")) << "behind it: " << line;
      absl::StrAppend(&reports.back(), "\n", line.substr(1));
    }
  }
  return reports;
}

void ExpectReport(const std::vector<std::string>& reports,
                  const KillOracle::Said& said) {
  ASSERT_LE(reports.size(), said.report_begun == 0 ? 0u : 1u);
  ASSERT_GE(reports.size(), said.report_appended == 0 ? 0u : 1u);
  if (reports.empty()) return;
  // As a record it does not end in a line break.
  const std::string text = reports[0] + "\n";
  const std::string whole = absl::StrJoin(KillReport(), "");
  EXPECT_TRUE(absl::StartsWith(whole, reports[0])) << reports[0];
  EXPECT_LE(reports[0].size(), said.report_begun);
  EXPECT_GE(text.size(), said.report_appended);
}

}  // namespace

bool operator==(const KillOracle::Said& a, const KillOracle::Said& b) {
  const auto all = [](const KillOracle::Said& s) {
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

void ExpectAllIsThere(const std::string& directory, const KillOracle& oracle,
                      const KillOracle::Said& said, uint32_t overwritten) {
  for (int time = 0; time < 2; ++time) {  // the second has nothing to do
    const RecoveredLeftovers sweep = RecoverLeftovers(directory, directory);
    ASSERT_THAT(sweep.errors, IsEmpty());
  }
  ASSERT_THAT(FilesIn(directory, ".ring"), IsEmpty());
  std::vector<std::string> texts;
  uint32_t unfinished = 0;
  uint32_t dropped = 0;
  const std::vector<std::string> lines = AllLines(directory);
  for (const std::string& line : lines) {
    const std::string text = line.substr(line.find("] ") + 2);
    if (absl::StartsWith(text, "record ")) texts.push_back(text);
    // The second line of a gap's record. None is a loss.
    EXPECT_FALSE(absl::StrContains(line, "\"cause\":\"missing\"") ||
                 absl::StrContains(line, "\"cause\":\"checksum_mismatch\""))
        << line;
    unfinished += absl::StrContains(line, "\"cause\":\"unfinished\"");
    dropped += absl::StrContains(line, "\"cause\":\"ring_full\"");
  }
  ExpectTexts(texts, oracle, said, overwritten);
  ExpectReport(ReportsIn(lines), said);
  // At most one was on its way, and it is never there and missing.
  EXPECT_LE(unfinished, said.begun - said.acknowledged) << AllText(directory);
  if (overwritten != 0) return;
  EXPECT_GE(dropped, said.dropped);
  EXPECT_LE(dropped, said.dropped + (said.begun - said.acknowledged));
}

}  // namespace ringlog
