#include "ringlog/testing/kill_oracle.h"

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/leftover.h"
#include "ringlog/compress/segment_writer.h"
#include "ringlog/testing/read_segments.h"

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

}  // namespace

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
    const LeftoverSweep sweep =
        RecoverLeftovers(directory, directory, SegmentWriterOptions());
    ASSERT_THAT(sweep.errors, IsEmpty());
  }
  ASSERT_THAT(FilesIn(directory, ".ring"), IsEmpty());
  std::vector<std::string> texts;
  uint32_t unfinished = 0;
  uint32_t dropped = 0;
  for (const std::string& line : AllLines(directory)) {
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
  // At most one was on its way, and it is never there and missing.
  EXPECT_LE(unfinished, said.begun - said.acknowledged) << AllText(directory);
  if (overwritten != 0) return;
  EXPECT_GE(dropped, said.dropped);
  EXPECT_LE(dropped, said.dropped + (said.begun - said.acknowledged));
}

}  // namespace ringlog
