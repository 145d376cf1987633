// Whatever instruction is a process's last: what was acknowledged is in the
// log, once, whole and in order.
//
// A kill leaves what the shared mapping and the files hold at that moment, and
// nothing else. So each scenario is run once, one instruction at a time, and
// whenever one has changed something on disk, what is there is kept; each of
// these images is then recovered. That a real kill leaves no more is shown by
// some of them, in a run each.

#include <cstdint>
#include <iostream>
#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "ringlog/testing/harness/directory_image.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/stepped_process.h"
#include "ringlog/testing/kill/kill_oracle.h"
#include "ringlog/testing/kill/kill_scenario.h"

namespace ringlog {
namespace {

// A moment at which a process may have died.
struct Moment {
  uint64_t steps;
  KillOracle::Said said;
  DirectoryImage image;
};

using EveryInstructionTest = KillScenarioTest;

INSTANTIATE_TEST_SUITE_P(OfAppending, EveryInstructionTest,
                         ::testing::ValuesIn(AppendScenarios()),
                         ::testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(OfTheBackground, EveryInstructionTest,
                         ::testing::ValuesIn(BackgroundScenarios()),
                         ::testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(OfACrashReport, EveryInstructionTest,
                         ::testing::ValuesIn(ReportScenarios()),
                         ::testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(OfLimits, EveryInstructionTest,
                         ::testing::Values(DeletionScenario()),
                         ::testing::PrintToStringParamName());

// One step: an instruction; or as far as the next system call.
bool Step(SteppedProcess* process) {
  if (EveryInstructionTest::GetParam().by_system_calls && !IsLongMode()) {
    return process->NextSystemCall().has_value();
  }
  return process->Step();
}

TEST_P(EveryInstructionTest, MayBeTheLast) {
  std::unique_ptr<SteppedProcess> process = Start();
  if (process == nullptr) GTEST_SKIP() << "no ptrace(2) here";
  DirectoryWatch watch(directory_);
  std::vector<Moment> moments = {{0, oracle_->Now(), watch.image()}};
  uint64_t steps = 0;
  while (Step(process.get())) {
    ++steps;
    const KillOracle::Said said = oracle_->Now();
    // What the process says counts as much as what it does.
    if (watch.Changed(GetParam().by_system_calls ||
                      process->made_system_call()) ||
        !(said == moments.back().said)) {
      moments.push_back({steps, said, watch.image()});
    }
  }
  ASSERT_EQ(process->error(), "");
  process->Kill();
  std::cout << steps << " steps, " << moments.size() << " moments that differ"
            << std::endl;
  ASSERT_GT(moments.size(), 2u);
  for (const Moment& moment : moments) {
    moment.image.Restore(directory_);
    ExpectAllIsThere(moment.said);
    if (HasFailure()) FAIL() << "after step " << moment.steps;
  }

  // A hundred thousand instructions are seconds.
  const uint64_t kills = Repetitions(steps < 20000 ? 20 : 2, 50);
  for (uint64_t kill = 0; kill < kills; ++kill) {
    const uint64_t last = steps * kill / kills;
    NewRun();
    process = Start();
    ASSERT_NE(process, nullptr);
    for (uint64_t i = 0; i < last && Step(process.get()); ++i) {
    }
    process->Kill();
    ExpectAllIsThere(oracle_->Now());
    if (HasFailure()) FAIL() << "killed after step " << last;
  }
}

}  // namespace
}  // namespace ringlog
