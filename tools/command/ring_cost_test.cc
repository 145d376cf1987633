// Limits the cost of the commands for any ring. A command needs at most 16 MiB
// of memory more than without a ring, and reads only blocks that are on the
// disk.

#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/costly_rings.h"
#include "ringlog/testing/fixtures/repair_checksums.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kMiB = 1 << 20;
constexpr int64_t kMaxMemoryKib = 16 << 10;

// The result of a run of the program, without the output. The output would
// enlarge the memory with which the children of the test begin.
struct Outcome {
  int exit_status = 0;
  int64_t max_rss_kib = 0;
  uint64_t read_bytes = 0;
};

Outcome RunRinglog(const std::vector<std::string>& arguments) {
  int fds[2];
  PCHECK(pipe(fds) == 0);
  EXPECT_EQ(RunChild([&] {
              ToolOptions options;
              options.stdout_path = "/dev/null";
              const ToolRun run = RunTool("ringlog", arguments, options);
              const Outcome result = {run.exit_status, run.max_rss_kib,
                                      run.read_bytes};
              PCHECK(write(fds[1], &result, sizeof result) == sizeof result);
            }),
            0);
  Outcome run;
  PCHECK(read(fds[0], &run, sizeof run) == sizeof run);
  close(fds[0]);
  close(fds[1]);
  return run;
}

class RingCostTest : public ::testing::Test {
 protected:
  // Runs all commands that read a ring. Each must read at most
  // `max_read_bytes` bytes, and exit with at most `max_status`.
  void ExpectCheap(const std::string& ring, int max_status,
                   uint64_t max_read_bytes) {
    const std::string out = absl::StrCat(MakeTestDirectory(), "/out");
    const int64_t before = RunRinglog({"cat", MakeTestDirectory()}).max_rss_kib;
    for (const std::vector<std::string>& arguments :
         std::vector<std::vector<std::string>>{
             {"inspect", ring},
             {"cat", ring},
             {"cat", "--format=json", ring},
             {"verify", ring},
             {"recover", "--out", out, ring}}) {
      const std::string& command = arguments[0];
      const Outcome run = RunRinglog(arguments);
      EXPECT_LE(run.exit_status, max_status) << command;
      EXPECT_LE(run.max_rss_kib, before + kMaxMemoryKib) << command;
      EXPECT_LE(run.read_bytes, max_read_bytes) << command;
    }
  }

  const std::string directory_ = MakeTestDirectory();
};

TEST_F(RingCostTest, BoundsCostOfFullRing) {
  // The limit includes the check of the segment that recovery has written.
  ExpectCheap(MakeFullRing(directory_, 64), 0, 5 * 64 * kMiB);
}

TEST_F(RingCostTest, BoundsCostOfSparseRing) {
  ExpectCheap(MakeSparseRing(directory_, kMaxSlotCount / 2), 1, 2 * kMiB);
}

TEST_F(RingCostTest, BoundsCostOfRingThatExceedsFormat) {
  ExpectCheap(MakeSparseRing(directory_, kMaxSlotCount), 2, 2 * kMiB);
}

TEST_F(RingCostTest, BoundsCostOfLongRecord) {
  ExpectCheap(MakeRingOfLongRecord(directory_), 0, 5 * 64 * kMiB);
}

TEST_F(RingCostTest, BoundsCostOfManyGaps) {
  ExpectCheap(MakeRingOfGaps(directory_), 1, 200 * kMiB);
}

TEST_F(RingCostTest, BoundsCostOfCrashReports) {
  ExpectCheap(MakeRingOfCrashReports(directory_), 1, 10 * kMiB);
}

TEST_F(RingCostTest, BoundsCostOfRingWithoutHeaders) {
  ExpectCheap(MakeRingOfSeeds(directory_), 2, 2000 * kMiB);
}

// Process 1 is alive, but does not map the ring.
TEST_F(RingCostTest, DoesNotCopyRingWithForgedOwner) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, to see mappings";
  const std::string path = MakeFullRing(directory_, 16);
  std::string ring = ReadFile(path);
  RingHeader header;
  std::memcpy(&header, ring.data(), sizeof header);
  header.process_id = 1;
  header.process_start_ticks = 0;
  std::memcpy(ring.data(), &header, sizeof header);
  std::memcpy(ring.data() + kRingHeaderCopyOffset, &header, sizeof header);
  RepairRingChecksums(&ring);
  WriteFile(path, ring);
  ToolOptions options;
  options.environment = {"TMPDIR=/nonexistent"};
  options.stdout_path = "/dev/null";
  const ToolRun run = RunTool("ringlog", {"cat", path}, options);
  EXPECT_EQ(run.exit_status, 0) << run.err;
}

// The fixture has a ring of 64 MiB that is in use. It is full of records that
// are in no segment.
class LiveRingCostTest : public RingCostTest {
 protected:
  LiveRingCostTest() {
    owner_ = StartChild([this] {
      RingOptions options;
      options.slot_count = uint64_t{64} * 2048;
      const absl::StatusOr<std::unique_ptr<Ring>> ring =
          Ring::CreateIn(directory_, RingFileName, options);
      CHECK_OK(ring);
      const std::string text(300, 't');
      for (int64_t i = 0; i < kRecords; ++i) {
        CHECK(LogRecord(TestRecord(i, text), ring->get()) ==
              Ring::AppendResult::kAppended);
      }
      is_full_.Send();
      is_read_.Await();
    });
    is_full_.Await();
    path_ = FilesIn(directory_, ".ring").at(0);
  }
  ~LiveRingCostTest() override {
    is_read_.Send();
    AwaitChild(owner_);
  }

  static constexpr int64_t kRecords = 100000;
  Signal is_full_;
  Signal is_read_;
  pid_t owner_ = 0;
  std::string path_;
};

TEST_F(LiveRingCostTest, KeepsRecordsInFileInsteadOfMemory) {
  const int64_t before = RunRinglog({"cat", MakeTestDirectory()}).max_rss_kib;
  for (const std::string command : {"inspect", "cat", "verify"}) {
    const Outcome run = RunRinglog({command, path_});
    EXPECT_EQ(run.exit_status, 0) << command;
    EXPECT_LE(run.max_rss_kib, before + kMaxMemoryKib) << command;
  }
}

TEST_F(LiveRingCostTest, ReportsTmpdirIfFileCannotBeCreated) {
  ToolOptions options;
  options.environment = {"TMPDIR=/nonexistent"};
  const ToolRun run = RunTool("ringlog", {"cat", path_}, options);
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err,
              HasSubstr("create a file in /nonexistent: No such file or "
                        "directory; TMPDIR can name a directory with more "
                        "room"));
  EXPECT_EQ(RunRinglog({"inspect", path_}).exit_status, 0);
}

}  // namespace
}  // namespace ringlog
