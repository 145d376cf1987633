// Programs that close all descriptors after the sink was created, like daemons,
// and then open other files. These files get the descriptor numbers of the
// ring, of the segment and of directories.
//
// Invariants checked:
//   - The program's files have what the program wrote, and stay open, also in
//     a forked child and when the sink is closed.
//   - Each record is in the segments once, in order.
//   - The cause is reported once.
//   - The ring stays locked.
//
// Oracle: the texts that the test logs, and libzstd.

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <vector>

#include "absl/log/log.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/fork_test_fixture.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// More than the descriptors that a sink has.
constexpr int kFiles = 16;

// Returns the number of ringlog's lines in `err`. A leak checker may add
// others.
size_t WarningsIn(const std::string& err) {
  const std::vector<std::string> parts = absl::StrSplit(err, "ringlog: ");
  return parts.size() - 1;
}

class ForeignDescriptorTest : public ForkFixture {
 protected:
  std::string PathOf(int i) const {
    return absl::StrCat(programs_, "/file", i);
  }

  // Closes all descriptors but 0 to 2.
  static void CloseAllDescriptors() {
    for (int fd = 3; fd < 256; ++fd) close(fd);
  }
  // Closes all descriptors but 0 to 2, and opens files of the program, which
  // get the numbers of the closed descriptors.
  void TakeAllDescriptors() {
    CloseAllDescriptors();
    for (int i = 0; i < kFiles; ++i) {
      files_.push_back(open(PathOf(i).c_str(), O_RDWR | O_CREAT, 0600));
      if (write(files_.back(), "mine", 4) != 4) _exit(101);
    }
  }
  bool FilesAreOpen() const {
    return std::all_of(files_.begin(), files_.end(), [](int fd) {
      struct stat st;
      return fstat(fd, &st) == 0 && st.st_size == 4;
    });
  }
  // Returns true if another process would find the ring locked.
  static bool RingIsLocked(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const absl::StatusOr<bool> is_locked = IsLocked(fd, path);
    close(fd);
    return is_locked.ok() && *is_locked;
  }
  void Log(int count) {
    for (int i = 0; i < count; ++i) LOG(INFO) << "record " << logged_++;
  }

  void ExpectFilesOfProgramUnchanged() const {
    std::vector<std::string> contents;
    for (int i = 0; i < kFiles; ++i) contents.push_back(ReadFile(PathOf(i)));
    EXPECT_THAT(contents, Each("mine"));
  }
  void ExpectRecords(int count) const {
    std::vector<std::string> expected;
    for (int i = 0; i < count; ++i) {
      expected.push_back(absl::StrCat("record ", i));
    }
    std::vector<std::string> texts;
    for (const std::string& line : AllLines(directory_)) {
      texts.push_back(TextOfLine(line));
    }
    EXPECT_EQ(texts, expected);
  }

  const std::string programs_ = MakeTestDirectory();
  std::vector<int> files_;
  int logged_ = 0;
};

TEST_F(ForeignDescriptorTest, InstalledSinkDoesNotChangeFilesOfProgram) {
  std::string err;
  ASSERT_EQ(RunChild(
                [this] {
                  RingLogSink* const sink = MustInstall();
                  Log(10);
                  sink->Flush();
                  TakeAllDescriptors();
                  Log(10);
                  sink->Flush();
                  if (AwaitChild(StartChild([this] {
                        if (!FilesAreOpen()) _exit(1);
                      })) != 0) {
                    _exit(102);
                  }
                  Log(10);
                  if (!sink->Rotate().ok()) _exit(103);
                  Log(10);
                  sink->Flush();
                  if (!RingIsLocked(sink->ring_path())) _exit(104);
                },
                &err),
            0);
  ExpectFilesOfProgramUnchanged();
  ExpectRecords(40);
  EXPECT_THAT(FilesIn(directory_, ".ring"), IsEmpty());
  EXPECT_THAT(err, HasSubstr("the program had closed descriptor"));
  EXPECT_EQ(WarningsIn(err), 1u) << err;
}

TEST_F(ForeignDescriptorTest, ReopensFilesWithTheirDescriptorNumbers) {
  std::string err;
  ASSERT_EQ(RunChild(
                [this] {
                  RingLogSink* const sink = MustInstall();
                  for (int i = 0; i < 3; ++i) {
                    Log(10);
                    sink->Flush();
                    CloseAllDescriptors();
                  }
                  Log(10);
                  sink->Flush();
                  if (sink->counters().write_errors != 0) _exit(1);
                  if (!sink->Rotate().ok()) _exit(103);
                  Log(10);
                  sink->Flush();
                  if (!RingIsLocked(sink->ring_path())) _exit(104);
                },
                &err),
            0);
  ExpectRecords(50);
  EXPECT_EQ(WarningsIn(err), 1u) << err;
}

TEST_F(ForeignDescriptorTest, ClosedSinkLeavesFilesOfProgramOpen) {
  ASSERT_EQ(RunChild([this] {
              auto sink = RingLogSink::Create(options_);
              if (!sink.ok()) _exit(100);
              LOG(INFO).ToSinkOnly(sink->get()) << "record 0";
              (*sink)->Flush();
              TakeAllDescriptors();
              LOG(INFO).ToSinkOnly(sink->get()) << "record 1";
              if (!(*sink)->Close().ok()) _exit(103);
              sink->reset();
              if (!FilesAreOpen()) _exit(1);
            }),
            0);
  ExpectFilesOfProgramUnchanged();
  ExpectRecords(2);
}

// With `sync`, fdatasync(2) of another file would report records as durable.
TEST_F(ForeignDescriptorTest, SyncedRecordsAreInSegment) {
  options_.sync = true;
  ASSERT_EQ(RunChild([this] {
              RingLogSink* const sink = MustInstall();
              Log(10);
              sink->Flush();
              TakeAllDescriptors();
              Log(10);
              sink->Flush();
              if (sink->counters().write_errors != 0) _exit(1);
            }),
            0);
  ExpectFilesOfProgramUnchanged();
  ExpectRecords(20);
}

}  // namespace
}  // namespace ringlog
