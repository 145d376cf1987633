// Tests of the process `ringlog`: arguments, standard streams and exit status.

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/line/parsed_record.h"
#include "ringlog/ring/crash_area.h"
#include "ringlog/ring/record.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

ToolRun Ringlog(const std::vector<std::string>& arguments,
                const ToolOptions& options = {}) {
  return RunTool("ringlog", arguments, options);
}

// Returns texts with unusual characters or lengths.
std::vector<std::string> OddTexts() {
  std::string all_bytes;
  for (int c = 0; c < 256; ++c) all_bytes += static_cast<char>(c);
  return {
      "",
      "plain",
      "a\nI20261124 03:40:19.000000 42 server.cc:7] forged",
      "\n\n\t\n",
      "ends with a line break\n",
      " \n {\"cause\":\"ring_full\",\"first_position\":1,\"end_position\":2}",
      std::string("NUL \0 inside", 12),
      "quote \" backslash \\ tab \t carriage return \r escape \x1B[2J",
      "not UTF-8: \xFF\xC0\x80 \xED\xA0\x80 cut: \xE2\x82",
      "UTF-8: na\xC3\xAFve \xE2\x82\xAC \xF0\x9F\x98\x80 \xE2\x80\xA8 "
      "\xEF\xBB\xBF",
      all_bytes,
      std::string(15000, 'x'),
      "],}{\"text\":\"no\"}\n{\"time\":\"2026-11-24T03:40:19Z\"}",
  };
}

// The directory has the files of a process that logged OddTexts(). Half of the
// records are in a segment.
class RinglogTest : public ::testing::Test {
 protected:
  RinglogTest() : directory_(MakeTestDirectory()), process_(directory_, Big()) {
    const std::vector<std::string> texts = OddTexts();
    for (size_t i = 0; i < texts.size(); ++i) {
      if (i == texts.size() / 2) process_.Flush();
      process_.Log(texts[i]);
    }
  }

  static ScriptedProcess::Options Big() {
    ScriptedProcess::Options options = ScriptedProcess::DefaultOptions();
    options.ring.slot_count = 256;
    return options;
  }

  const std::string directory_;
  ScriptedProcess process_;
};

TEST_F(RinglogTest, CatPrintsSameLinesForRingAndSegment) {
  const ToolRun half = Ringlog({"cat", directory_});
  EXPECT_EQ(half.exit_status, 0);
  EXPECT_EQ(half.err, "");
  process_.Flush();
  process_.EndSegment();
  const ToolRun segment = Ringlog({"cat", process_.segment_path(1)});
  EXPECT_EQ(segment.out, half.out);
  EXPECT_EQ(segment.out, Decompress(process_.segment_path(1)))
      << "the output must equal the text of the segment";
  EXPECT_EQ(segment.exit_status, 0);
}

TEST_F(RinglogTest, TextForgesNoRecord) {
  const ToolRun run = Ringlog({"cat", directory_});
  size_t records = 0;
  for (const auto& line : absl::StrSplit(run.out, '\n')) {
    if (!line.empty() && line[0] != '\t' && line[0] != ' ') ++records;
  }
  EXPECT_EQ(records, OddTexts().size());
}

TEST_F(RinglogTest, PrintedTextsParseToTheSameTexts) {
  const ToolRun run = Ringlog({"cat", directory_});
  absl::string_view rest = run.out;
  for (const std::string& text : OddTexts()) {
    const size_t size =
        FirstRecordBytes(LineFormat::kText, rest, /*at_end=*/true);
    ParsedRecord parsed;
    ASSERT_TRUE(ParseLines(LineFormat::kText, rest.substr(0, size), &parsed));
    EXPECT_EQ(parsed.text, text);
    rest.remove_prefix(size);
  }
  EXPECT_EQ(rest, "");
}

// A Python program that prints the text of each record in hexadecimal.
constexpr char kPythonReader[] = R"(
import base64, json, sys
def refuse(name): raise ValueError(name)
for line in sys.stdin.buffer:
    record = json.loads(line.decode('utf-8', 'strict'), parse_constant=refuse)
    exact = record.get('text_base64')
    text = base64.b64decode(exact, validate=True) if exact is not None \
        else record['text'].encode('utf-8')
    print(text.hex())
)";

