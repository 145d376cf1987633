#include "ringlog/logsink/ring_log_sink.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/log/log_sink_registry.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/logsink/internal/option_table.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class RingLogSinkTest : public ::testing::Test {
 protected:
  RingLogSinkTest() {
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
    options_.directory = directory_ + "/logs";
  }
  ~RingLogSinkTest() override { Close(); }

  void Open() {
    auto sink = RingLogSink::Create(options_);
    ASSERT_TRUE(sink.ok()) << sink.status();
    sink_ = *std::move(sink);
    absl::AddLogSink(sink_.get());
  }

  void Close() {
    if (sink_ == nullptr) return;
    absl::RemoveLogSink(sink_.get());
    EXPECT_TRUE(sink_->Close().ok());
    sink_.reset();
  }

  // Logs `text` with fixed fields. Returns the text of the segment.
  std::string LoggedLine(absl::string_view text) {
    Open();
    LOG(INFO).AtLocation("dir/file.cc", 42).WithTimestamp(time_).WithThreadID(7)
        << text;
    Close();
    return AllText(options_.directory);
  }

  const absl::Time time_ = absl::FromUnixNanos(1795489439123456789);
  const std::string directory_ = MakeTestDirectory();
  RingLogSinkOptions options_;
  std::unique_ptr<RingLogSink> sink_;
};

TEST_F(RingLogSinkTest, LineHasGlogFormatWithYearInUtc) {
  EXPECT_EQ(LoggedLine("hello"),
            "I20261124 03:03:59.123456 7 file.cc:42] hello\n");
}

TEST_F(RingLogSinkTest, MessageCannotForgeLine) {
  EXPECT_EQ(LoggedLine("one\nI20261124 03:03:59.000000 7 file.cc:1] forged\n"),
            "I20261124 03:03:59.123456 7 file.cc:42] one\n"
            "\tI20261124 03:03:59.000000 7 file.cc:1] forged\n"
            "\t\n");
}

TEST_F(RingLogSinkTest, EmptyMessageIsALine) {
  EXPECT_EQ(LoggedLine(""), "I20261124 03:03:59.123456 7 file.cc:42] \n");
}

TEST_F(RingLogSinkTest, BinaryBytesAreUnchanged) {
  const std::string odd("a\0b\xff\xfe\r\tc", 8);
  EXPECT_EQ(LoggedLine(odd),
            "I20261124 03:03:59.123456 7 file.cc:42] " + odd + "\n");
}

TEST_F(RingLogSinkTest, JsonHasEveryField) {
  options_.format = LineFormat::kJson;
  Open();
  VLOG(0).AtLocation("dir/file.cc", 42).WithTimestamp(time_).WithThreadID(7)
      << "say \"hi\"\n";
  Close();
  const std::string line = AllText(options_.directory);
  EXPECT_THAT(line,
              StartsWith("{\"time\":\"2026-11-24T03:03:59.123456789Z\","));
  for (const char* field :
       {"\"severity\":\"INFO\"", "\"verbosity\":0", "\"tid\":7",
        "\"file\":\"dir/file.cc\"", "\"line\":42",
        "\"text\":\"say \\\"hi\\\"\\n\"", "\"position\":1"}) {
    EXPECT_THAT(line, HasSubstr(field));
  }
  EXPECT_THAT(line, EndsWith("}\n"));
}

// Abseil's limit for a message and its prefix is 15,000 bytes.
TEST_F(RingLogSinkTest, LongestMessageIsComplete) {
  std::string longest;
  for (int i = 0; longest.size() < 14000; ++i) {
    absl::StrAppend(&longest, i, " ");
  }
  EXPECT_THAT(LoggedLine(longest), EndsWith("] " + longest + "\n"));
}

TEST_F(RingLogSinkTest, SeverityHasItsLetter) {
  Open();
  LOG(INFO) << "i";
  LOG(WARNING) << "w";
  LOG(ERROR) << "e";
  Close();
  const std::vector<std::string> lines = AllLines(options_.directory);
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_THAT(lines[0], StartsWith("I2"));
  EXPECT_THAT(lines[1], StartsWith("W2"));
  EXPECT_THAT(lines[2], StartsWith("E2"));
}

TEST_F(RingLogSinkTest, FlushLogSinksWritesRecords) {
  options_.flush_interval = absl::Minutes(1);
  Open();
  LOG(INFO) << "flushed";
  absl::FlushLogSinks();
  const std::vector<std::string> segments =
      FilesIn(options_.directory, ".log.zst");
  ASSERT_THAT(segments, SizeIs(1));
  EXPECT_THAT(Decompress(segments[0]), EndsWith("] flushed\n"));
}

TEST_F(RingLogSinkTest, CloseDeletesTheRing) {
  Open();
  EXPECT_THAT(FilesIn(options_.directory, ".ring"), SizeIs(1));
  LOG(INFO) << "x";
  Close();
  EXPECT_THAT(FilesIn(options_.directory, ".ring"), IsEmpty());
}

