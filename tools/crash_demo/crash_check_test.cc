// Tests that CrashCheck accepts the files of a correct sink and reports each
// kind of error. The files are made by hand.

#include "ringlog/tools/crash_demo/crash_check.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringlog/ring/record.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/tools/crash_demo/crash_workload.h"

namespace ringlog {
namespace {

ScriptedProcess::Options BigRing() {
  ScriptedProcess::Options options = ScriptedProcess::DefaultOptions();
  options.ring.slot_count = 256;
  return options;
}

class CrashCheckTest : public ::testing::Test {
 protected:
  CrashCheckTest() : process_(directory_, BigRing()) {}

  // Returns the correct record number `n` of `thread`.
  Record CorrectRecord(int thread, uint64_t n) {
    item_ = workload_.Get(thread, n);
    Record record = TestRecord(++microseconds_, item_.text);
    record.thread_id = thread;
    record.line = static_cast<int32_t>(n);
    record.file = workload_.name();
    record.severity = item_.severity;
    return record;
  }
  void Log(int thread, uint64_t n) { process_.Log(CorrectRecord(thread, n)); }
  void LogUpTo(int thread, uint64_t last) {
    for (uint64_t n = 1; n <= last; ++n) Log(thread, n);
  }

  CrashCounts Check(const std::vector<uint64_t>& acknowledged) {
    return CrashCheck(&workload_, acknowledged).Run(directory_);
  }

