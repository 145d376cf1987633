// Runs processes with a fallback directory: how they start, fork and end, and
// how the next start recovers them.
//
// Invariant checked: each record is in the log once, in the directory that its
// ring was created for.
//
// Oracle: the texts that the test logs, libzstd, and the decoder.

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/debugging/failure_signal_handler.h"
#include "absl/log/initialize.h"
#include "absl/log/log.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/failure_writer.h"
#include "ringlog/logsink/fallback_test_fixture.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/testing/fixtures/decode_all.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class FallbackProcessTest : public FallbackFixture {
 protected:
  // Installs the sink in a child process, which never destroys it.
  RingLogSink* MustInstall() {
    absl::InitializeLog();
    absl::StatusOr<RingLogSink*> sink = Install(options_);
    if (!sink.ok() || !WaitForRecovery(absl::Minutes(10))) _exit(100);
    return *sink;
  }
  // Installs the sink and fails over to the fallback directory. The record
  // "waits" stays in the first ring.
  RingLogSink* InstallAndFailOver() {
    RingLogSink* const sink = MustInstall();
    Block();
    LOG(INFO) << "waits";
    WaitUntil([=] { return sink->uses_fallback(); });
    return sink;
  }
  std::vector<std::string> AllTexts() const {
    std::vector<std::string> paths = Directories();
    for (const std::string& ring : Rings()) paths.push_back(ring);
    const Decoded decoded = DecodeAll(paths);
    EXPECT_EQ(decoded.result.exit_status(), 0);
    return decoded.texts;
  }
};

TEST_F(FallbackProcessTest, StderrReportsFailOverOnce) {
  std::string err;
  EXPECT_EQ(RunChild(
                [this] {
                  RingLogSink* const sink = InstallAndFailOver();
                  const uint64_t errors = sink->counters().write_errors;
                  WaitUntil([=] {
                    return sink->counters().write_errors > errors + 1;
                  });
                  Unblock();
                },
                &err),
            0);
  EXPECT_THAT(err, HasSubstr(options_.directory));
  EXPECT_THAT(err, HasSubstr(absl::StrCat("new records go to ",
                                          options_.fallback_directory)));
  EXPECT_THAT(absl::StrSplit(err, "\n"), ElementsAre(Not(IsEmpty()), ""));
}

TEST_F(FallbackProcessTest, UnusableDirectoryFailsOverAtStart) {
  Block();
  std::string err;
  EXPECT_EQ(RunChild(
                [this] {
                  if (!MustInstall()->uses_fallback()) _exit(1);
                  LOG(INFO) << "logged";
                },
                &err),
            0);
  EXPECT_THAT(TextsIn(options_.fallback_directory), ElementsAre("logged"));
  EXPECT_THAT(Rings(), IsEmpty());
  EXPECT_THAT(err, AllOf(HasSubstr(options_.directory),
                         HasSubstr(absl::StrCat("records go to ",
                                                options_.fallback_directory))));
}

TEST_F(FallbackProcessTest, WithoutDirectoriesRecordsStayInMemory) {
  Block();
  WriteFile(options_.fallback_directory, "");
  std::string err;
  EXPECT_EQ(RunChild(
                [this] {
                  RingLogSink* const sink = MustInstall();
                  LOG(INFO) << "logged";
                  if (!sink->ring_path().empty()) _exit(1);
                  // One usable directory is enough.
                  std::filesystem::remove(options_.fallback_directory);
                  sink->Flush();
                  WaitUntil([=] { return sink->uses_fallback(); });
                  LOG(INFO) << "elsewhere";
                  sink->Flush();
                  Unblock();
                },
                &err),
            0);
  EXPECT_THAT(err, AllOf(HasSubstr(options_.directory),
                         HasSubstr(options_.fallback_directory),
                         HasSubstr("kept in memory")));
  EXPECT_THAT(TextsIn(options_.directory), ElementsAre("logged"));
  EXPECT_THAT(TextsIn(options_.fallback_directory), ElementsAre("elsewhere"));
}

