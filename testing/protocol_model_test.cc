// ring/slot.pml, the model of the protocol of slots, holds in every order of
// steps, and would not if the protocol were wrong.

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/testing/long_mode.h"
#include "ringlog/testing/read_segments.h"
#include "ringlog/tools/tool_process.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Verdict {
  int64_t errors = -1;
  std::string out;  // all that the verifier printed
};

// What stands in `out` between `before` and the end of its line, as a number.
int64_t NumberBehind(absl::string_view out, absl::string_view before) {
  const size_t at = out.find(before);
  int64_t number = -1;
  if (at != absl::string_view::npos) {
    const absl::string_view rest = out.substr(at + before.size());
    if (!absl::SimpleAtoi(rest.substr(0, rest.find_first_not_of("0123456789")),
                          &number)) {
      return -1;
    }
  }
  return number;
}

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

  // Goes through all states of the model with these macros.
  static Verdict Verify(const std::vector<std::string>& macros) {
    ToolOptions in_directory;
    in_directory.directory = MakeTestDirectory();
    std::vector<std::string> generate = {"-a"};
    for (const std::string& macro : macros) {
      generate.push_back(absl::StrCat("-D", macro));
    }
    // spin leaves a file beside the model, too.
    WriteFile(absl::StrCat(in_directory.directory, "/slot.pml"),
              ReadFile("ring/slot.pml"));
    generate.push_back("slot.pml");
    Verdict verdict;
    ToolRun run = RunProgram("spin", generate, in_directory);
    verdict.out = run.out + run.err;
    if (run.exit_status != 0) return verdict;
    run = RunProgram("cc",
                     {"-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=2048",
                      "-o", "pan", "pan.c"},
                     in_directory);
    verdict.out += run.out + run.err;
    if (run.exit_status != 0) return verdict;
    run = RunProgram("./pan", {"-m1000000"}, in_directory);
    verdict.out += run.out + run.err;
    verdict.errors = NumberBehind(run.out, "errors: ");
    return verdict;
  }

  static void ExpectItHolds(const std::vector<std::string>& macros) {
    const Verdict verdict = Verify(macros);
    EXPECT_EQ(verdict.errors, 0) << verdict.out;
    // It has gone through all of them.
    EXPECT_THAT(verdict.out, HasSubstr("State-vector"));
    EXPECT_THAT(verdict.out, Not(HasSubstr("max search depth too small")));
    EXPECT_THAT(verdict.out, Not(HasSubstr("Search not completed")));
  }
};

TEST_F(ProtocolModelTest, WriterThatIsPassedLosesNothingThatWasAcknowledged) {
  ExpectItHolds({"WRITERS=2", "RECORDS=1", "SKIPS=1"});
}

TEST_F(ProtocolModelTest, SlotsAreUsedAgain) {
  ExpectItHolds({"WRITERS=2", "RECORDS=2", "SKIPS=0"});
}

TEST_F(ProtocolModelTest, ThreeWriters) {
  ExpectItHolds({"WRITERS=3", "RECORDS=1", "SKIPS=0"});
}

TEST_F(ProtocolModelTest, SlotsAreUsedAgainAfterAWriterWasPassed) {
  if (!IsLongMode()) GTEST_SKIP() << "takes minutes: --test_arg=--long";
  ExpectItHolds({"WRITERS=2", "RECORDS=2", "SKIPS=1"});
}

TEST_F(ProtocolModelTest, ClaimThatDoesNotCompareIsFound) {
  const Verdict verdict =
      Verify({"WRITERS=2", "RECORDS=1", "SKIPS=1", "SEEDED_BUG"});
  EXPECT_EQ(verdict.errors, 1) << verdict.out;
  EXPECT_THAT(verdict.out, HasSubstr("assertion violated"));
}

}  // namespace
}  // namespace ringlog
