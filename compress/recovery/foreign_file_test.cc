// Attacks on recovery with files of other users: forged rings, files with the
// names of segments, links and copies. No attack may lose or duplicate a record
// of the victim, or change a foreign file.

#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/recovery/leftover_recovery.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/repair_checksums.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr uid_t kNobody = 65534;

uint64_t InodeOf(const std::string& path) {
  struct stat st;
  return stat(path.c_str(), &st) == 0 ? st.st_ino : 0;
}

// Returns true if this process may give files to other users. An ordinary user
// may not, nor may root in a sandbox that maps one user.
bool MayActForOthers() {
  const std::string path = MakeTestDirectory();
  return geteuid() == 0 && chown(path.c_str(), kNobody, kNobody) == 0;
}

class ForeignFileTest : public ::testing::Test {
 protected:
  // Makes a victim that has closed segment 1 and has died.
  void MakeVictim() {
    ScriptedProcess process(directory_, ScriptedProcess::OpenFrames());
    process.LogNumbered(5);
    process.Flush();
    process.EndSegment();
    segment_ = process.segment_path(1);
    ring_ = process.ring_path();
  }

  // Returns the bytes of a ring with `logged` records that no cursor covers. An
  // attacker has forged its header, so that its name is that of the victim's
  // ring.
  std::string ForgedRing(int logged) const {
    const std::string elsewhere = MakeTestDirectory();
    LogAndDie(elsewhere, logged);
    std::string bytes = ReadFile(FilesIn(elsewhere, ".ring").at(0));
    const std::string victim = ReadFile(ring_);
    RingHeader header;
    RingHeader of_victim;
    std::memcpy(&header, bytes.data(), sizeof header);
    std::memcpy(&of_victim, victim.data(), sizeof of_victim);
    // The name has the first four bytes of the ring id, the process and time.
    std::memcpy(header.ring_id, of_victim.ring_id, 4);
    header.process_id = of_victim.process_id;
    header.created_unix_ns = of_victim.created_unix_ns;
    std::memcpy(bytes.data(), &header, sizeof header);
    RepairRingGeometry(&bytes);
    RepairRingChecksums(&bytes);
    return bytes;
  }

  std::vector<std::string> Errors() const {
    std::vector<std::string> messages;
    for (const absl::Status& error :
         RecoverLeftovers(directory_, directory_).errors) {
      messages.emplace_back(error.message());
    }
    return messages;
  }

  const std::string directory_ = MakeTestDirectory();
  std::string segment_;
  std::string ring_;
};

// The forged ring has the victim's file name, and names the victim's segment.
TEST_F(ForeignFileTest, ForgedRingChangesNoSegmentOfTheVictim) {
  MakeVictim();
  const std::string before = ReadFile(segment_);
  const std::string forged = ForgedRing(3);
  ASSERT_EQ(unlink(ring_.c_str()), 0);
  WriteFile(ring_, forged);
  EXPECT_THAT(Errors(), IsEmpty());
  EXPECT_EQ(ReadFile(segment_), before);
  // The forged records are in another segment, which has the next number.
  EXPECT_THAT(FilesIn(directory_, ".000002.log.zst"), SizeIs(1));
}

TEST_F(ForeignFileTest, RingOfAnotherUserIsNotRecovered) {
  if (!MayActForOthers()) GTEST_SKIP() << "needs root";
  MakeVictim();
  const std::string before = ReadFile(segment_);
  const std::string forged = ForgedRing(3);
  ASSERT_EQ(unlink(ring_.c_str()), 0);
  WriteFile(ring_, forged);
  ASSERT_EQ(chmod(ring_.c_str(), 0600), 0);
  ASSERT_EQ(chown(ring_.c_str(), kNobody, kNobody), 0);
  EXPECT_THAT(Errors(), ElementsAre(HasSubstr("belongs to user 65534")));
  EXPECT_EQ(ReadFile(ring_), forged);
  EXPECT_EQ(FilesIn(directory_, ".zst"), std::vector<std::string>{segment_});
  EXPECT_EQ(ReadFile(segment_), before);
}

TEST_F(ForeignFileTest, RingThatOthersMayWriteToIsNotRecovered) {
  LogAndDie(directory_, 3);
  const std::string ring = FilesIn(directory_, ".ring").at(0);
  for (const mode_t mode : {0620, 0602}) {
    ASSERT_EQ(chmod(ring.c_str(), mode), 0);
    EXPECT_THAT(Errors(), ElementsAre(HasSubstr("may write to it")));
  }
  ASSERT_EQ(chmod(ring.c_str(), 0640), 0);
  EXPECT_THAT(Errors(), IsEmpty());
  EXPECT_EQ(TextsIn(directory_), NumberedTexts(3));
}

// The owner of the original is alive, and the copy is not locked.
TEST_F(ForeignFileTest, CopyOfALiveRingIsNotRecovered) {
  ScriptedProcess process(directory_, ScriptedProcess::OpenFrames());
  process.LogNumbered(4);
  process.Flush();
  process.LogNumbered(4);
  std::string copy = process.ring_path();
  copy.replace(copy.find("/server."), 8, "/copied.");
  WriteFile(copy, ReadFile(process.ring_path()));
  ASSERT_EQ(RunChild([&] {
              const std::vector<std::string> errors = Errors();
              EXPECT_THAT(errors, ElementsAre(HasSubstr("has the name")));
              _exit(HasFailure());
            }),
            0);
  process.Flush();
  process.EndSegment();
  EXPECT_EQ(TextsIn(directory_), NumberedTexts(8));
}