TEST_F(FallbackProcessTest, KillAfterFailOverLosesNothing) {
  const int status = RunChild([this] {
    InstallAndFailOver();
    for (int i = 0; i < 1000; ++i) LOG(INFO) << "elsewhere " << i;
    raise(SIGKILL);
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  std::vector<std::string> expected = {"waits"};
  for (int i = 0; i < 1000; ++i) {
    expected.push_back(absl::StrCat("elsewhere ", i));
  }
  EXPECT_THAT(Rings(), SizeIs(2));
  EXPECT_EQ(AllTexts(), expected);
  // The ring of a missing directory stays.
  EXPECT_EQ(RunChild([this] { MustInstall(); }), 0);
  EXPECT_THAT(Rings(), SizeIs(1));
  EXPECT_EQ(AllTexts(), expected);
  Unblock();
  EXPECT_EQ(RunChild([this] { MustInstall(); }), 0);
  EXPECT_THAT(Rings(), IsEmpty());
  EXPECT_EQ(AllTexts(), expected);
  EXPECT_THAT(TextsIn(options_.directory), ElementsAre("waits"));
}

// The rings are in the same directories as the segments, as by default.
TEST_F(FallbackProcessTest, KillAfterStartInFallbackLosesNothing) {
  options_.ring_directory.clear();
  Block();
  RunChild([this] {
    MustInstall();
    for (int i = 0; i < 100; ++i) LOG(INFO) << i;
    raise(SIGKILL);
  });
  EXPECT_THAT(FilesIn(options_.fallback_directory, ".ring"), SizeIs(1));
  Unblock();
  EXPECT_EQ(RunChild([this] {
              if (MustInstall()->uses_fallback()) _exit(1);
            }),
            0);
  EXPECT_THAT(FilesIn(options_.fallback_directory, ".ring"), IsEmpty());
  EXPECT_THAT(TextsIn(options_.fallback_directory), SizeIs(100));
}

TEST_F(FallbackProcessTest, ForkedChildTriesFirstDirectoryAgain) {
  EXPECT_EQ(RunChild([this] {
              RingLogSink* const sink = InstallAndFailOver();
              const std::vector<std::string> parents = Rings();
              LOG(INFO) << "parent";
              if (AwaitChild(StartChild([&] {
                    if (sink->uses_fallback()) _exit(1);
                    LOG(INFO) << "child";
                    if (!sink->uses_fallback()) _exit(2);
                    if (Rings().size() != 3) _exit(3);
                  })) != 0) {
                _exit(101);
              }
              if (Rings() != parents) _exit(4);
              Unblock();
              if (AwaitChild(StartChild([&] {
                    LOG(INFO) << "child of the first";
                    if (sink->uses_fallback()) _exit(5);
                  })) != 0) {
                _exit(102);
              }
              WaitUntil([=] { return !sink->uses_fallback(); });
              LOG(INFO) << "parent again";
            }),
            0);
  EXPECT_THAT(Rings(), IsEmpty());
  EXPECT_THAT(
      TextsIn(options_.directory),
      UnorderedElementsAre("waits", "child of the first", "parent again"));
  EXPECT_THAT(TextsIn(options_.fallback_directory),
              UnorderedElementsAre("parent", "child"));
}

// Forks children again and again while the flusher fails over.
TEST_F(FallbackProcessTest, ForkDuringFailOverLosesNothing) {
  const std::string count_path = base_ + "/count";
  EXPECT_EQ(RunChild([&] {
              RingLogSink* const sink = MustInstall();
              int children = 0;
              for (bool blocks = true; children < 60; blocks = !blocks) {
                // An open segment can be written even after its directory is
                // moved.
                if (blocks && !sink->Rotate().ok()) _exit(102);
                blocks ? Block() : Unblock();
                LOG(INFO) << "parent";
                do {
                  const pid_t child =
                      StartChild([=] { LOG(INFO) << "child " << children; });
                  if (AwaitChild(child) != 0) _exit(101);
                  ++children;
                } while (sink->uses_fallback() != blocks);
              }
              WriteFile(count_path, absl::StrCat(children));
              if (sink->uses_fallback()) Unblock();
            }),
            0);
  std::map<std::string, int> times;
  for (const std::string& directory : Directories()) {
    for (const std::string& text : TextsIn(directory)) ++times[text];
  }
  int children = 0;
  ASSERT_TRUE(absl::SimpleAtoi(ReadFile(count_path), &children));
  for (int n = 0; n < children; ++n) {
    EXPECT_EQ(times[absl::StrCat("child ", n)], 1) << n;
  }
  EXPECT_THAT(Rings(), IsEmpty());
}

TEST_F(FallbackProcessTest, CrashReportFollowsNewRecords) {
  RunChild([this] {
    absl::FailureSignalHandlerOptions handler;
    handler.symbolize_stacktrace = false;
    handler.writerfn = &FailureWriter;
    InstallAndFailOver();
    absl::InstallFailureSignalHandler(handler);
    LOG(INFO) << "elsewhere";
    raise(SIGSEGV);
  });
  EXPECT_EQ(RunChild([this] { MustInstall(); }), 0);
  const std::string text = AllText(options_.fallback_directory);
  EXPECT_THAT(text, AllOf(HasSubstr("elsewhere"), HasSubstr("*** SIGSEGV")));
}

TEST_F(FallbackProcessTest, RetentionCoversEachDirectory) {
  options_.rotation.max_segment_bytes = 4096;
  options_.retention.max_files = 3;
  EXPECT_EQ(RunChild([this] {
              const RingLogSink* const sink = InstallAndFailOver();
              const uint64_t segments = sink->counters().segments + 20;
              for (int i = 0; sink->counters().segments < segments; ++i) {
                LOG(INFO) << i * 7919 % 1000003;
              }
              Unblock();
            }),
            0);
  EXPECT_THAT(FilesIn(options_.fallback_directory, ".log.zst"), SizeIs(3));
  EXPECT_THAT(FilesIn(options_.directory, ".log.zst"), SizeIs(1));
}

TEST_F(FallbackProcessTest, UnusableDirectoryIsTriedAgain) {
  Block();
  Open();
  EXPECT_TRUE(sink_->uses_fallback());
  EXPECT_THAT(Rings(), SizeIs(1));
  Log("one");
  sink_->Flush();
  Unblock();
  WaitForReturn();
  Log("two");
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_THAT(TextsIn(options_.fallback_directory), ElementsAre("one"));
  EXPECT_THAT(TextsIn(options_.directory), ElementsAre("two"));
  EXPECT_THAT(Rings(), IsEmpty());
}

TEST_F(FallbackProcessTest, WithoutFlusherFailsOverOnlyAtStart) {
  options_.overflow = OverflowPolicy::kOverwriteOldest;
  options_.ring_directory.clear();
  Block();
  Open();
  EXPECT_TRUE(sink_->uses_fallback());
  Log("one");
  ASSERT_TRUE(sink_->Close().ok());
  EXPECT_EQ(DecodeAll({options_.fallback_directory}).texts,
            std::vector<std::string>{"one"});
}

TEST_F(FallbackProcessTest, ErrorNamesBothUnusableDirectories) {
  Block();
  WriteFile(options_.fallback_directory, "");
  const absl::Status status = RingLogSink::Create(options_).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(options_.directory),
                    HasSubstr(options_.fallback_directory)));
}

TEST_F(FallbackProcessTest, SameDirectoryWithAnotherNameIsRefused) {
  std::filesystem::create_directory(options_.directory);
  const std::string link = base_ + "/link";
  std::filesystem::create_directory_symlink(options_.directory, link);
  for (const std::string& name : {options_.directory, options_.directory + "/",
                                  base_ + "/./x/../first", link}) {
    options_.fallback_directory = name;
    const absl::Status status = RingLogSink::Create(options_).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_EQ(status.message(),
              absl::StrCat("ringlog option fallback_directory is ", name,
                           "; must be a directory other than option "
                           "directory, or nothing"));
  }
  // The directory need not exist yet.
  options_.directory += "/logs";
  options_.fallback_directory = link + "/logs";
  EXPECT_TRUE(absl::IsInvalidArgument(RingLogSink::Create(options_).status()));
}

}  // namespace
}  // namespace ringlog
