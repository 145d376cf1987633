// Checks ring/slot.pml, the model of the slot protocol, in every order of
// steps. Also checks that the verifier finds a deliberate error in the
// protocol.

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ProtocolModelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* program : {"spin", "cc"}) {
      if (RunProgram("sh", {"-c", absl::StrCat("command -v ", program)})
              .exit_status != 0) {
        GTEST_SKIP() << program << " is not installed";
      }
    }
  }

  // Searches all states of the model with these macros. Returns the output of
  // spin, of the compiler and of the verifier.
  static std::string Verify(const std::vector<std::string>& macros) {
    ToolOptions in_directory;
    in_directory.directory = MakeTestDirectory();
    // spin writes files next to the model.
    WriteFile(absl::StrCat(in_directory.directory, "/slot.pml"),
              ReadFile("ring/slot.pml"));
    std::vector<std::string> generate = {"-a"};
    for (const std::string& macro : macros) {
      generate.push_back(absl::StrCat("-D", macro));
    }
    generate.push_back("slot.pml");
    const std::pair<std::string, std::vector<std::string>> steps[] = {
        {"spin", generate},
        {"cc",
         {"-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=2048", "-o", "pan",
          "pan.c"}},
        {"./pan", {"-m1000000"}}};
    std::string printed;
    for (const auto& [program, arguments] : steps) {
      const ToolRun run = RunProgram(program, arguments, in_directory);
      absl::StrAppend(&printed, run.out, run.err);
      if (run.exit_status != 0) break;
    }
    return printed;
  }

  static void ExpectHolds(const std::vector<std::string>& macros) {
    const std::string printed = Verify(macros);
    EXPECT_THAT(printed, HasSubstr("errors: 0\n"));
    // The search was complete.
    EXPECT_THAT(printed, HasSubstr("State-vector"));
    EXPECT_THAT(printed, Not(HasSubstr("max search depth too small")));
    EXPECT_THAT(printed, Not(HasSubstr("Search not completed")));
  }
};

TEST_F(ProtocolModelTest, SkippedWriterLosesNoAcknowledgedRecord) {
  ExpectHolds({"WRITERS=2", "RECORDS=1", "SKIPS=1"});
}

TEST_F(ProtocolModelTest, SlotsAreReused) {
  ExpectHolds({"WRITERS=2", "RECORDS=2", "SKIPS=0"});
}

TEST_F(ProtocolModelTest, ThreeWritersLoseNoRecord) {
  ExpectHolds({"WRITERS=3", "RECORDS=1", "SKIPS=0"});
}

TEST_F(ProtocolModelTest, SlotsAreReusedAfterSkip) {
  if (!IsLongMode()) GTEST_SKIP() << "takes minutes: --test_arg=--long";
  ExpectHolds({"WRITERS=2", "RECORDS=2", "SKIPS=1"});
}

TEST_F(ProtocolModelTest, ClaimWithoutCompareIsDetected) {
  const std::string printed =
      Verify({"WRITERS=2", "RECORDS=1", "SKIPS=1", "SEEDED_BUG"});
  EXPECT_THAT(printed, HasSubstr("errors: 1\n"));
  EXPECT_THAT(printed, HasSubstr("assertion violated"));
}

}  // namespace
}  // namespace ringlog