TEST_F(RingLogSinkTest, RingDirectoryIsUsed) {
  options_.ring_directory = directory_ + "/rings";
  Open();
  EXPECT_THAT(FilesIn(options_.ring_directory, ".ring"), SizeIs(1));
  EXPECT_THAT(FilesIn(options_.directory, ".ring"), IsEmpty());
}

TEST_F(RingLogSinkTest, ManyThreadsLogAtOnce) {
  options_.overflow = OverflowPolicy::kBlock;
  options_.block_deadline = absl::Minutes(10);
  Open();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 1000; ++i) LOG(INFO) << t << " " << i;
    });
  }
  for (std::thread& thread : threads) thread.join();
  Close();
  EXPECT_THAT(AllLines(options_.directory), SizeIs(4000));
}

TEST_F(RingLogSinkTest, RecordAfterCloseIsCounted) {
  Open();
  absl::RemoveLogSink(sink_.get());
  ASSERT_TRUE(sink_->Close().ok());
  LOG(WARNING).ToSinkOnly(sink_.get()) << "late";
  EXPECT_EQ(sink_->ring().dropped(DropCause::kClosed, Severity::kWarning), 1);
  sink_.reset();
}

// A limit on the length of files simulates a disk without room for the end of
// the last segment. The ring is then empty and sealed, and stays for recovery.
TEST_F(RingLogSinkTest, RecordAfterFailedCloseIsCounted) {
  options_.overflow = OverflowPolicy::kBlock;
  options_.block_deadline = absl::Seconds(10);
  Open();
  absl::RemoveLogSink(sink_.get());
  LOG(INFO).ToSinkOnly(sink_.get()) << "one";
  sink_->Flush();
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit low = before;
  low.rlim_cur = ReadFile(FilesIn(options_.directory, ".log.zst")[0]).size();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
  EXPECT_FALSE(sink_->Close().ok());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  LOG(WARNING).ToSinkOnly(sink_.get()) << "late";
  EXPECT_EQ(sink_->ring().dropped(DropCause::kClosed, Severity::kWarning), 1);
  EXPECT_EQ(sink_->counters().dropped_records, 1u);
  const pid_t child = Fork();
  if (child == 0) {
    LOG(INFO).ToSinkOnly(sink_.get()) << "of a child";
    _exit(FilesIn(options_.directory, ".ring").size() == 1 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0) << "the child creates no ring for a closed sink";
  sink_.reset();
  EXPECT_THAT(FilesIn(options_.directory, ".ring"), SizeIs(1));
}

TEST_F(RingLogSinkTest, FlightRecorderWritesNoSegments) {
  options_.overflow = OverflowPolicy::kOverwriteOldest;
  options_.ring_bytes = 64 << 10;
  Open();
  for (int i = 0; i < 1000; ++i) LOG(INFO) << "record " << i;
  const std::string ring = ReadFile(sink_->ring_path());
  Close();
  EXPECT_THAT(ring, HasSubstr("record 999"));
  EXPECT_THAT(FilesIn(options_.directory, ".zst"), IsEmpty());
  EXPECT_THAT(FilesIn(options_.directory, ".ring"), SizeIs(1));
}

// options_test.cc tests which values are allowed.
TEST_F(RingLogSinkTest, InvalidOptionIsRefused) {
  options_.compression_level = 0;
  for (const auto& create :
       {&RingLogSink::Create, &RingLogSink::CreateInMemory}) {
    const absl::Status status = create(options_).status();
    EXPECT_EQ(status, CheckOptions(options_));
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  }
}

TEST_F(RingLogSinkTest, RecordsBelowMinSeverityAreNotStored) {
  options_.min_severity = absl::LogSeverityAtLeast::kError;
  Open();
  LOG(INFO) << "i";
  LOG(WARNING) << "w";
  LOG(ERROR) << "e";
  // Records below min_severity are not losses.
  EXPECT_EQ(sink_->ring().dropped(), DropCounts());
  Close();
  const std::vector<std::string> lines = AllLines(options_.directory);
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], EndsWith("] e"));
}

TEST_F(RingLogSinkTest, ForkedChildDoesNotDeleteParentsRing) {
  Open();
  LOG(INFO) << "before";
  absl::FlushLogSinks();
  const pid_t child = Fork();
  if (child == 0) {
    sink_->Flush();
    absl::RemoveLogSink(sink_.get());
    sink_.reset();
    _exit(0);
  }
  int status;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(FilesIn(options_.directory, ".ring"), SizeIs(1));
  LOG(INFO) << "after";
  Close();
  EXPECT_THAT(AllText(options_.directory), EndsWith("] after\n"));
}

TEST_F(RingLogSinkTest, DirectoryErrorNamesCause) {
  WriteFile(directory_ + "/file", "");
  for (const auto& [directory, cause] :
       {std::pair("/missing/logs", "its parent directory does not exist"),
        std::pair("/file", "a file has this name"),
        std::pair("/file/logs", "its parent is a file")}) {
    options_.directory = directory_ + directory;
    EXPECT_THAT(std::string(RingLogSink::Create(options_).status().message()),
                StartsWith(absl::StrCat("make directory ", options_.directory,
                                        ": ", cause)));
  }
}

}  // namespace
}  // namespace ringlog