TEST_F(RinglogTest, PythonReadsJsonTexts) {
  if (RunProgram("python3", {"--version"}).exit_status != 0) {
    GTEST_SKIP() << "python3 is not installed";
  }
  ToolOptions options;
  options.in = Ringlog({"cat", directory_, "--format=json"}).out;
  const ToolRun python = RunProgram("python3", {"-c", kPythonReader}, options);
  EXPECT_EQ(python.exit_status, 0) << python.err;
  std::string expected;
  for (const std::string& text : OddTexts()) {
    for (const char c : text) {
      absl::StrAppend(
          &expected, absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    }
    expected += '\n';
  }
  EXPECT_EQ(python.out, expected);
}

TEST_F(RinglogTest, JqReadsOneObjectPerRecord) {
  if (RunProgram("jq", {"--version"}).exit_status != 0) {
    GTEST_SKIP() << "jq is not installed";
  }
  ToolOptions options;
  options.in = Ringlog({"cat", directory_, "--format", "json"}).out;
  const ToolRun jq =
      RunProgram("jq", {"-c", "[.severity, .tid, .file, .line]"}, options);
  EXPECT_EQ(jq.exit_status, 0) << jq.err;
  std::string expected;
  for (size_t i = 0; i < OddTexts().size(); ++i) {
    expected += "[\"INFO\",42,\"server.cc\",7]\n";
  }
  EXPECT_EQ(jq.out, expected);
}

TEST_F(RinglogTest, JsonSegmentIsPrintedUnchanged) {
  ScriptedProcess::Options json = Big();
  json.format = LineFormat::kJson;
  ScriptedProcess process(MakeTestDirectory(), json);
  for (const std::string& text : OddTexts()) process.Log(text);
  process.Flush();
  process.EndSegment();
  const std::string path = process.segment_path(1);
  EXPECT_EQ(Ringlog({"cat", "--format=json", path}).out, Decompress(path));
  // The output as text equals the output for a text segment.
  EXPECT_EQ(Ringlog({"cat", path}).out, Ringlog({"cat", directory_}).out);
}

TEST_F(RinglogTest, LastPrintsEndOfOutput) {
  const std::string all = Ringlog({"cat", directory_}).out;
  for (const size_t n : {size_t{1}, size_t{2}, size_t{12}, size_t{100}}) {
    const ToolRun run = Ringlog({"cat", directory_, "--last", absl::StrCat(n)});
    EXPECT_EQ(run.exit_status, 0);
    EXPECT_TRUE(absl::EndsWith(all, run.out)) << n;
    size_t records = 0;
    for (absl::string_view rest = run.out; !rest.empty(); ++records) {
      rest.remove_prefix(
          FirstRecordBytes(LineFormat::kText, rest, /*at_end=*/true));
    }
    EXPECT_EQ(records, std::min(n, OddTexts().size()));
  }
}

TEST_F(RinglogTest, DoesNotChangeItsInput) {
  const std::string ring = ReadFile(process_.ring_path());
  const std::string segment = ReadFile(process_.segment_path(1));
  const auto count_files = [this] {
    return std::distance(std::filesystem::directory_iterator(directory_), {});
  };
  const auto files = count_files();
  Ringlog({"cat", directory_});
  Ringlog({"inspect", process_.ring_path()});
  EXPECT_TRUE(ReadFile(process_.ring_path()) == ring);
  EXPECT_TRUE(ReadFile(process_.segment_path(1)) == segment);
  EXPECT_EQ(count_files(), files);
}

TEST_F(RinglogTest, ResolvesPathsInBazelRunDirectory) {
  ToolOptions options;
  options.environment = {"BUILD_WORKING_DIRECTORY=" + directory_};
  options.directory = "/";
  const std::string name =
      std::filesystem::path(process_.ring_path()).filename();
  EXPECT_EQ(Ringlog({"cat", name}, options).exit_status, 0);
  EXPECT_EQ(Ringlog({"cat", "."}, options).out,
            Ringlog({"cat", directory_}).out);
}

TEST_F(RinglogTest, AcceptsAnyPathAfterTwoDashes) {
  std::filesystem::rename(process_.segment_path(1), directory_ + "/--last");
  ToolOptions options;
  options.directory = directory_;
  const ToolRun run = Ringlog({"cat", "--last=1", "--", "--last"}, options);
  EXPECT_THAT(run.out, StartsWith("I20261124 ")) << run.err;
}

TEST_F(RinglogTest, InspectPrintsOwnerContentAndCursor) {
  process_.LeaveUnfinished();
  const ToolRun run = Ringlog({"inspect", process_.ring_path()});
  EXPECT_EQ(run.exit_status, 0) << run.err;
  const std::string segment =
      std::filesystem::path(process_.segment_path(1)).filename();
  for (const std::string& part :
       {process_.ring_path(), std::string("server"), std::string("host"),
        absl::StrCat(getpid(), ", alive"), std::string("1 being written"),
        segment,
        absl::StrCat(OddTexts().size() - OddTexts().size() / 2, " records")}) {
    EXPECT_THAT(run.out, HasSubstr(part));
  }
}

TEST_F(RinglogTest, PrintsCrashReports) {
  const CrashArea& area = process_.ring()->crash_area();
  area.Append(42, kTestTimeNs, "*** SIGSEGV received at time=1 ***\n");
  area.Append(42, kTestTimeNs, "    @ 0x1  \033[31mred\n");
  area.Append(43, kTestTimeNs, "cut short");
  area.End(42, kTestTimeNs);
  const ToolRun cat = Ringlog({"cat", directory_, "--last", "2"});
  EXPECT_EQ(cat.exit_status, 0) << cat.err;
  EXPECT_THAT(cat.out, StartsWith("F20261124 03:03:59.000000 42 signal:11] *** "
                                  "SIGSEGV received at time=1 ***\n\t    @ "));
  EXPECT_TRUE(absl::EndsWith(
      cat.out, "\nF20261124 03:03:59.000000 43 signal:0] cut short\n"));
  const ToolRun run = Ringlog({"inspect", process_.ring_path()});
  EXPECT_EQ(run.exit_status, 0) << run.err;
  EXPECT_THAT(run.out,
              HasSubstr("crash report    thread 42, signal 11, 2026-11-24 "
                        "03:03:59.000000 UTC\n    *** SIGSEGV received"));
  EXPECT_THAT(run.out, HasSubstr("@ 0x1  \\x1b[31mred\n"));
  EXPECT_THAT(run.out,
              HasSubstr("crash report    thread 43, 2026-11-24 "
                        "03:03:59.000000 UTC, its end is missing\n    cut"));
}

TEST_F(RinglogTest, InspectsRingWithoutHeaders) {
  std::string bytes = ReadFile(process_.ring_path());
  bytes.replace(0, 4096, 4096, '\0');
  WriteFile(process_.ring_path(), bytes);
  const ToolRun run = Ringlog({"inspect", process_.ring_path()});
  EXPECT_EQ(run.exit_status, 1) << run.err;
  EXPECT_THAT(run.out, HasSubstr("rebuilt from the slots"));
  EXPECT_THAT(run.out, HasSubstr(", 256 of them"));
  EXPECT_THAT(run.out, Not(HasSubstr("process")));
  EXPECT_THAT(run.out,
              HasSubstr(absl::StrCat(OddTexts().size() - OddTexts().size() / 2,
                                     " records")));
}

TEST_F(RinglogTest, InspectReportsDrops) {
  ScriptedProcess full(MakeTestDirectory());
  for (int i = 0; i < 100; ++i) full.Log(absl::StrCat(i));
  const ToolRun run = Ringlog({"inspect", full.ring_path()});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.out,
              HasSubstr(absl::StrCat(
                  100 - full.ring()->capacity(Severity::kInfo), " records")));
}

