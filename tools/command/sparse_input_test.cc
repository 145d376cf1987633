// Attacks on the commands by large files with few blocks on the disk.
//
// Invariant checked: the cost of a command depends on the blocks on the disk,
// not on the length of a file or the length that its header states.

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/harness/sanitizer.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::AnyOf;

constexpr int64_t kMaxRssKib = 64 << 10;
constexpr uint64_t kMaxReadBytes = 16 << 20;

ToolRun ExpectIsCheap(const std::vector<std::string>& words) {
  SCOPED_TRACE(words[0]);
  ToolRun run = RunTool("ringlog", words);
  EXPECT_THAT(run.exit_status, AnyOf(0, 1, 2)) << run.err;
  EXPECT_LT(run.read_bytes, kMaxReadBytes);
  if (!kHasSanitizer) {
    EXPECT_LT(run.max_rss_kib, kMaxRssKib);
  }
  return run;
}

// Without headers, the commands try each size of slots.
TEST(SparseInputTest, CostOfRingWithoutHeadersDependsOnBlocks) {
  const std::string ring = MakeTestDirectory() + "/a.ring";
  WriteFile(ring, std::string(100, 'x'));
  ASSERT_EQ(truncate(ring.c_str(), (int64_t{1} << 32) - 4096), 0);
  for (const char* command : {"cat", "verify", "inspect"}) {
    ExpectIsCheap({command, ring});
  }
  ExpectIsCheap({"recover", ring, "--out", MakeTestDirectory()});
}

// For zstd, three bytes of zeros are an empty block.
TEST(SparseInputTest, CostOfSegmentWithHoleDependsOnBlocks) {
  const std::string directory = MakeTestDirectory();
  LogAndDie(directory, 5);
  const std::string output = MakeTestDirectory();
  EXPECT_EQ(ExpectIsCheap({"recover", directory, "--out", output}).exit_status,
            0);
  const std::string honest = ReadFile(FilesIn(output, ".zst").at(0));
  // The magic and the header of a frame with a window of 2 MiB.
  const std::string frame("\x28\xB5\x2F\xFD\x00\x58", 6);
  for (const std::string& begin : {frame, honest, honest + frame}) {
    for (const std::string& end : {std::string(), honest}) {
      const std::string place = MakeTestDirectory();
      const std::string path = place + "/a.log.zst";
      constexpr int64_t kHole = int64_t{1} << 40;
      WriteFile(path, begin);
      ASSERT_EQ(truncate(path.c_str(), kHole), 0);
      std::ofstream(path, std::ios::app) << end;
      const ToolRun run = ExpectIsCheap({"cat", path});
      EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n') >= 5,
                begin != frame || !end.empty());
      ExpectIsCheap({"cat", "--format=json", path});
      ExpectIsCheap({"verify", path});
      ExpectIsCheap({"recover", place, "--out", MakeTestDirectory()});
    }
  }
}

}  // namespace
}  // namespace ringlog
