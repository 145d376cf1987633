// Tests whether recovery identifies the segments of its ring, if their mode
// permits others to write to them, or if the system does not show their owner.
// Recovery writes the records of a foreign segment again.

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/recovery/leftover_recovery.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/ordinary_user.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr mode_t kGroupWrites = 0660;

// Limits the size of the files that this process writes, and sets the action of
// SIGXFSZ.
void LimitFileSize(rlim_t bytes, void (*action)(int)) {
  signal(SIGXFSZ, action);
  const rlimit no_core = {0, 0};
  const rlimit size = {bytes, bytes};
  if (setrlimit(RLIMIT_CORE, &no_core) != 0 ||
      setrlimit(RLIMIT_FSIZE, &size) != 0) {
    _exit(2);
  }
}

class OwnSegmentTest : public ::testing::Test {
 protected:
  OwnSegmentTest() : umask_(umask(0)) {}
  ~OwnSegmentTest() override { umask(umask_); }

  static ScriptedProcess::Options WithMode(mode_t mode) {
    ScriptedProcess::Options options = ScriptedProcess::OpenFrames();
    options.ring.segment_mode = mode;
    return options;
  }

  // Makes a process that dies with four records in an open frame. Two more
  // records are in its ring, and in the segment after the bytes that count.
  static void DieBeforePublish(const std::string& directory, mode_t mode) {
    ScriptedProcess process(directory, WithMode(mode));
    LogOpenFrame(&process);
    process.LogNumbered(2);
    process.TakeAndWrite();
  }
  static void LogOpenFrame(ScriptedProcess* process) {
    for (int batch = 0; batch < 2; ++batch) {
      process->LogNumbered(2);
      process->Flush();
    }
  }

  // Makes a process that dies with a closed segment and three records in its
  // ring.
  void DieAfterSegment() const {
    ScriptedProcess process(directory_, WithMode(kGroupWrites));
    process.LogNumbered(2);
    process.Flush();
    process.EndSegment();
    process.LogNumbered(3);
  }

  std::vector<absl::Status> Errors() const {
    return RecoverLeftovers(directory_, directory_).errors;
  }
  std::vector<std::string> Segments() const {
    return FilesIn(directory_, ".zst");
  }

  const std::string directory_ = MakeTestDirectory();

 private:
  const mode_t umask_;
};

TEST_F(OwnSegmentTest, ContinuesSegmentWhoseModePermitsOthersToWrite) {
  for (const mode_t mode : {0620, 0602, 0660, 0666, 0777}) {
    const std::string directory = MakeTestDirectory();
    DieBeforePublish(directory, mode);
    EXPECT_THAT(RecoverLeftovers(directory, directory).errors, IsEmpty());
    EXPECT_THAT(FilesIn(directory, ".zst"), SizeIs(1));
    EXPECT_EQ(TextsIn(directory), NumberedTexts(6));
  }
}

// The program changed `segment_mode` after it made the ring.
TEST_F(OwnSegmentTest, AcceptsModeOfRecoveringProgram) {
  DieBeforePublish(directory_, 0640);
  ASSERT_EQ(chmod(Segments().at(0).c_str(), kGroupWrites), 0);
  SegmentWriterOptions options;
  options.mode = kGroupWrites;
  EXPECT_THAT(RecoverLeftovers(directory_, directory_, options).errors,
              IsEmpty());
  EXPECT_THAT(Segments(), SizeIs(1));
  EXPECT_EQ(TextsIn(directory_), NumberedTexts(6));
}

// Neither the ring nor the recovering program permits the group to write.
TEST_F(OwnSegmentTest, SegmentThatOthersMayWriteToIsNotTouched) {
  DieBeforePublish(directory_, 0640);
  const std::string segment = Segments().at(0);
  const std::string before = ReadFile(segment);
  ASSERT_EQ(chmod(segment.c_str(), kGroupWrites), 0);
  EXPECT_THAT(Errors(), IsEmpty());
  EXPECT_EQ(ReadFile(segment), before);
}