TEST_F(RinglogTest, MissingRecordsGiveStatusOne) {
  ScriptedProcess full(MakeTestDirectory());
  for (int i = 0; i < 100; ++i) full.Log(absl::StrCat(i));
  const ToolRun run = Ringlog({"cat", full.ring_path()});
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.err,
              StartsWith(absl::StrCat("ringlog: ", full.ring_path(), ": ")));
  EXPECT_THAT(run.err, HasSubstr("INFO records dropped"));
}

TEST_F(RinglogTest, UnusableInputDoesNotStopOtherInputs) {
  const ToolRun run = Ringlog({"cat", "/nowhere/at.ring", directory_});
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, StartsWith("ringlog: /nowhere/at.ring: "));
  EXPECT_EQ(run.out, Ringlog({"cat", directory_}).out);
}

// A fallback directory stays empty or missing until the program needs it.
TEST_F(RinglogTest, EmptyOrMissingFallbackDirectoryIsNoError) {
  const std::string empty = MakeTestDirectory();
  for (const char* command : {"cat", "verify"}) {
    for (const std::string& fallback : {empty, empty + "/missing"}) {
      const ToolRun run = Ringlog({command, directory_, fallback});
      EXPECT_EQ(run.exit_status, 0) << run.err;
      EXPECT_EQ(absl::StrContains(run.out + run.err, "does not exist"),
                fallback != empty);
    }
  }
  EXPECT_EQ(Ringlog({"cat", empty}).exit_status, 0);
  EXPECT_EQ(Ringlog({"cat", empty, empty + "/missing"}).exit_status, 2);
}

