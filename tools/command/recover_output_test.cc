// Attacks on the output of `ringlog recover` by a user who may rename, replace
// or fill the directories in its path.
//
// The test skips attacks that need several users if it does not run as root. To
// attack at the right moment, the test replaces fdatasync(2), which recovery
// calls after it has written a file.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/other_boot.h"
#include "ringlog/testing/fixtures/repair_checksums.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"
#include "ringlog/tools/command/recover.h"

namespace ringlog {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A user without rights.
constexpr uid_t kOther = 65534;

std::function<void()> g_at_sync;

// Returns a directory with the ring of a dead process and a segment.
std::string CrashedDirectory() {
  std::string directory = MakeTestDirectory();
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.LogNumbered(5);
    process.Flush();
    process.LogNumbered(5);
  }
  const std::string ring = FilesIn(directory, ".ring").at(0);
  WriteFile(ring, WithOtherBootId(ReadFile(ring)));
  return directory;
}

ToolRun RunRecover(const std::string& path, const std::string& output) {
  return RunTool("ringlog", {"recover", path, "--out", output});
}

// Changes the owner to another user. Returns false if the test may not do this:
// it does not run as root, or the user namespace has no other users.
bool GiveAway(const std::string& path, gid_t group = kOther,
              uid_t user = kOther) {
  return geteuid() == 0 && chown(path.c_str(), user, group) == 0;
}
constexpr char kNeedsTwoUsers[] = "needs root, and the ids of other users";

std::vector<std::string> NamesIn(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename());
  }
  return names;
}

std::string StagingIn(const std::string& output) {
  for (const std::string& name : NamesIn(output)) {
    if (absl::StartsWith(name, ".ringlog-recover.") &&
        fs::is_directory(output + "/" + name)) {
      return name;
    }
  }
  ADD_FAILURE() << "no staging directory";
  return "";
}

// The owner of the directory above the output renames the output, and puts a
// symlink to a directory of another user in its place.
TEST(RecoverOutputTest, SymlinkInPlaceOfTheOutputIsNotFollowed) {
  const std::string source = CrashedDirectory();
  const std::string place = MakeTestDirectory();
  const std::string victim = MakeTestDirectory();
  g_at_sync = [&] {
    const std::string staging = StagingIn(place + "/out");
    fs::create_directory(victim + "/" + staging);
    WriteFile(absl::StrCat(victim, "/", staging, "/important"), "x");
    fs::rename(place + "/out", place + "/moved");
    fs::create_symlink(victim, place + "/out");
  };
  EXPECT_EQ(Recover({source}, place + "/out"), 0);
  ASSERT_EQ(g_at_sync, nullptr) << "the attack was not performed";
  ASSERT_THAT(NamesIn(victim), SizeIs(1));
  EXPECT_THAT(NamesIn(victim + "/" + NamesIn(victim)[0]),
              ElementsAre("important"));
  EXPECT_THAT(NamesIn(place + "/moved"), SizeIs(1));
  EXPECT_EQ(TextsIn(place + "/moved"), NumberedTexts(10));
}

// Members of the output's group replace the staging directory itself.
TEST(RecoverOutputTest, SymlinkInPlaceOfStagingIsNotFollowed) {
  const std::string source = CrashedDirectory();
  const std::string output = MakeTestDirectory();
  const std::string victim = MakeTestDirectory();
  WriteFile(victim + "/important", "x");
  g_at_sync = [&] {
    const std::string staging = output + "/" + StagingIn(output);
    fs::rename(staging, output + "/moved");
    fs::create_symlink(victim, staging);
  };
  EXPECT_EQ(Recover({source}, output), 0);
  ASSERT_EQ(g_at_sync, nullptr) << "the attack was not performed";
  EXPECT_THAT(NamesIn(victim), ElementsAre("important"));
  EXPECT_EQ(TextsIn(output), NumberedTexts(10));
}

TEST(RecoverOutputTest, StagingIsPrivateAndItsNameRandom) {
  const std::string source = CrashedDirectory();
  const std::string output = MakeTestDirectory();
  std::vector<std::string> names;
  for (int i = 0; i < 2; ++i) {
    g_at_sync = [&] {
      names.push_back(StagingIn(output));
      EXPECT_EQ(fs::status(output + "/" + names.back()).permissions(),
                fs::perms::owner_all);
    };
    EXPECT_EQ(Recover({source}, output), 0);
  }
  ASSERT_THAT(names, SizeIs(2));
  EXPECT_NE(names[0], names[1]);
}