TEST_F(OwnSegmentTest, KilledAttemptIsReplacedByTheNext) {
  DieAfterSegment();
  EXPECT_EQ(RunChild([this] {
              LimitFileSize(40, SIG_DFL);
              Errors();
            }),
            SIGXFSZ);
  EXPECT_THAT(Segments(), SizeIs(2));
  EXPECT_THAT(Errors(), IsEmpty());
  EXPECT_THAT(Segments(), SizeIs(2));
  EXPECT_EQ(TextsIn(directory_), NumberedTexts(5));
}

TEST_F(OwnSegmentTest, FailedAttemptLeavesNoSegment) {
  DieAfterSegment();
  EXPECT_EQ(RunChild([this] {
              LimitFileSize(40, SIG_IGN);
              EXPECT_THAT(Errors(), SizeIs(1));
              _exit(HasFailure());
            }),
            0);
  EXPECT_THAT(Segments(), SizeIs(1));
  EXPECT_THAT(Errors(), IsEmpty());
  EXPECT_EQ(TextsIn(directory_), NumberedTexts(5));
}

// The process must create a file to find out the owner of its files. It may do
// so in the directory of the ring, but not in that of the segments.
TEST_F(OwnSegmentTest, RingStaysWhileTheOwnerOfItsSegmentsIsUnknown) {
  const OrdinaryUser user;
  EXPECT_EQ(
      RunChild([&user] {
        user.Become();
        const std::string rings = user.directory() + "/rings";
        const std::string segments = user.directory() + "/segments";
        if (mkdir(rings.c_str(), 0700) != 0) _exit(2);
        if (mkdir(segments.c_str(), 0700) != 0) _exit(3);
        {
          ScriptedProcess process(segments, WithMode(0640));
          LogOpenFrame(&process);
        }
        const std::string old_path = FilesIn(segments, ".ring").at(0);
        const std::string ring = absl::StrCat(rings, "/", Basename(old_path));
        if (rename(old_path.c_str(), ring.c_str()) != 0) _exit(4);
        ASSERT_EQ(chmod(segments.c_str(), 0500), 0);
        EXPECT_TRUE(absl::IsUnavailable(
            RecoverLeftover(ring, segments, SegmentWriterOptions()).status()));
        EXPECT_THAT(FilesIn(rings, ".ring"), SizeIs(1));
        ASSERT_EQ(chmod(segments.c_str(), 0700), 0);
        EXPECT_TRUE(
            RecoverLeftover(ring, segments, SegmentWriterOptions()).ok());
        EXPECT_TRUE(IsClosed(FilesIn(segments, ".zst").at(0)));
        EXPECT_EQ(TextsIn(segments), NumberedTexts(4));
        _exit(HasFailure());
      }),
      0);
}

TEST_F(OwnSegmentTest, RingStaysWhileItsSegmentCannotBeOpened) {
  const OrdinaryUser user;
  EXPECT_EQ(
      RunChild([&user] {
        user.Become();
        const std::string directory = user.directory() + "/logs";
        if (mkdir(directory.c_str(), 0700) != 0) _exit(2);
        DieBeforePublish(directory, 0640);
        const std::string segment = FilesIn(directory, ".zst").at(0);
        ASSERT_EQ(chmod(segment.c_str(), 0440), 0);
        EXPECT_THAT(RecoverLeftovers(directory, directory).errors, SizeIs(1));
        EXPECT_THAT(FilesIn(directory, ".zst"), SizeIs(1));
        ASSERT_EQ(chmod(segment.c_str(), 0640), 0);
        EXPECT_THAT(RecoverLeftovers(directory, directory).errors, IsEmpty());
        EXPECT_EQ(TextsIn(directory), NumberedTexts(6));
        _exit(HasFailure());
      }),
      0);
}

}  // namespace
}  // namespace ringlog
