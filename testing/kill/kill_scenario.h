// Moments in the life of a program with a ring and a flusher, for tests that
// end it or let it fail there.

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

struct KillScenario {
  std::string name;
  SteppedProcess::Thread thread = SteppedProcess::Thread::kMain;
  // Runs in the process that is stepped.
  std::function<void(const std::string& directory, KillOracle*)> body;
  // Runs in a process that ends before; may be empty.
  std::function<void(const std::string& directory, KillOracle*)> before;
  // What is on disk, or what matters of it here, changes with system calls
  // alone: to stop at each of them is enough, and far quicker.
  bool by_system_calls = false;
  // Recovers into OutputIn(directory).
  bool into_output = false;
  // So many of the oldest may be gone: a flight recorder, or limits.
  uint32_t overwritten = 0;
};

std::ostream& operator<<(std::ostream& out, const KillScenario& scenario);

// A record that is appended, in each way in which that can go.
std::vector<KillScenario> AppendScenarios();
// What goes on behind it: a turn of the flusher, a rotation, a recovery, one
// into another directory.
std::vector<KillScenario> BackgroundScenarios();

// A crash report that is written while a record is on its way, and a recovery
// of one.
std::vector<KillScenario> ReportScenarios();
// A flusher that begins a segment, ends it, and deletes the oldest one.
KillScenario DeletionScenario();

class KillScenarioTest : public ::testing::TestWithParam<KillScenario> {
 protected:
  void SetUp() override { NewRun(); }

  // A new directory, in which what is to happen before has happened.
  void NewRun();
  // The process, where it is to be stepped. nullptr if the system does not
  // allow that; on every other error the test has failed.
  std::unique_ptr<SteppedProcess> Start();
  void ExpectAllIsThere(const KillOracle::Said& said);

  std::string directory_;
  KillOracle* oracle_ = nullptr;

 private:
  std::optional<SharedPage<KillOracle>> page_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_KILL_KILL_SCENARIO_H_
