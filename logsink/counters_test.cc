// Checks the counters of a sink, and the same counters in the output of
// `ringlog inspect` for the ring of a living process.

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
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"
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

// Returns the lines in which `ringlog inspect` shows these counters.
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

TEST(CountersTest, AreZeroAtFirst) {
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

// The process logs while its directory is blocked, drops records, writes all of
// them after the directory is unblocked, and stores its counters.
TEST(CountersTest, AgreeWithLogAndInspect) {
  const std::string directory = MakeTestDirectory();
  const RingLogSinkOptions options = Options(directory);
  const std::string counters_path = directory + "/counter_lines";
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
    // Drops are reported together with the next record.
    LOG(INFO) << "record " << logged++;
    write_all();
    const RingLogSinkCounters c = (*sink)->counters();
    WriteFile(counters_path, InspectLines(c));
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
  const std::string counter_lines = ReadFile(counters_path);
  const std::vector<std::string> expected =
      absl::StrSplit(counter_lines, '\n', absl::SkipEmpty());
  for (const std::string& line : expected) {
    EXPECT_THAT(shown, Contains(line));
  }
  // The counters also agree with the log.
  const std::vector<std::string> lines = AllLines(options.directory);
  uint64_t text_bytes = 0;
  for (const std::string& line : lines) text_bytes += line.size() + 1;
  EXPECT_THAT(counter_lines, ::testing::HasSubstr(absl::StrCat(
                                 ", ", text_bytes, " bytes of lines, ")));
}

}  // namespace
}  // namespace ringlog