// A backup of the directory may have made the second name.
TEST_F(ForeignFileTest, RingWithTwoNamesIsRecovered) {
  LogAndDie(directory_, 3);
  const std::string ring = FilesIn(directory_, ".ring").at(0);
  const std::string before = ReadFile(ring);
  const std::string other = MakeTestDirectory() + "/other";
  ASSERT_EQ(link(ring.c_str(), other.c_str()), 0);
  const uint64_t inode = InodeOf(other);
  EXPECT_THAT(Errors(), IsEmpty());
  EXPECT_EQ(TextsIn(directory_), NumberedTexts(3));
  EXPECT_EQ(InodeOf(other), inode);
  EXPECT_EQ(ReadFile(other), before);
  EXPECT_FALSE(std::filesystem::exists(ring));
}

class TwoNamesTest : public ForeignFileTest {
 protected:
  // Makes a process that dies with records in an open frame and in its ring.
  void LeaveOpenFrame() {
    ScriptedProcess process(directory_, ScriptedProcess::OpenFrames());
    process.LogNumbered(2);
    process.Flush();
    process.LogNumbered(2);
    process.Flush();
    process.LogNumbered(2);
    process.TakeAndWrite();
    segment_ = process.segment_path(1);
  }
};

TEST_F(TwoNamesTest, SegmentIsReplacedByACopyBeforeItChanges) {
  LeaveOpenFrame();
  const std::string before = ReadFile(segment_);
  const std::string other = MakeTestDirectory() + "/other";
  ASSERT_EQ(link(segment_.c_str(), other.c_str()), 0);
  EXPECT_THAT(Errors(), IsEmpty());
  EXPECT_EQ(ReadFile(other), before);
  EXPECT_EQ(TextsIn(directory_), NumberedTexts(6));
  EXPECT_THAT(FilesIn(directory_, ".zst"), SizeIs(1));
}

// If protected_hardlinks is 0, an attacker can give a file of the victim a
// second name, that of a segment.
TEST_F(TwoNamesTest, LinkedFileIsNotTruncated) {
  LeaveOpenFrame();
  const std::string precious = MakeTestDirectory() + "/precious";
  WriteFile(precious, "precious");
  ASSERT_EQ(unlink(segment_.c_str()), 0);
  ASSERT_EQ(link(precious.c_str(), segment_.c_str()), 0);
  Errors();
  EXPECT_EQ(ReadFile(precious), "precious");
}

// The recovering program makes its own segments readable for everyone.
TEST_F(ForeignFileTest, SegmentGetsTheModeOfTheRingsProgram) {
  {
    ScriptedProcess::Options options = ScriptedProcess::OpenFrames();
    options.ring.segment_mode = 0600;
    ScriptedProcess process(directory_, options);
    process.LogNumbered(3);
  }
  SegmentWriterOptions readable;
  readable.mode = 0644;
  ASSERT_THAT(RecoverLeftovers(directory_, directory_, readable).recovered,
              SizeIs(1));
  struct stat st;
  ASSERT_EQ(stat(FilesIn(directory_, ".zst").at(0).c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
}

// A machine that was restored twice from one snapshot has two processes with
// one ring id. One of them is alive.
TEST_F(ForeignFileTest, SegmentThatAnotherProcessWritesIsNotTouched) {
  ScriptedProcess live(directory_, ScriptedProcess::OpenFrames());
  live.LogNumbered(2);
  live.Flush();
  live.LogNumbered(2);
  live.Flush();
  const std::string ring = live.ring_path();
  const std::string clone = ReadFile(ring);
  const std::string before = ReadFile(live.segment_path(1));
  ASSERT_EQ(rename(ring.c_str(), (MakeTestDirectory() + "/r").c_str()), 0);
  WriteFile(ring, clone);
  ASSERT_EQ(RunChild([&] {
              RecoverLeftovers(directory_, directory_);
              EXPECT_EQ(ReadFile(live.segment_path(1)), before);
              _exit(HasFailure());
            }),
            0);
}

// Root made the first ring, so that it is foreign after setuid(2).
TEST_F(ForeignFileTest, FindsOutOwnerAgainAfterSetuid) {
  if (!MayActForOthers()) GTEST_SKIP() << "needs root";
  // A child makes the ring, because a foreign ring of a living process is no
  // error.
  ASSERT_EQ(RunChild([&] { LogAndDie(directory_, 3); }), 0);
  ASSERT_EQ(chmod(directory_.c_str(), 01777), 0);
  ASSERT_EQ(RunChild([&] {
              // Relative paths, because the user may not search the parents.
              if (chdir(directory_.c_str()) != 0) _exit(2);
              if (setuid(kNobody) != 0) _exit(3);
              EXPECT_THAT(RecoverLeftovers(".", ".").errors, SizeIs(1));
              LogAndDie(".", 4);
              RecoverLeftovers(".", ".");
              EXPECT_THAT(FilesIn(".", ".ring"), SizeIs(1));
              EXPECT_THAT(FilesIn(".", ".zst"), SizeIs(1));
              _exit(HasFailure());
            }),
            0);
  EXPECT_THAT(Errors(), IsEmpty());
  EXPECT_THAT(FilesIn(directory_, ".ring"), IsEmpty());
}

}  // namespace
}  // namespace ringlog
