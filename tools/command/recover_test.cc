// Tests `ringlog recover` of leftover rings. recover_segment_test.cc tests
// segments without a ring. testing/kill/every_instruction_test.cc kills the
// recovery at every system call.

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/other_boot.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

ToolRun RunRecover(const std::string& path, const std::string& output,
                   const ToolOptions& options = {}) {
  return RunTool("ringlog", {"recover", path, "--out", output}, options);
}

// Returns all files below a directory, with their content.
std::map<std::string, std::string> Contents(const std::string& directory) {
  std::map<std::string, std::string> contents;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(directory)) {
    contents[entry.path().lexically_relative(directory)] =
        entry.is_regular_file() ? ReadFile(entry.path()) : "";
  }
  return contents;
}

std::string RingIn(const std::string& directory) {
  const std::vector<std::string> rings = FilesIn(directory, ".ring");
  EXPECT_THAT(rings, SizeIs(1));
  return rings.at(0);
}

// Gives the ring the boot id of another host. Otherwise its owner would count
// as alive, because the ring has the process id of this test.
void MoveToOtherHost(const std::string& ring_path) {
  WriteFile(ring_path, WithOtherBootId(ReadFile(ring_path)));
}

// Returns a directory with the files of a dead process that logged `count`
// records. If there are more than 5, the first 5 are in a segment.
std::string CrashedDirectory(int count) {
  std::string directory = MakeTestDirectory();
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    if (count > 5) {
      process.LogNumbered(5);
      process.NameSegment();
      process.CreateSegment();
      process.Take(5);
      process.Write();
      process.Publish();
      process.Release();
    }
    process.LogNumbered(count > 5 ? count - 5 : count);
  }
  MoveToOtherHost(RingIn(directory));
  return directory;
}

class RecoverLifeTest : public ScriptedDeathTest {
 protected:
  RecoverLifeTest() : source_(MakeTestDirectory()), output_(source_ + "/out") {
    logged_ = LiveAndDie(source_);
    MoveToOtherHost(RingIn(source_));
  }

  const std::string source_;
  const std::string output_;
  int logged_ = 0;
};

TEST_P(RecoverLifeTest, OutputHasEachRecordOnce) {
  const auto before = Contents(source_);
  const ToolRun run = RunRecover(source_, output_);
  EXPECT_EQ(run.err, "");
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_EQ(TextsIn(output_), NumberedTexts(logged_));
  const auto result = Contents(output_);
  const std::vector<std::string> lines =
      absl::StrSplit(run.out, '\n', absl::SkipEmpty());
  EXPECT_EQ(lines.size(), result.size());
  for (const auto& [name, content] : result) {
    EXPECT_THAT(run.out, HasSubstr(absl::StrCat(output_, "/", name, ": ")));
  }
  // A second run writes the same bytes.
  EXPECT_EQ(RunRecover(source_, output_).out, run.out);
  EXPECT_EQ(Contents(output_), result);
  std::filesystem::remove_all(output_);
  EXPECT_EQ(Contents(source_), before);
  // Recovery at the next start of the program writes the same bytes.
  ASSERT_THAT(RecoverLeftovers(source_, source_).errors, IsEmpty());
  const auto started = Contents(source_);
  for (const auto& [name, content] : result) {
    EXPECT_EQ(started.at(name), content) << name;
  }
}

TEST_P(RecoverLifeTest, RingAloneReportsMissingSegments) {
  const std::string elsewhere = MakeTestDirectory();
  const std::string ring = elsewhere + "/moved.ring";
  std::filesystem::copy(RingIn(source_), ring);
  const ToolRun run = RunRecover(ring, output_);
  const std::vector<std::string> texts = TextsIn(output_);
  const std::vector<std::string> all = NumberedTexts(logged_);
  ASSERT_LE(texts.size(), all.size());
  EXPECT_EQ(texts,
            std::vector<std::string>(
                all.end() - static_cast<ptrdiff_t>(texts.size()), all.end()));
  const bool is_all = texts.size() == all.size();
  EXPECT_EQ(run.exit_status, is_all ? 0 : 1);
  EXPECT_THAT(run.err, is_all ? HasSubstr("") : HasSubstr("are not here"));
}

INSTANTIATE_TEST_SUITE_P(EachStep, RecoverLifeTest, EachScriptStep());

