// Tests of `ringlog rotate` with running processes.

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class RotateTest : public ::testing::Test {
 protected:
  RotateTest() {
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
    options_.directory = directory_;
    options_.flush_interval = absl::Minutes(1);
  }

  ToolRun Rotate(const std::string& path) {
    return RunTool("ringlog", {"rotate", path});
  }
  std::vector<std::string> Segments() const {
    return FilesIn(directory_, ".log.zst");
  }

  const std::string directory_ = MakeTestDirectory();
  RingLogSinkOptions options_;
};

TEST_F(RotateTest, ProcessClosesItsSegment) {
  const auto sink = *RingLogSink::Create(options_);
  for (int i = 0; i < 3; ++i) {
    LOG(INFO).ToSinkOnly(sink.get()) << "record " << i;
    // The path is first the ring, and later the directory.
    const ToolRun run = Rotate(i == 0 ? sink->ring_path() : directory_);
    EXPECT_EQ(run.exit_status, 0) << run.err;
    EXPECT_EQ(run.out, absl::StrCat(sink->ring_path(), ": process ", getpid(),
                                    " has closed its segment\n"));
    ASSERT_THAT(Segments(), SizeIs(i + 1));
    EXPECT_THAT(AllText(directory_), HasSubstr(absl::StrCat("record ", i)));
  }
}

TEST_F(RotateTest, SinkRotatesItself) {
  const auto sink = *RingLogSink::Create(options_);
  LOG(INFO).ToSinkOnly(sink.get()) << "one";
  ASSERT_TRUE(sink->Rotate().ok());
  LOG(INFO).ToSinkOnly(sink.get()) << "two";
  ASSERT_TRUE(sink->Close().ok());
  EXPECT_THAT(Segments(), SizeIs(2));
  EXPECT_TRUE(absl::IsFailedPrecondition(sink->Rotate()));
}

TEST_F(RotateTest, RotationLeavesNoSegmentOpen) {
  const auto sink = *RingLogSink::Create(options_);
  LOG(INFO).ToSinkOnly(sink.get()) << "one";
  ASSERT_TRUE(sink->Rotate().ok());
  EXPECT_THAT(RunTool("ringlog", {"inspect", sink->ring_path()}).out,
              HasSubstr("number 2 is next"));
  for (const char* command : {"verify", "cat"}) {
    const ToolRun run = RunTool("ringlog", {command, directory_});
    EXPECT_EQ(run.exit_status, 0) << run.out << run.err;
  }
}

TEST_F(RotateTest, RotatesAllLiveProcessesOfDirectory) {
  const pid_t dead = fork();
  if (dead == 0) {
    const auto sink = *RingLogSink::Create(options_);
    raise(SIGKILL);
  }
  ASSERT_EQ(waitpid(dead, nullptr, 0), dead);
  ASSERT_THAT(FilesIn(directory_, ".ring"), SizeIs(1));
  const auto one = *RingLogSink::Create(options_);
  const auto two = *RingLogSink::Create(options_);
  for (const auto* sink : {&one, &two}) {
    LOG(INFO).ToSinkOnly(sink->get()) << "x";
  }
  const ToolRun run = Rotate(directory_);
  EXPECT_EQ(run.exit_status, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr(one->ring_path()));
  EXPECT_THAT(run.out, HasSubstr(two->ring_path()));
  EXPECT_THAT(Segments(), SizeIs(2));
}

TEST_F(RotateTest, RejectsRingOfDeadProcess) {
  const std::string ring = [&] {
    ScriptedProcess dead(directory_);
    dead.Log("record");
    return dead.ring_path();
  }();
  const std::string before = ReadFile(ring);
  const ToolRun run = Rotate(ring);
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr("has ended"));
  EXPECT_EQ(ReadFile(ring), before);
  EXPECT_EQ(Rotate(directory_).exit_status, 2);
  EXPECT_THAT(Rotate(directory_).err,
              HasSubstr("no ring of a running process"));
}

TEST_F(RotateTest, AcceptsRingInUnreadableDirectory) {
  const auto sink = *RingLogSink::Create(options_);
  LOG(INFO).ToSinkOnly(sink.get()) << "record";
  ASSERT_EQ(chmod(directory_.c_str(), 0311), 0);
  ToolOptions options;
  options.drop_file_rights = true;
  const ToolRun run =
      RunTool("ringlog", {"rotate", sink->ring_path()}, options);
  ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  EXPECT_EQ(run.exit_status, 0) << run.err;
}

TEST_F(RotateTest, RejectsProcessWithoutSegments) {
  options_.overflow = OverflowPolicy::kOverwriteOldest;
  const auto sink = *RingLogSink::Create(options_);
  const ToolRun run = Rotate(sink->ring_path());
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr("writes no segments"));
}

// A stopped process represents a process that cannot write.
TEST_F(RotateTest, ReportsProcessThatDoesNotRotate) {
  const pid_t child = fork();
  if (child == 0) {
    const auto sink = *RingLogSink::Create(options_);
    raise(SIGSTOP);
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, WUNTRACED), child);
  ASSERT_TRUE(WIFSTOPPED(status));
  const ToolRun late =
      RunTool("ringlog", {"rotate", "--timeout=0", directory_});
  EXPECT_EQ(late.exit_status, 1);
  EXPECT_THAT(late.err, HasSubstr("has not closed its segment yet"));
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(Rotate(directory_).exit_status, 2);
}

TEST_F(RotateTest, RejectsOtherFiles) {
  WriteFile(directory_ + "/notes.txt", "a user's own");
  const std::string notes = directory_ + "/notes.txt";
  const ToolRun run = Rotate(notes);
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr(notes));
  EXPECT_EQ(run.err.find(notes), run.err.rfind(notes)) << run.err;
  EXPECT_EQ(ReadFile(directory_ + "/notes.txt"), "a user's own");
  EXPECT_EQ(Rotate(directory_ + "/missing").exit_status, 2);
  EXPECT_EQ(RunTool("ringlog", {"rotate"}).exit_status, 2);
  EXPECT_EQ(RunTool("ringlog", {"rotate", "--timeout=x", "."}).exit_status, 2);
}

}  // namespace
}  // namespace ringlog
