// Tests with absl::FormatTime and absl::ParseTime as oracles.

#include "ringlog/compress/line/utc_time.h"

#include <cstdint>
#include <limits>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

constexpr absl::string_view kPattern = "YYYY-MM-DD hh:mm:ss";
constexpr char kAbslPattern[] = "%E4Y-%m-%d %H:%M:%S";

std::string Put(int64_t second) {
  std::string text(kPattern.size(), '\0');
  PutUtc(second, kPattern, text.data());
  return text;
}

std::string Oracle(int64_t second) {
  return absl::FormatTime(kAbslPattern, absl::FromUnixSeconds(second),
                          absl::UTCTimeZone());
}

int64_t SecondOf(absl::string_view text) {
  absl::Time time;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M:%S", text, absl::UTCTimeZone(),
                              &time, &error))
      << error;
  return absl::ToUnixSeconds(time);
}

TEST(PutUtcTest, MatchesAbseilOnEveryDay) {
  const int64_t first = std::numeric_limits<int64_t>::min() / kNanosPerSecond;
  const int64_t last = std::numeric_limits<int64_t>::max() / kNanosPerSecond;
  // The step is a second less than a day, so that the time of day changes too.
  for (int64_t second = first; second <= last; second += 86399) {
    ASSERT_EQ(Put(second), Oracle(second));
  }
  EXPECT_EQ(Put(first), Oracle(first));
  EXPECT_EQ(Put(last), Oracle(last));
}

TEST(PutUtcTest, MatchesAbseilInEveryFourDigitYear) {
  for (int year = 1; year <= 9999; ++year) {
    for (const absl::string_view day : {"01-01 00:00:00", "02-28 23:59:59",
                                        "03-01 00:00:00", "12-31 23:59:59"}) {
      const int64_t second = SecondOf(absl::StrCat(year, "-", day));
      ASSERT_EQ(Put(second), Oracle(second));
    }
  }
}

TEST(PutUtcTest, FollowsPattern) {
  const int64_t second = SecondOf("2026-11-23 02:03:04");
  std::string text(17, '\0');
  PutUtc(second, "ss|mm|hh|YYMM:DDx", text.data());
  EXPECT_EQ(text, "04|03|02|2611:23x");
}

// Invariants checked: a random time in nanoseconds, split, formatted and
// parsed, stays the same.
TEST(ParseUtcTest, RandomNanosecondsRoundTrip) {
  std::mt19937_64 random(TestSeed());
  for (int i = 0; i < 200000; ++i) {
    const auto time_ns = static_cast<int64_t>(random()) / 1001 * 1000 +
                         static_cast<int64_t>(random() % 1000);
    const SplitNanos split = SplitUnixNanos(time_ns);
    ASSERT_LT(split.nanos, kNanosPerSecond);
    ASSERT_EQ(split.second * kNanosPerSecond + split.nanos, time_ns);
    const std::string text = absl::StrCat(
        Put(split.second), ".", absl::Dec(split.nanos, absl::kZeroPad9));
    int64_t parsed = 0;
    ASSERT_TRUE(ParseUtc(text, "YYYY-MM-DD hh:mm:ss.fffffffff", &parsed))
        << text;
    ASSERT_EQ(parsed, time_ns) << text;
  }
}

TEST(ParseUtcTest, TimeBeforeEpochIsNegative) {
  EXPECT_EQ(SplitUnixNanos(-1).second, -1);
  EXPECT_EQ(SplitUnixNanos(-1).nanos, 999999999u);
  EXPECT_EQ(Put(-1), "1969-12-31 23:59:59");
  int64_t time_ns = 0;
  ASSERT_TRUE(
      ParseUtc("1969-12-31 23:59:59.9", "YYYY-MM-DD hh:mm:ss.f", &time_ns));
  EXPECT_EQ(time_ns, -100000000);
}

TEST(ParseUtcTest, RejectsInvalidDates) {
  int64_t time_ns = 0;
  for (const absl::string_view text :
       {"", "2026-11-24 03:03:0", "2026-11-24 03:03:044", "2026-02-29 00:00:00",
        "1900-02-29 00:00:00", "2026-04-31 00:00:00", "2026-00-10 00:00:00",
        "2026-13-10 00:00:00", "2026-11-00 00:00:00", "2026-11-32 00:00:00",
        "2026-11-24 24:00:00", "2026-11-24 03:60:00", "2026-11-24 03:03:60",
        "2026-11-24T03:03:04", "2026/11-24 03:03:04", "202a-11-24 03:03:04",
        "2026-11-24 03:03:-4", "+026-11-24 03:03:04"}) {
    EXPECT_FALSE(ParseUtc(text, kPattern, &time_ns)) << text;
  }
  EXPECT_TRUE(ParseUtc("2024-02-29 00:00:00", kPattern, &time_ns));
}

TEST(ParseUtcTest, RejectsDatesOutside64BitNanoseconds) {
  int64_t time_ns = 0;
  for (const absl::string_view text :
       {"0000-01-01 00:00:00", "1677-09-21 00:12:43", "2262-04-11 23:47:17",
        "9999-12-31 23:59:59"}) {
    EXPECT_FALSE(ParseUtc(text, kPattern, &time_ns)) << text;
  }
  EXPECT_TRUE(ParseUtc("1677-09-21 00:12:46", kPattern, &time_ns));
  EXPECT_TRUE(ParseUtc("2262-04-11 23:47:14", kPattern, &time_ns));
}

}  // namespace
}  // namespace ringlog
