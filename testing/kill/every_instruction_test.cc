// Kills a process after every instruction.
//
// Invariants checked, for each instruction as the last one of the process:
//   - Each acknowledged record is in the log once, complete and in order.
//   - The record that was being appended is complete, reported as a gap, or
//     absent.
//   - A crash report is the last record, and has all bytes whose write
//     returned.
//
// Oracle: the notes of the process in a shared page (kill_oracle.h), and
// libzstd.
//
// A kill leaves exactly the content of the shared mapping and of the files at
// that moment. Therefore the test runs each scenario once, one instruction at a
// time, keeps an image of the directory after each change, and recovers each
// image. A few real kills show that a kill leaves the content of an image.

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

// A moment at which the process may die.
struct Moment {
  uint64_t steps;
  KillOracle::Progress progress;
  DirectoryImage image;
};

using EveryInstructionTest = KillScenarioTest;

INSTANTIATE_TEST_SUITE_P(Append, EveryInstructionTest,
                         ::testing::ValuesIn(AppendScenarios()),
                         ::testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Background, EveryInstructionTest,
                         ::testing::ValuesIn(BackgroundScenarios()),
                         ::testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(CrashReport, EveryInstructionTest,
                         ::testing::ValuesIn(ReportScenarios()),
                         ::testing::PrintToStringParamName());
INSTANTIATE_TEST_SUITE_P(Retention, EveryInstructionTest,
                         ::testing::Values(DeletionScenario()),
                         ::testing::PrintToStringParamName());

// Runs one instruction, or runs to the next system call if the scenario permits
// that.
bool Step(SteppedProcess* process) {
  if (EveryInstructionTest::GetParam().by_system_calls && !IsLongMode()) {
    return process->NextSystemCall().has_value();
  }
  return process->Step();
}

TEST_P(EveryInstructionTest, KillLosesNoRecord) {
  std::unique_ptr<SteppedProcess> process = Start();
  if (process == nullptr) GTEST_SKIP() << "ptrace(2) is not permitted";
  DirectoryWatch watch(directory_);
  std::vector<Moment> moments = {{0, oracle_->Snapshot(), watch.image()}};
  uint64_t steps = 0;
  while (Step(process.get())) {
    ++steps;
    const KillOracle::Progress progress = oracle_->Snapshot();
    // A change of the notes changes the expected log.
    if (watch.Changed(GetParam().by_system_calls ||
                      process->made_system_call()) ||
        !(progress == moments.back().progress)) {
      moments.push_back({steps, progress, watch.image()});
    }
  }
  ASSERT_EQ(process->error(), "");
  process->Kill();
  std::cout << steps << " steps, " << moments.size() << " different moments"
            << std::endl;
  ASSERT_GT(moments.size(), 2u);
  for (const Moment& moment : moments) {
    moment.image.Restore(directory_);
    ExpectAllRecovered(moment.progress);
    if (HasFailure()) FAIL() << "after step " << moment.steps;
  }

  // Kills long scenarios less often: 100,000 instructions take seconds.
  const uint64_t kills = Repetitions(steps < 20000 ? 20 : 2, 50);
  for (uint64_t kill = 0; kill < kills; ++kill) {
    const uint64_t last = steps * kill / kills;
    NewRun();
    process = Start();
    ASSERT_NE(process, nullptr);
    for (uint64_t i = 0; i < last && Step(process.get()); ++i) {
    }
    process->Kill();
    ExpectAllRecovered(oracle_->Snapshot());
    if (HasFailure()) FAIL() << "killed after step " << last;
  }
}

}  // namespace
}  // namespace ringlog
