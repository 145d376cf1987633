// KillScenario
//
// The steps of a program with a ring and a flusher that a test interrupts at
// each instruction or system call: every_instruction_test kills the program
// there, syscall_fault_test lets the call fail.

#ifndef RINGLOG_TESTING_KILL_KILL_SCENARIO_H_
#define RINGLOG_TESTING_KILL_KILL_SCENARIO_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "ringlog/testing/harness/shared_page.h"
#include "ringlog/testing/harness/stepped_process.h"
#include "ringlog/testing/kill/kill_oracle.h"

namespace ringlog {

// One scenario. `name` is the name of the test parameter.
struct KillScenario {
  std::string name;
  SteppedProcess::Thread thread = SteppedProcess::Thread::kMain;
  // Runs in the stepped process.
  std::function<void(const std::string& directory, KillOracle*)> body;
  // Runs in another process that ends before `body` starts; may be empty.
  std::function<void(const std::string& directory, KillOracle*)> before;
  // Whether only system calls change the files. If so, a stop at each system
  // call is enough, and much faster.
  bool by_system_calls = false;
  // Whether the scenario recovers into another directory.
  bool into_output = false;
  // Number of the oldest records that may be missing, because the ring evicts
  // them or retention deletes them.
  uint32_t overwritten = 0;
};

std::ostream& operator<<(std::ostream& out, const KillScenario& scenario);

// Returns a scenario for each way in which an append can proceed.
std::vector<KillScenario> AppendScenarios();
// Returns scenarios of the background work: an iteration of the flusher, a
// rotation, a recovery, a recovery into another directory.
std::vector<KillScenario> BackgroundScenarios();

// Returns scenarios with a crash report: one is written during an append, and
// one is recovered.
std::vector<KillScenario> ReportScenarios();
// Returns the scenario of a flusher that begins a segment, closes it, and
// deletes the oldest one.
KillScenario DeletionScenario();

// The fixture of tests over scenarios.
class KillScenarioTest : public ::testing::TestWithParam<KillScenario> {
 protected:
  void SetUp() override { NewRun(); }

  // Creates a new directory and runs `before` of the scenario in it.
  void NewRun();
  // Returns the process at its first step. Returns nullptr if ptrace(2) is not
  // permitted; after any other error the test has failed.
  std::unique_ptr<SteppedProcess> Start();
  // Compares the log in directory_ with `progress`; see kill_oracle.h.
  void ExpectAllRecovered(const KillOracle::Progress& progress);

  std::string directory_;
  KillOracle* oracle_ = nullptr;

 private:
  std::optional<SharedPage<KillOracle>> page_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_KILL_KILL_SCENARIO_H_