TEST(RecoverTest, OwnDirectoryIsRecoveredInPlace) {
  const std::string directory = CrashedDirectory(10);
  const ToolRun run = RunRecover(directory, directory + "/.");
  EXPECT_EQ(run.exit_status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr(": 10 records, 0 gaps\n"));
  EXPECT_EQ(TextsIn(directory), NumberedTexts(10));
  EXPECT_THAT(FilesIn(directory, ".ring"), IsEmpty());
}

TEST(RecoverTest, RingBehindASymlinkIsNotRecoveredInPlace) {
  const std::string directory = CrashedDirectory(10);
  const std::string ring = RingIn(directory);
  const std::string link = directory + "/link.ring";
  std::filesystem::create_symlink(ring, link);
  const auto before = Contents(directory);
  const ToolRun run = RunRecover(link, directory);
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr(link + ": a symlink"));
  EXPECT_EQ(Contents(directory), before);
}

// Leaves the files of a dead process: the ring in `rings`, and the segments in
// `segments`.
void LogAndDieInTwoDirectories(const std::string& rings,
                               const std::string& segments) {
  {
    ScriptedProcess process(rings, ScriptedProcess::OpenFrames(segments));
    process.Run(TwoSegmentScript(), 7);
  }
  MoveToOtherHost(RingIn(rings));
  for (const std::string& path : FilesIn(rings, ".zst")) {
    std::filesystem::copy(path, segments + path.substr(path.rfind('/')));
    std::filesystem::remove(path);
  }
}

TEST(RecoverTest, SegmentsAreFoundByRingHeader) {
  // This path is short, because the header of a ring has only the end of a long
  // path.
  std::string segments = "/tmp/ringlog.XXXXXX";
  ASSERT_NE(mkdtemp(segments.data()), nullptr);
  const std::string rings = MakeTestDirectory();
  LogAndDieInTwoDirectories(rings, segments);
  const auto before = Contents(segments);
  const std::string output = MakeTestDirectory();
  EXPECT_EQ(RunRecover(RingIn(rings), output).exit_status, 0);
  EXPECT_EQ(TextsIn(output), NumberedTexts(10));
  EXPECT_EQ(Contents(segments), before);
  std::filesystem::remove_all(segments);
}

TEST(RecoverTest, SegmentDirectoryIsRecoveredInPlace) {
  const std::string rings = MakeTestDirectory();
  // The header has only the end of this long path.
  const std::string segments =
      MakeTestDirectory() + "/" + std::string(200, 'd');
  std::filesystem::create_directory(segments);
  LogAndDieInTwoDirectories(rings, segments);
  EXPECT_EQ(RunRecover(RingIn(rings), segments).exit_status, 0);
  EXPECT_EQ(TextsIn(segments), NumberedTexts(10));
  EXPECT_THAT(FilesIn(rings, ".ring"), IsEmpty());
}

TEST(RecoverTest, RingInUseIsRefusedAndUnchanged) {
  const std::string directory = MakeTestDirectory();
  const std::string output = MakeTestDirectory();
  ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
  process.Run(TwoSegmentScript(), 7);
  const auto before = Contents(directory);
  const ToolRun run = RunRecover(directory, output);
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr(process.ring()->path()));
  EXPECT_THAT(run.err, HasSubstr("in use"));
  EXPECT_THAT(Contents(output), IsEmpty());
  EXPECT_EQ(Contents(directory), before);
}

// The owner of the ring is alive, but does not hold the lock of the copy.
TEST(RecoverTest, CopyOfALivingRingIsRefused) {
  const std::string directory = MakeTestDirectory();
  const std::string output = MakeTestDirectory();
  ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
  process.LogNumbered(3);
  const std::string copies = MakeTestDirectory();
  std::filesystem::copy(process.ring()->path(), copies);
  const ToolRun run = RunRecover(copies, output);
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr("is alive"));
  EXPECT_THAT(Contents(output), IsEmpty());
  // The owner of this ring has ended.
  const std::string other = MakeTestDirectory();
  const pid_t child = fork();
  if (child == 0) {
    LogAndDie(other, 3);
    _exit(0);
  }
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_EQ(RunRecover(other, output).exit_status, 0);
  EXPECT_EQ(TextsIn(output), NumberedTexts(3));
}

TEST(RecoverTest, UnusableRingDoesNotStopOthers) {
  const std::string directory = CrashedDirectory(3);
  WriteFile(directory + "/broken.ring", std::string(4096, 'x'));
  const std::string output = MakeTestDirectory();
  const ToolRun run = RunRecover(directory, output);
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr("broken.ring"));
  EXPECT_EQ(TextsIn(output), NumberedTexts(3));
}

