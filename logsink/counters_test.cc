// The counters that a sink tells of itself are true, and those that `ringlog
// inspect` shows of its ring from outside.

#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/log/log_sink_registry.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/gap.h"
#include "ringlog/testing/harness/blocked_directory.h"
#include "ringlog/testing/harness/read_segments.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::Contains;

RingLogSinkOptions Options(const std::string& directory) {
  RingLogSinkOptions options;
  options.directory = directory + "/logs";
  options.ring_directory = directory + "/rings";
  options.ring_bytes = 64 << 10;
  options.flush_interval = absl::Milliseconds(1);
  return options;
}

// The lines in which `ringlog inspect` would say the same.
std::string InspectLines(const RingLogSinkCounters& c) {
  std::string lines = absl::StrCat(
      "  in use          ", c.used_slots, " of ", c.ring_slots, " slots\n",
      "  shortened       ", c.cut_records,
      " records longer than the ring allows\n", "  dropped         ",
      c.dropped_records, " records\n", "  flusher         ", c.written_records,
      " records, ", c.text_bytes, " bytes of lines, ", c.compressed_bytes,
      " bytes written, ", c.segments, " segments begun, ", c.skipped_slots,
      " slots skipped\n", "  last write      ",
      absl::FormatTime("%Y-%m-%d %H:%M:%E6S UTC", c.last_write_time,
                       absl::UTCTimeZone()),
      ", of records up to ", absl::FormatDuration(c.lag), " old\n",
      "  write errors    ", c.write_errors,
      ", the last: ", absl::StatusCodeToString(c.last_error), "\n");
  for (size_t cause = 0; cause < c.dropped.size(); ++cause) {
    absl::StrAppendFormat(&lines, "    %-14s",
                          GapCauseName(static_cast<GapCause>(cause)));
    for (const uint64_t count : c.dropped[cause]) {
      absl::StrAppendFormat(&lines, "%12d", count);
    }
    lines += '\n';
  }
  return lines;
}

TEST(CountersTest, OfASinkThatHasDoneNothingAreZero) {
  const auto sink = RingLogSink::Create(Options(MakeTestDirectory()));
  ASSERT_TRUE(sink.ok()) << sink.status();
  const RingLogSinkCounters c = (*sink)->counters();
  EXPECT_EQ(c.written_records + c.text_bytes + c.compressed_bytes + c.segments +
                c.dropped_records + c.cut_records + c.write_errors +
                c.skipped_slots + c.used_slots,
            0u);
  EXPECT_EQ(c.last_error, absl::StatusCode::kOk);
  EXPECT_EQ(c.last_write_time, absl::InfinitePast());
  EXPECT_EQ(c.ring_slots, 128u) << "64 KiB of 512 bytes each";
}

// The process logs, finds its directory blocked, drops, goes on when it is
// there again, and tells its counters when it is quiet.
TEST(CountersTest, AreTrueAndAgreeWithWhatInspectShowsOfALivingProcess) {
  const std::string directory = MakeTestDirectory();
  const RingLogSinkOptions options = Options(directory);
  const std::string told_path = directory + "/told";
  Signal is_quiet, may_end;
  const pid_t child = StartChild([&] {
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
    const auto sink = Install(options);
    if (!sink.ok()) _exit(1);
    WaitForRecovery(absl::InfiniteDuration());
    BlockedDirectory blocked(options.directory);
    blocked.Block();
    uint64_t logged = 0;
    while ((*sink)->counters().dropped_records == 0) {
      LOG(INFO) << "record " << logged++;
    }
    for (int i = 0; i < 20; ++i) LOG(WARNING) << "warning";
    while ((*sink)->counters().write_errors == 0) {
    }
    blocked.Unblock();
    const auto write_all = [&] {
      while ((*sink)->counters().used_slots != 0) absl::FlushLogSinks();
    };
    write_all();
    // What was dropped is told with the next record.
    LOG(INFO) << "record " << logged++;
    write_all();
    const RingLogSinkCounters c = (*sink)->counters();
    WriteFile(told_path, InspectLines(c));
    is_quiet.Send();
    may_end.Await();
    if (c.written_records + c.dropped_records != logged + 20) _exit(2);
    if (c.segments == 0 || c.compressed_bytes == 0) _exit(3);
  });
  is_quiet.Await();
  const std::vector<std::string> rings =
      FilesIn(options.ring_directory, ".ring");
  ASSERT_EQ(rings.size(), 1u);
  const ToolRun inspect = RunTool("ringlog", {"inspect", rings[0]});
  may_end.Send();
  EXPECT_EQ(AwaitChild(child), 0);
  EXPECT_EQ(inspect.exit_status, 1) << "records have been dropped";
  const std::vector<std::string> shown = absl::StrSplit(inspect.out, '\n');
  const std::string told = ReadFile(told_path);
  const std::vector<std::string> expected =
      absl::StrSplit(told, '\n', absl::SkipEmpty());
  for (const std::string& line : expected) {
    EXPECT_THAT(shown, Contains(line));
  }
  // And with what the log holds.
  const std::vector<std::string> lines = AllLines(options.directory);
  uint64_t text_bytes = 0;
  for (const std::string& line : lines) text_bytes += line.size() + 1;
  EXPECT_THAT(told, ::testing::HasSubstr(
                        absl::StrCat(", ", text_bytes, " bytes of lines, ")));
}

}  // namespace
}  // namespace ringlog
