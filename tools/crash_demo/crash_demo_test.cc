// Tests of the demonstration in the README. crash_check_test checks that it
// detects errors.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;

// Returns the number in the first line of `text` that begins with `name`.
uint64_t Count(absl::string_view text, absl::string_view name) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::StartsWith(line, absl::StrCat("  ", name, " "))) continue;
    uint64_t count = 0;
    EXPECT_TRUE(absl::SimpleAtoi(line.substr(line.rfind(' ') + 1), &count))
        << line;
    return count;
  }
  ADD_FAILURE() << "no line begins with " << name << " in\n" << text;
  return 0;
}

// Returns the number of records in a text log.
uint64_t RecordsIn(absl::string_view text) {
  uint64_t records = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!line.empty() && line[0] != '\t' && line[0] != ' ') ++records;
  }
  return records;
}

// Runs the demonstration, checks the output that every run must have, and
// returns the output.
std::string Demonstrate(const std::string& directory, int kills,
                        std::vector<std::string> flags) {
  flags.push_back("--directory=" + directory);
  flags.push_back(absl::StrCat("--kills=", kills));
  const ToolRun run = RunTool("crash_demo/crash_demo", flags);
  EXPECT_EQ(run.exit_status, 0) << run.out << run.err;
  EXPECT_EQ(run.err, "");
  EXPECT_THAT(run.out, HasSubstr("seed "));
  for (const char* name : {"lost", "duplicated", "out of order", "changed",
                           "not logged by the program"}) {
    EXPECT_THAT(run.out, HasSubstr(absl::StrCat("\n  ", name)));
  }
  const std::vector<std::string> parts = absl::StrSplit(run.out, "\nkill ");
  EXPECT_EQ(parts.size(), static_cast<size_t>(kills) + 1);
  for (size_t i = 1; i < parts.size(); ++i) {
    const std::string files =
        kills == 1 ? directory : absl::StrCat(directory, "/kill-", i);
    EXPECT_THAT(parts[i],
                HasSubstr("./bazelw run //tools:ringlog -- cat " + files));
    const uint64_t found = Count(parts[i], "found in segments") +
                           Count(parts[i], "found in the ring");
    EXPECT_GE(Count(parts[i], "acknowledged before the kill"), 1);
    EXPECT_EQ(found, Count(parts[i], "acknowledged before the kill") +
                         Count(parts[i], "found, LOG() had not returned"));
    // The command in the last line prints the found records.
    EXPECT_EQ(RecordsIn(RunTool("ringlog", {"cat", files}).out), found);
    EXPECT_THAT(parts[i], HasSubstr(absl::StrCat("\n    ", found,
                                                 " found in segments, 0 in a "
                                                 "ring, 0 lost")));
  }
  return run.out;
}

TEST(CrashDemoTest, FindsEveryRecordOnceInOrder) {
  const std::string out =
      Demonstrate(MakeTestDirectory() + "/demo", /*kills=*/6,
                  {"--threads=3", "--records=3000"});
  EXPECT_THAT(out, HasSubstr("at the first new segment after"));
  EXPECT_THAT(out, HasSubstr("6 kills, 0 of them with errors"));
}

TEST(CrashDemoTest, FindsLinesOfInputUnchanged) {
  const std::string directory = MakeTestDirectory();
  const std::string input = directory + "/input.log";
  WriteFile(input, absl::StrCat("plain\n", "with a CR\r\n", "\n", "\ttab\n",
                                "\"quotes\" and \\\n",
                                absl::string_view("NUL \0\n", 6), "\xFF\xFE\n",
                                std::string(20000, 'x'),
                                "\nI20261124 03:40:19.000000 1 a.cc:1] no\n",
                                "the last, without a line feed"));
  const std::string out =
      Demonstrate(directory + "/demo", /*kills=*/2,
                  {"--threads=2", "--records=1500", "--input=" + input});
  EXPECT_THAT(out, HasSubstr("input.log:"));
}

TEST(CrashDemoTest, SameSeedGivesSameMoments) {
  const auto moment = [](const std::string& seed) {
    const std::string directory = MakeTestDirectory() + "/demo";
    const std::string out =
        Demonstrate(directory, /*kills=*/1,
                    {"--threads=1", "--records=500", "--seed=" + seed});
    const size_t begin = out.find("kill 1, ");
    return out.substr(begin, out.find(':', begin) - begin);
  };
  const std::string first = moment("5");
  EXPECT_EQ(moment("5"), first);
  EXPECT_NE(moment("6"), first);
}

TEST(CrashDemoTest, ReportsInvalidFlags) {
  for (const auto& [flag, message] :
       std::vector<std::pair<std::string, std::string>>{
           {"--threads=0", "--threads: invalid value 0; must be 1 to 64"},
           {"--threads=65", "--threads: invalid value 65; must be 1 to 64"},
           {"--kills=0", "--kills: invalid value 0; must be at least 1"},
           {"--input=/nowhere", "--input /nowhere: "},
           {"--directory=/", "cannot create /"}}) {
    const ToolRun run = RunTool("crash_demo/crash_demo", {flag});
    EXPECT_EQ(run.exit_status, 2) << flag;
    EXPECT_THAT(run.err, HasSubstr("crash_demo: " + message));
  }
}

}  // namespace
}  // namespace ringlog
