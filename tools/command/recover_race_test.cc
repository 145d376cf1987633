// The tools beside a program that lives and has the same rings recovered:
// whatever file a record is in at any time, they find it, and once.
//
// flock(2) is taken over here, to be such a program at the right moment.

#include <sys/syscall.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ringlog/compress/recovery/leftover_recovery.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/tools/command/recover.h"
#include "ringlog/tools/decode/decode_sink.h"
#include "ringlog/tools/decode/plan.h"
#include "ringlog/tools/decode/report.h"
#include "ringlog/tools/decode/ring_image.h"

namespace ringlog {
namespace {

std::function<void()> g_at_flock;

// With five records each.
std::vector<std::string> LeaveTwoRings(const std::string& directory) {
  for (int i = 0; i < 2; ++i) {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.LogNumbered(5);
  }
  return FilesIn(directory, ".ring");
}

TEST(RecoverRaceTest, WhatSomebodyElseRecoversMeanwhileIsInTheOutput) {
  const std::string directory = MakeTestDirectory();
  const std::string output = MakeTestDirectory();
  const std::vector<std::string> rings = LeaveTwoRings(directory);
  ASSERT_EQ(rings.size(), 2u);
  // The tool asks for the lock of the first; the other one goes meanwhile.
  g_at_flock = [&] {
    EXPECT_TRUE(
        RecoverLeftover(rings[1], directory, SegmentWriterOptions()).ok());
  };
  const int exit_status = Recover({directory}, output);
  EXPECT_EQ(FilesIn(directory, ".ring").size(), 1u);
  EXPECT_EQ(exit_status, 0);
  EXPECT_EQ(AllLines(output).size(), 10u);
}

// For `cat` and `verify`: a ring that was read before it was recovered has all
// that is in the segment which recovery has made of it.
TEST(RecoverRaceTest, WhatIsRecoveredWhenItsRingHasBeenReadIsThereOnce) {
  const std::string directory = MakeTestDirectory();
  const std::vector<std::string> rings = LeaveTwoRings(directory);
  ASSERT_EQ(rings.size(), 2u);
  const DecodeSink sink;
  Report report(&sink);
  const std::vector<SourcePlan> plans =
      MakePlan({directory}, &report, [&](const std::string& path) {
        if (path == rings[1]) {
          EXPECT_TRUE(
              RecoverLeftover(rings[0], directory, SegmentWriterOptions())
                  .ok());
        }
        return RingImage::Read(path);
      });
  // Each ring's, and no segment.
  EXPECT_EQ(plans.size(), 2u);
  for (const SourcePlan& plan : plans) EXPECT_EQ(plan.segments.size(), 0u);
}

}  // namespace
}  // namespace ringlog

extern "C" int flock(int fd, int operation) noexcept {
  if (ringlog::g_at_flock != nullptr) std::exchange(ringlog::g_at_flock, {})();
  return static_cast<int>(syscall(SYS_flock, fd, operation));
}