TEST_F(RinglogTest, ClosedPipeIsNoError) {
  ToolOptions options;
  options.broken_pipe = true;
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"cat", directory_},
                                             {"cat", "--last=2", directory_},
                                             {"inspect", process_.ring_path()},
                                             {"--help"}}) {
    const ToolRun run = Ringlog(arguments, options);
    EXPECT_EQ(run.exit_status, 0) << arguments[0];
    EXPECT_EQ(run.err, "") << arguments[0];
  }
}

TEST_F(RinglogTest, WriteErrorGivesStatusTwo) {
  ToolOptions options;
  options.stdout_path = "/dev/full";
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"cat", directory_},
                                             {"inspect", process_.ring_path()},
                                             {"--help"}}) {
    const ToolRun run = Ringlog(arguments, options);
    EXPECT_EQ(run.exit_status, 2) << arguments[0];
    EXPECT_THAT(run.err, HasSubstr("standard output")) << arguments[0];
    EXPECT_THAT(run.err, HasSubstr("No space left")) << arguments[0];
  }
}

TEST(UsageTest, PrintsHelpOnStandardOutput) {
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"--help"},
                                             {"-h"},
                                             {"help"},
                                             {"cat", "--help"},
                                             {"help", "cat"},
                                             {"verify", "--help"},
                                             {"help", "verify"},
                                             {"inspect", "--help"},
                                             {"help", "inspect"},
                                             {"--version"}}) {
    const ToolRun run = Ringlog(arguments);
    EXPECT_EQ(run.exit_status, 0) << arguments[0];
    EXPECT_THAT(run.out, StartsWith("ringlog ")) << arguments[0];
    EXPECT_EQ(run.err, "") << arguments[0];
  }
}

TEST(UsageTest, ReportsInvalidArguments) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, "ringlog cat PATH..."},
      {{"dog"}, "dog: no such command"},
      {{"cat"}, "no path given"},
      {{"verify"}, "no path given"},
      {{"verify", "x", "--last=1"}, "--last: no such flag"},
      {{"inspect"}, "no ring given"},
      {{"cat", "--colour", "x"}, "--colour: no such flag"},
      {{"cat", "x", "--colour=red"}, "--colour: no such flag"},
      {{"inspect", "-v", "x"}, "-v: no such flag"},
      {{"cat", "--format=xml", "x"}, "--format: invalid value \"xml\"; must"},
      {{"cat", "x", "--format"}, "--format: invalid value \"\"; must be"},
      {{"cat", "--last", "0", "x"}, "--last: invalid value \"0\"; must be"},
      {{"cat", "--last=-1", "x"}, "--last: invalid value \"-1\"; must be"},
      {{"cat", "--last=1000001", "x"},
       "--last: invalid value \"1000001\"; must be"},
      {{"cat", "--last=ten", "x"}, "--last: invalid value \"ten\"; must be"},
      {{"help", "dog"}, "dog: no such command"},
  };
  for (const auto& [arguments, message] : cases) {
    const ToolRun run = Ringlog(arguments);
    EXPECT_EQ(run.exit_status, 2) << message;
    EXPECT_EQ(run.out, "") << message;
    EXPECT_THAT(run.err, StartsWith("ringlog: ")) << message;
    EXPECT_THAT(run.err, HasSubstr(message));
  }
}

}  // namespace
}  // namespace ringlog
