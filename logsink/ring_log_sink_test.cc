#include "ringlog/logsink/ring_log_sink.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
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
#include "ringlog/compress/line_format.h"
#include "ringlog/testing/read_segments.h"

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

  // What a line of the log says after Abseil's record is `text`.
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

TEST_F(RingLogSinkTest, ALineHasGlogsShapeWithTheYearInUtc) {
  EXPECT_EQ(LoggedLine("hello"),
            "I20261124 03:03:59.123456 7 file.cc:42] hello\n");
}

TEST_F(RingLogSinkTest, AMessageCannotForgeALine) {
  EXPECT_EQ(LoggedLine("one\nI20261124 03:03:59.000000 7 file.cc:1] forged\n"),
            "I20261124 03:03:59.123456 7 file.cc:42] one\n"
            "\tI20261124 03:03:59.000000 7 file.cc:1] forged\n"
            "\t\n");
}

TEST_F(RingLogSinkTest, AnEmptyMessageIsALine) {
  EXPECT_EQ(LoggedLine(""), "I20261124 03:03:59.123456 7 file.cc:42] \n");
}

TEST_F(RingLogSinkTest, BytesThatAreNotTextAreKeptAsTheyAre) {
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

// Abseil keeps 15,000 bytes of a message less its prefix.
TEST_F(RingLogSinkTest, TheLongestMessageIsWhole) {
  std::string longest;
  for (int i = 0; longest.size() < 14000; ++i) {
    absl::StrAppend(&longest, i, " ");
  }
  EXPECT_THAT(LoggedLine(longest), EndsWith("] " + longest + "\n"));
}

TEST_F(RingLogSinkTest, EachSeverityHasItsLetter) {
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

TEST_F(RingLogSinkTest, FlushLogSinksBringsRecordsIntoTheSegment) {
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

TEST_F(RingLogSinkTest, TheRingMayBeElsewhere) {
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

TEST_F(RingLogSinkTest, ARecordAfterCloseIsCounted) {
  Open();
  absl::RemoveLogSink(sink_.get());
  ASSERT_TRUE(sink_->Close().ok());
  LOG(WARNING).ToSinkOnly(sink_.get()) << "late";
  EXPECT_EQ(sink_->ring().dropped(DropCause::kClosed, Severity::kWarning), 1);
  sink_.reset();
}

TEST_F(RingLogSinkTest, AFlightRecorderKeepsTheLastRecordsWithoutSegments) {
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

struct BadOption {
  const char* name;
  void (*spoil)(RingLogSinkOptions*);
};
class BadOptionTest : public RingLogSinkTest,
                      public ::testing::WithParamInterface<BadOption> {};

TEST_P(BadOptionTest, IsRefusedWithNameValueAndWhatIsAllowed) {
  GetParam().spoil(&options_);
  const absl::Status status = RingLogSink::Create(options_).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(status.message(),
              HasSubstr(absl::StrCat(GetParam().name, " is ")));
  EXPECT_THAT(status.message(), HasSubstr("; allowed is "));
}

INSTANTIATE_TEST_SUITE_P(
    Options, BadOptionTest,
    ::testing::Values(
        BadOption{"directory", [](auto* o) { o->directory.clear(); }},
        BadOption{"ring_bytes", [](auto* o) { o->ring_bytes = 65535; }},
        BadOption{"ring_bytes", [](auto* o) { o->ring_bytes = 2ull << 30; }},
        BadOption{"block_deadline",
                  [](auto* o) { o->block_deadline = -absl::Seconds(1); }},
        BadOption{"flush_interval",
                  [](auto* o) { o->flush_interval = absl::ZeroDuration(); }},
        BadOption{"flush_interval",
                  [](auto* o) { o->flush_interval = absl::Hours(1); }},
        BadOption{"sync_interval",
                  [](auto* o) { o->sync_interval = absl::ZeroDuration(); }},
        BadOption{"sync_interval",
                  [](auto* o) { o->sync_interval = absl::Hours(1); }},
        BadOption{"rotation.max_segment_bytes",
                  [](auto* o) { o->rotation.max_segment_bytes = 1; }},
        BadOption{
            "rotation.interval",
            [](auto* o) { o->rotation.interval = absl::Milliseconds(9); }},
        BadOption{"rotation.interval",
                  [](auto* o) { o->rotation.interval = -absl::Hours(1); }},
        BadOption{"rotation.offset",
                  [](auto* o) { o->rotation.offset = absl::Hours(1); }},
        BadOption{"rotation.offset",
                  [](auto* o) {
                    o->rotation.interval = absl::Hours(24);
                    o->rotation.offset = -absl::Hours(24);
                  }},
        BadOption{"retention.max_bytes",
                  [](auto* o) { o->retention.max_bytes = 64 << 20; }},
        BadOption{"retention.max_age",
                  [](auto* o) { o->retention.max_age = -absl::Seconds(1); }},
        BadOption{"segment_mode", [](auto* o) { o->segment_mode = 0440; }},
        BadOption{"segment_mode", [](auto* o) { o->segment_mode = 010600; }},
        BadOption{"compression_level",
                  [](auto* o) { o->compression_level = 0; }},
        BadOption{"compression_level",
                  [](auto* o) { o->compression_level = 20; }}));

TEST_F(RingLogSinkTest, ADirectoryWithoutAParentIsRefusedByName) {
  options_.directory = directory_ + "/a/b";
  EXPECT_THAT(RingLogSink::Create(options_).status().message(),
              HasSubstr(options_.directory));
}

TEST_F(RingLogSinkTest, AFileInPlaceOfTheDirectoryIsRefusedByName) {
  WriteFile(options_.directory, "");
  EXPECT_THAT(RingLogSink::Create(options_).status().message(),
              HasSubstr(options_.directory));
}

TEST_F(RingLogSinkTest, AForkedChildsEndLeavesTheRingToItsParent) {
  Open();
  LOG(INFO) << "before";
  absl::FlushLogSinks();
  const pid_t child = fork();
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

TEST_F(RingLogSinkTest, AForkedChildLogsThroughItsParentAlsoWithoutAFile) {
  auto sink = RingLogSink::CreateInMemory(options_);
  ASSERT_TRUE(sink.ok()) << sink.status();
  const pid_t child = fork();
  if (child == 0) {
    LOG(INFO).ToSinkOnly(sink->get()) << "of the child";
    _exit(0);
  }
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  ASSERT_TRUE((*sink)->Close().ok());
  EXPECT_THAT(AllText(options_.directory), EndsWith("] of the child\n"));
}

}  // namespace
}  // namespace ringlog