TEST(RecoverOutputTest, LinksNamedLikeStagingAreNotFollowed) {
  const std::string source = CrashedDirectory();
  const std::string output = MakeTestDirectory();
  const std::string victim = MakeTestDirectory();
  WriteFile(victim + "/important", "x");
  fs::create_symlink(victim, output + "/.ringlog-recover.0123");
  const ToolRun run = RunRecover(source, output);
  EXPECT_EQ(run.exit_status, 0) << run.err;
  EXPECT_THAT(NamesIn(victim), ElementsAre("important"));
}

TEST(RecoverOutputTest, SymlinkAsOutputIsRefused) {
  const std::string source = CrashedDirectory();
  const std::string victim = MakeTestDirectory();
  const std::string link = MakeTestDirectory() + "/out";
  fs::create_symlink(victim, link);
  for (const char* suffix : {"", "/"}) {
    const ToolRun run = RunRecover(source, link + suffix);
    EXPECT_EQ(run.exit_status, 2);
    EXPECT_THAT(run.err, HasSubstr("a symlink; give the directory"));
    EXPECT_THAT(NamesIn(victim), IsEmpty());
  }
}

TEST(RecoverOutputTest, OutputThatEachUserMayWriteIsRefused) {
  const std::string source = CrashedDirectory();
  const std::string output = MakeTestDirectory();
  ASSERT_EQ(chmod(output.c_str(), 0777), 0);
  const ToolRun run = RunRecover(source, output);
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr(output + ": each user may write to it"));
  EXPECT_THAT(NamesIn(output), IsEmpty());
  // Other users cannot replace files in a sticky directory.
  ASSERT_EQ(chmod(output.c_str(), 01777), 0);
  EXPECT_EQ(RunRecover(source, output).exit_status, 0);
  // With umask 002, the group of this user may write to each new directory.
  ASSERT_EQ(chmod(output.c_str(), 0775), 0);
  EXPECT_EQ(RunRecover(source, output).exit_status, 0);
}

TEST(RecoverOutputTest, OutputOfAnotherUserIsRefused) {
  const std::string source = CrashedDirectory();
  const std::string output = MakeTestDirectory();
  if (!GiveAway(output)) GTEST_SKIP() << kNeedsTwoUsers;
  ToolRun run = RunRecover(source, output);
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr(output + ": belongs to user 65534"));
  EXPECT_THAT(NamesIn(output), IsEmpty());
  // The group has other users.
  ASSERT_TRUE(GiveAway(output, kOther, 0));
  ASSERT_EQ(chmod(output.c_str(), 0775), 0);
  run = RunRecover(source, output);
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr("group 65534 may write to it"));
  EXPECT_THAT(NamesIn(output), IsEmpty());
}

// Another user who may write to a directory of this user can move it into a
// shared output, under the name of a staging directory.
TEST(RecoverOutputTest, OnlyPrivateStagingsAreDeleted) {
  const std::string source = CrashedDirectory();
  const std::string output = MakeTestDirectory();
  ASSERT_EQ(RunRecover(source, output).exit_status, 0);
  const std::string segment = FilesIn(output, ".zst").at(0);
  const auto make = [&](const std::string& name, mode_t mode,
                        const std::string& file) {
    const std::string path = output + "/.ringlog-recover." + name;
    fs::create_directory(path);
    WriteFile(absl::StrCat(path, "/", file), "x");
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
  };
  const std::string of_segment(Basename(segment));
  make("shared", 01777, of_segment);
  make("stale", 0700, of_segment + ".tmp");
  make("probed", 0700, ".ringlog.owner.1.00000000000000ab");
  EXPECT_EQ(RunRecover(source, output).exit_status, 0);
  EXPECT_THAT(NamesIn(output + "/.ringlog-recover.shared"),
              ElementsAre(of_segment));
  EXPECT_FALSE(fs::exists(output + "/.ringlog-recover.stale"));
  EXPECT_FALSE(fs::exists(output + "/.ringlog-recover.probed"));
}

TEST(RecoverOutputTest, FilesOfAnotherUserInAStickyOutputStay) {
  const std::string source = CrashedDirectory();
  const std::string output = MakeTestDirectory();
  ASSERT_EQ(RunRecover(source, output).exit_status, 0);
  ASSERT_EQ(chmod(output.c_str(), 01777), 0);
  const std::string segment = FilesIn(output, ".zst").at(0);
  const std::string staging = output + "/.ringlog-recover.0123";
  fs::create_directory(staging);
  WriteFile(staging + "/file", "x");
  if (!GiveAway(segment)) GTEST_SKIP() << kNeedsTwoUsers;
  ASSERT_TRUE(GiveAway(staging));
  const ToolRun run = RunRecover(source, output);
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr(segment + ": belongs to user 65534"));
  EXPECT_THAT(NamesIn(staging), ElementsAre("file"));
  struct stat st;
  ASSERT_EQ(stat(segment.c_str(), &st), 0);
  EXPECT_EQ(st.st_uid, kOther);
  // The lock file belongs to another user.
  const std::string lock = output + "/.ringlog-recover.lock";
  WriteFile(lock, "");
  ASSERT_TRUE(GiveAway(lock));
  EXPECT_THAT(RunRecover(source, output).err, HasSubstr(lock + ": "));
}