  const CrashWorkload workload_ = CrashWorkload::MadeUp();
  const std::string directory_ = MakeTestDirectory();
  ScriptedProcess process_;
  WorkItem item_;
  int64_t microseconds_ = 0;
};

TEST_F(CrashCheckTest, AcceptsFilesOfCorrectSink) {
  LogUpTo(1, 20);
  process_.Flush();
  process_.EndSegment();
  LogUpTo(2, 10);
  process_.Flush();
  Log(1, 21);
  Log(2, 11);  // LOG() had not returned
  process_.LeaveUnfinished();
  const CrashCounts counts = Check({21, 10});
  EXPECT_TRUE(counts.ok());
  EXPECT_EQ(counts.acknowledged, 31);
  EXPECT_EQ(counts.in_segments, 30);
  EXPECT_EQ(counts.in_ring, 2);
  EXPECT_EQ(counts.unacknowledged, 1);
  EXPECT_EQ(counts.unfinished, 1);
}

TEST_F(CrashCheckTest, CountsLostRecords) {
  Log(1, 1);
  Log(1, 3);
  const CrashCounts counts = Check({4, 2});
  EXPECT_FALSE(counts.ok());
  EXPECT_EQ(counts.lost, 4)
      << "records 2 and 4 of thread 1, records 1 and 2 of thread 2";
}

TEST_F(CrashCheckTest, RecordInDeletedSegmentIsLost) {
  LogUpTo(1, 5);
  process_.Flush();
  process_.EndSegment();
  Log(1, 6);
  process_.Flush();
  EXPECT_TRUE(Check({6}).ok());
  std::filesystem::remove(process_.segment_path(1));
  const CrashCounts counts = Check({6});
  EXPECT_FALSE(counts.ok());
  EXPECT_EQ(counts.lost, 5);
}

TEST_F(CrashCheckTest, DamagedRingRecordIsLost) {
  LogUpTo(1, 3);
  std::string content = ReadFile(process_.ring_path());
  content[content.find(workload_.Get(1, 2).text)] ^= 1;
  WriteFile(process_.ring_path(), content);
  const CrashCounts counts = Check({3});
  EXPECT_FALSE(counts.ok());
  EXPECT_EQ(counts.lost, 1);
  EXPECT_EQ(counts.problems, 1);
}

TEST_F(CrashCheckTest, CountsDuplicatedRecords) {
  LogUpTo(1, 3);
  process_.Flush();
  Log(1, 2);
  Log(1, 3);
  const CrashCounts counts = Check({3});
  EXPECT_FALSE(counts.ok());
  EXPECT_EQ(counts.duplicated, 2);
  EXPECT_EQ(counts.lost, 0);
}

TEST_F(CrashCheckTest, CountsReorderedRecords) {
  Log(1, 1);
  Log(1, 3);
  Log(2, 1);  // Records of different threads have no order.
  Log(1, 2);
  Log(1, 4);
  const CrashCounts counts = Check({4, 1});
  EXPECT_FALSE(counts.ok());
  EXPECT_EQ(counts.out_of_order, 1);
  EXPECT_EQ(counts.lost + counts.duplicated, 0);
}

TEST_F(CrashCheckTest, CountsChangedRecords) {
  Record record = CorrectRecord(1, 1);
  record.severity = Severity::kFatal;
  process_.Log(record);
  record = CorrectRecord(1, 2);
  const std::string longer = absl::StrCat(record.text, " ");
  record.text = longer;
  process_.Log(record);
  record = CorrectRecord(1, 3);
  record.file = "other.cc";
  process_.Log(record);
  const std::string other = workload_.Get(1, 5).text;
  record = CorrectRecord(1, 4);
  record.text = other;
  process_.Log(record);
  const CrashCounts counts = Check({4});
  EXPECT_FALSE(counts.ok());
  EXPECT_EQ(counts.changed, 4);
  EXPECT_EQ(counts.lost, 0);
}

TEST_F(CrashCheckTest, CountsForeignRecords) {
  LogUpTo(1, 2);
  Log(1, 4);  // Only record 3 may be found before it is acknowledged.
  process_.Log(CorrectRecord(3, 1));
  process_.Log(TestRecord(1, "by another program"));
  const CrashCounts counts = Check({2, 0});
  EXPECT_FALSE(counts.ok());
  EXPECT_EQ(counts.foreign, 3);
}

TEST_F(CrashCheckTest, ReportsDroppedRecords) {
  for (uint64_t n = 1;
       process_.ring()->dropped(DropCause::kRingFull, Severity::kInfo) == 0;
       ++n) {
    Log(1, n);
  }
  EXPECT_FALSE(Check({0}).ok());
  EXPECT_EQ(Check({0}).problems, 1);
}

TEST_F(CrashCheckTest, ReportsDirectoryWithoutLogs) {
  std::filesystem::remove(process_.ring_path());
  const CrashCounts counts = Check({1});
  EXPECT_FALSE(counts.ok());
  EXPECT_EQ(counts.lost, 1);
}

TEST_F(CrashCheckTest, ReturnsLastLines) {
  LogUpTo(1, 9);
  process_.Flush();
  Log(1, 10);
  CrashCheck check(&workload_, {10});
  check.Run(directory_);
  ASSERT_EQ(check.last_lines().size(), 5);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NE(check.last_lines().get_from_back(i).find(
                  absl::StrCat(" 1 made_up:", 10 - i, "] ")),
              std::string::npos);
  }
}

TEST(CrashWorkloadTest, ReadsLinesOfFile) {
  const std::string path = MakeTestDirectory() + "/odd name]:x.log";
  WriteFile(path, std::string("a\r\n\n\tb \xFF \0 c\nlast", 17));
  const absl::StatusOr<CrashWorkload> workload = CrashWorkload::FromFile(path);
  ASSERT_TRUE(workload.ok()) << workload.status();
  EXPECT_EQ(workload->Get(1, 1).text, "a\r");
  EXPECT_EQ(workload->Get(1, 2).text, "");
  EXPECT_EQ(workload->Get(2, 3).text, std::string("\tb \xFF \0 c", 8));
  EXPECT_EQ(workload->Get(1, 4).text, "last");
  EXPECT_EQ(workload->Get(1, 5).text, "a\r") << "the lines must repeat";
  EXPECT_EQ(workload->name(), "odd_name__x.log");
}

TEST(CrashWorkloadTest, GeneratedLinesAreVariedAndFixed) {
  const CrashWorkload workload = CrashWorkload::MadeUp();
  const CrashWorkload again = CrashWorkload::MadeUp();
  bool empty = false, broken = false, large = false, no_text = false;
  for (uint64_t n = 1; n <= 2000; ++n) {
    const WorkItem item = workload.Get(3, n);
    EXPECT_EQ(item.text, again.Get(3, n).text);
    EXPECT_EQ(item.severity, again.Get(3, n).severity);
    empty |= item.text.empty();
    broken |= absl::StrContains(item.text, '\n');
    large |= item.text.size() > 5000;
    no_text |= absl::StrContains(item.text, '\xFF');
  }
  EXPECT_TRUE(empty && broken && large && no_text);
}

// Abseil truncates a text only if it is longer than its buffer.
TEST(CrashCheckLongTextTest, AcceptsTruncatedPrefixOnly) {
  const std::string directory = MakeTestDirectory();
  const std::string text(20000, 'x');
  WriteFile(directory + "/input", text);
  const absl::StatusOr<CrashWorkload> workload =
      CrashWorkload::FromFile(directory + "/input");
  ASSERT_TRUE(workload.ok()) << workload.status();
  ScriptedProcess process(directory, BigRing());
  const std::string other = std::string(14500, 'x') + "y";
  for (const std::string& logged :
       {text.substr(0, 14900), text.substr(0, 13000), other}) {
    static int32_t line = 0;
    Record record = TestRecord(1, logged);
    record.thread_id = 1;
    record.line = ++line;
    record.file = workload->name();
    record.severity = workload->Get(1, static_cast<uint64_t>(line)).severity;
    process.Log(record);
  }
  const CrashCounts counts = CrashCheck(&*workload, {3}).Run(directory);
  EXPECT_EQ(counts.changed, 2);
  EXPECT_EQ(counts.lost, 0);
}

}  // namespace
}  // namespace ringlog