TEST(RecoverTest, ForeignFileIsNeverOverwritten) {
  const std::string directory = CrashedDirectory(10);
  const std::string output = MakeTestDirectory();
  ASSERT_EQ(RunRecover(directory, output).exit_status, 0);
  const std::string path = FilesIn(output, ".zst").at(0);
  const std::string other_directory = CrashedDirectory(3);
  const std::string other_output = MakeTestDirectory();
  ASSERT_EQ(RunRecover(other_directory, other_output).exit_status, 0);
  for (const char* foreign : {"", "foreign"}) {
    WriteFile(path, foreign);
    const auto before = Contents(output);
    const ToolRun run = RunRecover(directory, output);
    EXPECT_EQ(run.exit_status, 2);
    EXPECT_THAT(run.err, HasSubstr(path));
    EXPECT_EQ(Contents(output), before);
  }
  // Another segment has the name, so the recovered one gets another name.
  const std::string other = ReadFile(FilesIn(other_output, ".zst").at(0));
  WriteFile(path, other);
  for (int run = 0; run < 2; ++run) {
    EXPECT_EQ(RunRecover(directory, output).exit_status, 0);
    EXPECT_EQ(ReadFile(path), other);
    EXPECT_EQ(FilesIn(output, ".zst").size(), 2u);
    EXPECT_EQ(TextsIn(output).size(), 13u);
  }
}

TEST(RecoverTest, StagingOfAKilledRunIsRemoved) {
  const std::string directory = CrashedDirectory(10);
  const std::string output = MakeTestDirectory();
  ASSERT_EQ(RunRecover(directory, output).exit_status, 0);
  const auto result = Contents(output);
  const std::string staging = output + "/.ringlog-recover.0123456789abcdef";
  ASSERT_EQ(mkdir(staging.c_str(), 0700), 0);
  const std::string segment = FilesIn(output, ".zst").at(0);
  const std::string name = std::filesystem::path(segment).filename();
  WriteFile(absl::StrCat(staging, "/", name), "truncated");
  EXPECT_EQ(RunRecover(directory, output).exit_status, 0);
  EXPECT_EQ(Contents(output), result);
}

TEST(RecoverTest, UnwritableOutputIsReported) {
  const std::string directory = CrashedDirectory(3);
  const std::string output = MakeTestDirectory();
  ASSERT_EQ(chmod(output.c_str(), 0500), 0);
  ToolOptions options;
  options.drop_file_rights = true;
  for (const std::string& place :
       {output, output + "/below", directory + "/no/such",
        directory + "/file"}) {
    WriteFile(directory + "/file", "");
    const ToolRun run = RunRecover(directory, place, options);
    EXPECT_EQ(run.exit_status, 2) << place;
    EXPECT_THAT(run.err, HasSubstr(place));
    EXPECT_EQ(run.out, "");
  }
}

TEST(RecoverTest, ReportsGapsAndCountsDropsAsLoss) {
  const std::string directory = MakeTestDirectory();
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.LogNumbered(2);
    ASSERT_TRUE(process.ring()->Claim(Severity::kInfo, 40, 10).has_value());
    process.LogNumbered(1);
  }
  MoveToOtherHost(RingIn(directory));
  const std::string output = MakeTestDirectory();
  const ToolRun unfinished = RunRecover(directory, output);
  EXPECT_EQ(unfinished.exit_status, 0);
  EXPECT_THAT(unfinished.err,
              HasSubstr("slots were not committed, positions "));
  EXPECT_THAT(unfinished.out, HasSubstr(": 3 records, 1 gaps\n"));

  const std::string full = MakeTestDirectory();
  {
    ScriptedProcess process(full, ScriptedProcess::OpenFrames());
    process.LogNumbered(3);
    process.ring()->CountDrop(DropCause::kRingFull, Severity::kWarning);
  }
  MoveToOtherHost(RingIn(full));
  const ToolRun dropped = RunRecover(full, output);
  EXPECT_EQ(dropped.exit_status, 1);
  EXPECT_THAT(dropped.err, HasSubstr("1 WARNING record dropped"));
}

// Zeroes the ring's header and the copy of it.
void ZeroHeaders(const std::string& ring_path) {
  std::string bytes = ReadFile(ring_path);
  bytes.replace(0, kRingHeaderAreaBytes, kRingHeaderAreaBytes, '\0');
  WriteFile(ring_path, bytes);
}

