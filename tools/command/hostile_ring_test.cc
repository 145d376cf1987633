// Attacks on the commands by rings with chosen names, and runs with little
// memory.

#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/repair_checksums.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/harness/sanitizer.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Limits the memory of the programs that the test runs.
class MemoryLimit {
 public:
  explicit MemoryLimit(uint64_t bytes) {
    EXPECT_EQ(getrlimit(RLIMIT_AS, &before_), 0);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    EXPECT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
  }
  ~MemoryLimit() { setrlimit(RLIMIT_AS, &before_); }
  MemoryLimit(const MemoryLimit&) = delete;
  MemoryLimit& operator=(const MemoryLimit&) = delete;

 private:
  rlimit before_;
};

// Leaves a ring whose header has `name` as program, host and directory. Returns
// the path of the ring.
std::string RingWithNames(absl::string_view name) {
  const std::string directory = MakeTestDirectory();
  {
    ScriptedProcess process(directory);
    process.Log("a");
  }
  std::string path = FilesIn(directory, ".ring").at(0);
  std::string ring = ReadFile(path);
  RingHeader header;
  std::memcpy(&header, ring.data(), sizeof header);
  for (char* const field :
       {header.program, header.host, header.segment_directory}) {
    std::memset(field, 0, sizeof header.host);
    name.copy(field, sizeof header.host - 1);
  }
  std::memcpy(ring.data(), &header, sizeof header);
  std::memcpy(ring.data() + kRingHeaderCopyOffset, &header, sizeof header);
  RepairRingChecksums(&ring);
  WriteFile(path, ring);
  return path;
}

// Standard output is a file here, not a terminal.
TEST(HostileRingTest, EscapesLineBreaksAndControlCharactersOfNames) {
  constexpr absl::string_view kName =
      "x\n  dropped         0 records\x1B[2J\u202E";
  const std::string ring = RingWithNames(kName);
  const std::string moved = MakeTestDirectory() + "/a\n  b\x1B[2J.ring";
  std::filesystem::copy(ring, moved);
  for (const std::string& path : {ring, moved}) {
    for (const char* command : {"inspect", "verify"}) {
      const ToolRun run = RunTool("ringlog", {command, path});
      EXPECT_EQ(run.exit_status, 0) << run.err;
      EXPECT_THAT(run.out, HasSubstr("x\\x0a  dropped"));
      EXPECT_THAT(run.out, Not(HasSubstr("\n  dropped         0 records\\x")));
      EXPECT_THAT(run.out, Not(HasSubstr("\n  b")));
      EXPECT_THAT(run.out, Not(HasSubstr("\x1B")));
      EXPECT_THAT(run.out, Not(HasSubstr("\u202E")));
    }
  }
  // `recover` prints the paths of segments.
  const std::string output = MakeTestDirectory() + "/a\nb\x1B[2J";
  const ToolRun run = RunTool("ringlog", {"recover", ring, "--out", output});
  EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 1);
  EXPECT_THAT(run.out, HasSubstr("a\\x0ab\\x1b[2J/"));
}

// If memory runs out, the commands report an error and do not crash.
TEST(HostileRingTest, LackOfMemoryIsReported) {
  if (kHasSanitizer) GTEST_SKIP() << "the sanitizer needs the memory";
  const std::string directory = MakeTestDirectory();
  {
    ScriptedProcess::Options options = ScriptedProcess::DefaultOptions();
    options.ring.slot_count = 1 << 16;
    ScriptedProcess process(directory, options);
    const std::string text(60, 'x');
    for (int i = 0; i < 1 << 15; ++i) process.Log(text);
  }
  const std::string ring = FilesIn(directory, ".ring").at(0);
  const std::string output = MakeTestDirectory();
  uint64_t failures = 0;
  for (uint64_t mebibytes = 24; mebibytes < 96; mebibytes += 8) {
    SCOPED_TRACE(absl::StrCat(mebibytes, " MiB"));
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"cat", ring},
          {"cat", ring, "--last=1000000"},
          {"verify", ring},
          {"inspect", ring},
          {"recover", ring, "--out", output}}) {
      ToolRun run;
      {
        const MemoryLimit limit(mebibytes << 20);
        ToolOptions options;
        options.stdout_path = "/dev/null";
        run = RunTool("ringlog", words, options);
      }
      // Status 127: the dynamic linker could not load the program.
      if (run.exit_status == 127) continue;
      EXPECT_THAT(run.exit_status, AnyOf(0, 1, 2)) << words[0];
      if (run.exit_status != 2) continue;
      ++failures;
      if (words[0] != "verify") {
        EXPECT_THAT(run.err, HasSubstr("memory")) << words[0];
      }
    }
  }
  EXPECT_NE(failures, 0u) << "no limit was low enough";
}

}  // namespace
}  // namespace ringlog
