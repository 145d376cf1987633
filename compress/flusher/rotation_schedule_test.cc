#include "ringlog/compress/flusher/rotation_schedule.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

constexpr absl::Duration kDay = absl::Hours(24);

absl::Time At(int day, int hour, int minute, int second = 0) {
  return absl::FromCivil(absl::CivilSecond(2026, 11, day, hour, minute, second),
                         absl::UTCTimeZone());
}

RotationSchedule Schedule(absl::Duration interval, absl::Duration offset,
                          absl::Time now) {
  RotationOptions options;
  options.interval = interval;
  options.offset = offset;
  return RotationSchedule(options, now);
}

TEST(RotationScheduleTest, NoIntervalHasNoBoundary) {
  RotationSchedule schedule =
      Schedule(absl::ZeroDuration(), absl::ZeroDuration(), At(1, 0, 0));
  EXPECT_FALSE(schedule.PassesBoundary(At(30, 0, 0)));
  EXPECT_EQ(schedule.next(), absl::InfiniteFuture());
}

TEST(RotationScheduleTest, DayEndsAtMidnightUtcPlusOffset) {
  EXPECT_EQ(Schedule(kDay, absl::ZeroDuration(), At(24, 15, 0)).next(),
            At(25, 0, 0));
  EXPECT_EQ(Schedule(kDay, -absl::Hours(1), At(24, 15, 0)).next(),
            At(24, 23, 0));
  EXPECT_EQ(Schedule(kDay, absl::Hours(5), At(24, 15, 0)).next(), At(25, 5, 0));
  EXPECT_EQ(
      Schedule(absl::Hours(6), absl::ZeroDuration(), At(24, 12, 0)).next(),
      At(24, 18, 0));
  // A machine without a clock may start before 1970.
  EXPECT_EQ(
      Schedule(kDay, absl::ZeroDuration(), absl::UnixEpoch() - absl::Seconds(1))
          .next(),
      absl::UnixEpoch());
}

TEST(RotationScheduleTest, EachBoundaryIsPassedOnce) {
  RotationSchedule schedule =
      Schedule(kDay, absl::ZeroDuration(), At(24, 15, 0));
  EXPECT_FALSE(schedule.PassesBoundary(At(24, 23, 59, 59)));
  EXPECT_TRUE(schedule.PassesBoundary(At(25, 0, 0)));
  EXPECT_FALSE(schedule.PassesBoundary(At(25, 0, 0)));
  EXPECT_FALSE(schedule.PassesBoundary(At(25, 23, 59, 59)));
  EXPECT_TRUE(schedule.PassesBoundary(At(26, 7, 0)));
}

TEST(RotationScheduleTest, JumpOverManyBoundariesIsOneRotation) {
  RotationSchedule schedule =
      Schedule(kDay, absl::ZeroDuration(), At(1, 15, 0));
  EXPECT_TRUE(schedule.PassesBoundary(At(28, 15, 0)));
  EXPECT_FALSE(schedule.PassesBoundary(At(28, 15, 0)));
  EXPECT_EQ(schedule.next(), At(29, 0, 0));
}

TEST(RotationScheduleTest, OscillatingClockPassesMidnightOnce) {
  RotationSchedule schedule =
      Schedule(kDay, absl::ZeroDuration(), At(24, 15, 0));
  EXPECT_TRUE(schedule.PassesBoundary(At(25, 0, 0, 1)));
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(schedule.PassesBoundary(At(24, 23, 59, 59)));
    EXPECT_FALSE(schedule.PassesBoundary(At(25, 0, 0, 1)));
  }
  EXPECT_FALSE(schedule.PassesBoundary(At(24, 0, 0, 2)));
  EXPECT_FALSE(schedule.PassesBoundary(At(25, 0, 0, 1)));
  EXPECT_TRUE(schedule.PassesBoundary(At(26, 0, 0)));
}

TEST(RotationScheduleTest, ClockSetBackByWeeksRestarts) {
  RotationSchedule schedule =
      Schedule(kDay, absl::ZeroDuration(), At(28, 15, 0));
  EXPECT_FALSE(schedule.PassesBoundary(At(3, 12, 0)));
  EXPECT_TRUE(schedule.PassesBoundary(At(4, 0, 0)));
}

// Returns the number of boundaries that `schedule` passes while a clock runs
// from `now` for `length`, without a jump.
int CountPassed(RotationSchedule* schedule, absl::Time now,
                absl::Duration length) {
  int passed = 0;
  for (absl::Time t = now + absl::Seconds(1); t <= now + length;
       t += absl::Seconds(1)) {
    passed += schedule->PassesBoundary(t) ? 1 : 0;
  }
  return passed;
}

// A clock that runs for two intervals from one second before a boundary passes
// that boundary and the next one. One second later it passes a third.
TEST(RotationScheduleTest, TwoIntervalsFromAnySecondHaveTwoBoundaries) {
  const absl::Duration interval = absl::Minutes(10);
  for (int second = 0; second < 600; ++second) {
    const absl::Time now = At(1, 0, 0, 0) + absl::Seconds(second);
    RotationSchedule schedule = Schedule(interval, absl::Minutes(3), now);
    ASSERT_EQ(CountPassed(&schedule, now, 2 * interval), 2) << second;
  }
  const absl::Time now = At(1, 0, 2, 59);
  RotationSchedule schedule = Schedule(interval, absl::Minutes(3), now);
  EXPECT_EQ(CountPassed(&schedule, now, 2 * interval + absl::Seconds(1)), 3);
}

// Invariants checked, whatever the clock does, as long as it never goes back by
// an interval or more from the latest time that it has shown:
//   - no boundary is passed twice
//   - if the clock then runs for two intervals without a jump, one or two
//     boundaries are passed
TEST(RotationScheduleTest, JumpingClockPassesNoBoundaryTwice) {
  std::mt19937_64 random(TestSeed());
  const absl::Duration interval = absl::Minutes(10);
  const absl::Duration offset = absl::Minutes(3);
  for (int run = 0; run < 200; ++run) {
    absl::Time now =
        At(1, 0, 0) + absl::Seconds(static_cast<int64_t>(random() % 100000));
    absl::Time latest = now;
    RotationSchedule schedule = Schedule(interval, offset, now);
    std::map<int64_t, int> passed;
    for (int step = 0; step < 500; ++step) {
      now += absl::Seconds(static_cast<int64_t>(random() % 1800) - 600);
      now = std::max(now, latest - interval + absl::Seconds(1));
      latest = std::max(latest, now);
      if (!schedule.PassesBoundary(now)) continue;
      const int64_t boundary = absl::ToUnixSeconds(now - offset) / 600;
      ASSERT_EQ(++passed[boundary], 1) << absl::FormatTime(now);
    }
    SCOPED_TRACE(absl::StrCat("from ", absl::FormatTime(now)));
    const int more = CountPassed(&schedule, now, 2 * interval);
    ASSERT_GE(more, 1);
    ASSERT_LE(more, 2);
  }
}

}  // namespace
}  // namespace ringlog