TEST(RecoverTest, RingWithoutHeadersIsRecoveredCompletely) {
  const std::string directory = CrashedDirectory(10);
  ASSERT_EQ(RunRecover(directory, directory + "/intact").exit_status, 0);
  ZeroHeaders(RingIn(directory));
  const auto before = Contents(directory);
  const std::string output = MakeTestDirectory();
  const ToolRun run = RunRecover(directory, output);
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.err, HasSubstr(RingIn(directory) + ": the header"));
  EXPECT_EQ(Contents(output), Contents(directory + "/intact"));
  EXPECT_EQ(TextsIn(output), NumberedTexts(10));
  EXPECT_EQ(Contents(directory), before);

  const ToolRun in_place = RunRecover(directory, directory);
  EXPECT_EQ(in_place.exit_status, 2);
  EXPECT_THAT(in_place.err, HasSubstr("give another one with --out"));
  EXPECT_EQ(Contents(directory), before);
}

// The rebuilt header's first position is above all positions in the segment.
TEST(RecoverTest, RingWithoutHeadersAndCursorsKeepsSegments) {
  const std::string directory = CrashedDirectory(10);
  const std::string ring = RingIn(directory);
  ZeroHeaders(ring);
  std::string bytes = ReadFile(ring);
  RingLive live;
  std::memcpy(&live, &bytes[kLiveOffset], sizeof live);
  std::memset(&live.cursor, 0, sizeof live.cursor);
  std::memcpy(&bytes[kLiveOffset], &live, sizeof live);
  WriteFile(ring, bytes);
  const std::string output = MakeTestDirectory();
  const ToolRun run = RunRecover(directory, output);
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.err, HasSubstr("cursor is damaged"));
  EXPECT_EQ(TextsIn(output), NumberedTexts(10));
}

TEST(RecoverTest, RingWithoutHeadersAndSegmentsIsRecovered) {
  const std::string directory = CrashedDirectory(3);
  ZeroHeaders(RingIn(directory));
  const std::string output = MakeTestDirectory();
  EXPECT_EQ(RunRecover(directory, output).exit_status, 1);
  EXPECT_EQ(TextsIn(output), NumberedTexts(3));
}

TEST(RecoverTest, DamagedSegmentCostsItsDamagedFrame) {
  const std::string directory = CrashedDirectory(10);
  const std::string segment = FilesIn(directory, ".zst").at(0);
  std::string bytes = ReadFile(segment);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  WriteFile(segment, bytes);
  const auto before = Contents(directory);
  const std::string output = MakeTestDirectory();
  const ToolRun run = RunRecover(directory, output);
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.err, HasSubstr(segment));
  const std::vector<std::string> all = NumberedTexts(10);
  EXPECT_EQ(TextsIn(output),
            std::vector<std::string>(all.begin() + 5, all.end()));
  EXPECT_EQ(Contents(directory), before);
}

TEST(RecoverTest, MissingSegmentBetweenOthersIsReported) {
  const std::string directory = MakeTestDirectory();
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.LogNumbered(9);
    for (int i = 0; i < 3; ++i) {
      process.NameSegment();
      process.CreateSegment();
      process.Take(3);
      process.Write();
      process.Publish();
      process.Release();
      process.EndSegment();
    }
  }
  MoveToOtherHost(RingIn(directory));
  const std::string missing = FilesIn(directory, ".zst").at(1);
  ASSERT_THAT(missing, HasSubstr("000002"));
  unlink(missing.c_str());
  const ToolRun run = RunRecover(directory, directory + "/out");
  EXPECT_EQ(run.exit_status, 1);
  EXPECT_THAT(run.err, HasSubstr("segments 2 to 2 are not here"));
  EXPECT_THAT(FilesIn(directory + "/out", ".zst"), SizeIs(2));
}

TEST(RecoverTest, MissingArgumentsAreReported) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"recover"},
        {"recover", "somewhere"},
        {"recover", "--out", "somewhere"},
        {"recover", "--into", "somewhere", "elsewhere"},
        {"recover", "somewhere", "--out"}}) {
    const ToolRun run = RunTool("ringlog", words);
    EXPECT_EQ(run.exit_status, 2);
    EXPECT_THAT(run.err, Not(IsEmpty()));
  }
  EXPECT_THAT(RunTool("ringlog", {"help", "recover"}).out, HasSubstr("--out"));
}

}  // namespace
}  // namespace ringlog