TEST(RecoverOutputTest, SecondRunInOneOutputIsRefused) {
  const std::string source = CrashedDirectory();
  const std::string output = MakeTestDirectory();
  const std::string lock = output + "/.ringlog-recover.lock";
  const int fd = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_TRUE(LockFile(fd, lock).ok());
  const ToolRun run = RunRecover(source, output);
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr("another ringlog recover"));
  EXPECT_THAT(FilesIn(output, ".zst"), IsEmpty());
  close(fd);
  // The lock file of a killed run does not block the next run.
  EXPECT_EQ(RunRecover(source, output).exit_status, 0);
  EXPECT_THAT(NamesIn(output), SizeIs(1));
}

// Each user who may read a directory may lock it by flock(2).
TEST(RecoverOutputTest, LockOfAReaderDoesNotBlock) {
  const std::string source = CrashedDirectory();
  const std::string output = MakeTestDirectory();
  const int fd = open(output.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(syscall(SYS_flock, fd, /*LOCK_SH=*/1), 0);
  EXPECT_EQ(RunRecover(source, output).exit_status, 0);
  close(fd);
}

// The ring of another user names a directory of this user.
TEST(RecoverOutputTest, DirectoryThatAnUntrustedRingNamesIsNotOpened) {
  // The path must be short, because a ring has only the end of a long path.
  std::string segments = "/tmp/ringlog.XXXXXX";
  ASSERT_NE(mkdtemp(segments.data()), nullptr);
  const std::string rings = MakeTestDirectory();
  {
    ScriptedProcess process(rings, ScriptedProcess::OpenFrames(segments));
    process.LogNumbered(5);
    process.Flush();
    process.LogNumbered(5);
  }
  const std::string ring = FilesIn(rings, ".ring").at(0);
  WriteFile(ring, WithOtherBootId(ReadFile(ring)));
  const std::string segment = FilesIn(rings, ".zst").at(0);
  fs::copy(segment, segments);
  fs::remove(segment);
  const auto count_found = [&] {
    const std::string output = MakeTestDirectory();
    const ToolRun run = RunRecover(ring, output);
    EXPECT_EQ(absl::StrContains(run.err,
                                "not here; give their directory, "
                                "which may be " +
                                    segments),
              run.exit_status == 1);
    return TextsIn(output).size();
  };
  EXPECT_EQ(count_found(), 10u);
  // The command reads no directory into which other users may write, and no
  // directory that a ring names if other users may have made the ring.
  ASSERT_EQ(chmod(segments.c_str(), 0777), 0);
  EXPECT_EQ(count_found(), 5u);
  ASSERT_EQ(chmod(segments.c_str(), 0700), 0);
  ASSERT_EQ(chmod(ring.c_str(), 0622), 0);
  EXPECT_EQ(count_found(), 5u);
  ASSERT_EQ(chmod(ring.c_str(), 0600), 0);
  if (GiveAway(ring)) {
    EXPECT_EQ(count_found(), 5u);
  }
  fs::remove_all(segments);
}

// A machine was restored twice from one snapshot, so two processes have equal
// names and ring ids.
TEST(RecoverOutputTest, SegmentsOfAClonedProcessAreNotMerged) {
  const std::string one = CrashedDirectory();
  const std::string other = MakeTestDirectory();
  fs::copy(one, other, fs::copy_options::recursive);
  const std::string path = FilesIn(other, ".ring").at(0);
  std::string ring = ReadFile(path);
  RingHeader header;
  std::memcpy(&header, ring.data(), sizeof header);
  header.boot_id[1] ^= 1;
  std::memcpy(ring.data(), &header, sizeof header);
  std::memcpy(ring.data() + kRingHeaderCopyOffset, &header, sizeof header);
  RepairRingChecksums(&ring);
  WriteFile(path, ring);
  const std::string output = MakeTestDirectory();
  const ToolRun run =
      RunTool("ringlog", {"recover", one, other, "--out", output});
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr(path + ": "));
  EXPECT_THAT(run.err, HasSubstr("into different directories"));
  EXPECT_EQ(TextsIn(output), NumberedTexts(10));
}

}  // namespace
}  // namespace ringlog

extern "C" int fdatasync(int fd) {
  if (ringlog::g_at_sync != nullptr) std::exchange(ringlog::g_at_sync, {})();
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}
