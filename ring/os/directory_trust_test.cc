#include "ringlog/ring/os/directory_trust.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/testing/harness/ordinary_user.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;

// A user that is neither root nor the one of the test.
constexpr uid_t kForeign = 65534;

mode_t ModeOf(const std::string& path) {
  struct stat st;
  EXPECT_EQ(lstat(path.c_str(), &st), 0) << path;
  return st.st_mode & ALLPERMS;
}

class DirectoryTrustTest : public ::testing::Test {
 protected:
  ~DirectoryTrustTest() override { umask(umask_); }

  // Creates a symlink `name` of `owner` that leads to a directory.
  void MakeLink(const std::string& name, uid_t owner) const {
    const std::string target = MakeTestDirectory();
    ASSERT_EQ(symlink(target.c_str(), name.c_str()), 0);
    ASSERT_EQ(lchown(name.c_str(), owner, static_cast<gid_t>(-1)), 0);
  }

  const std::string base_ = MakeTestDirectory();
  const std::string path_ = base_ + "/logs";
  const mode_t umask_ = umask(022);
};

TEST_F(DirectoryTrustTest, NewDirectoryIsClosedToOthersWhateverTheUmask) {
  for (const mode_t mask : {0u, 02u, 022u, 027u, 077u, 0277u, 0700u, 0777u}) {
    umask(mask);
    const std::string path = absl::StrCat(path_, mask);
    EXPECT_TRUE(MakeDirectory(path).ok());
    EXPECT_EQ(ModeOf(path), (0750u & ~mask) | 0700u) << mask;
  }
}

TEST_F(DirectoryTrustTest, ExistingDirectoryStaysAsItIs) {
  ASSERT_EQ(mkdir(path_.c_str(), 0), 0);
  ASSERT_EQ(chmod(path_.c_str(), 01505), 0);
  EXPECT_TRUE(MakeDirectory(path_).ok());
  EXPECT_EQ(ModeOf(path_), 01505u);
}

TEST_F(DirectoryTrustTest, MissingParentAndFileAreErrors) {
  EXPECT_TRUE(absl::IsNotFound(MakeDirectory(path_ + "/below")));
  WriteFile(path_, "a file");
  EXPECT_TRUE(absl::IsFailedPrecondition(MakeDirectory(path_)));
}

TEST_F(DirectoryTrustTest, OwnSymlinkIsFollowed) {
  MakeLink(path_, geteuid());
  EXPECT_TRUE(OpenTrustedDirectory(path_, O_RDONLY).ok());
  EXPECT_TRUE(Directory::Open(path_ + "/").ok());
  EXPECT_TRUE(CheckOthersCannotDelete(path_).ok());
}

// Attack: in a directory that all may write to, another user takes the name
// first, and points it at a directory where logs do harm.
TEST_F(DirectoryTrustTest, SymlinkOfForeignUserIsRefused) {
  if (!MayActForOtherUsers()) GTEST_SKIP() << "cannot give a symlink away";
  ASSERT_EQ(chmod(base_.c_str(), 01777), 0);
  MakeLink(path_, kForeign);
  for (const std::string& path : {path_, path_ + "/"}) {
    const absl::Status status = Directory::Open(path).status();
    EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("a symlink of user 65534"));
  }
}

// Attack: a symlink of this user's, for example the one to the current segment,
// is renamed over a checked one, and points at another user's symlink.
TEST_F(DirectoryTrustTest, EachSymlinkOfAChainIsChecked) {
  if (!MayActForOtherUsers()) GTEST_SKIP() << "cannot give a symlink away";
  ASSERT_EQ(chmod(base_.c_str(), 01777), 0);
  MakeLink(base_ + "/foreign", kForeign);
  MakeLink(base_ + "/own", geteuid());
  ASSERT_EQ(symlink("foreign", path_.c_str()), 0);
  EXPECT_TRUE(absl::IsPermissionDenied(Directory::Open(path_).status()));
  const std::string good = base_ + "/good";
  ASSERT_EQ(symlink("own", good.c_str()), 0);
  EXPECT_TRUE(Directory::Open(good).ok());
}

TEST_F(DirectoryTrustTest, LoopOfSymlinksIsAnError) {
  ASSERT_EQ(symlink("logs", path_.c_str()), 0);
  EXPECT_FALSE(Directory::Open(path_).ok());
}

// The owner of the directory could replace anything in it.
TEST_F(DirectoryTrustTest, SymlinkOfOwnerOfParentIsReportedOnly) {
  if (!MayActForOtherUsers()) GTEST_SKIP() << "cannot give a symlink away";
  ASSERT_EQ(chown(base_.c_str(), kForeign, static_cast<gid_t>(-1)), 0);
  MakeLink(path_, kForeign);
  EXPECT_TRUE(Directory::Open(path_).ok());
  const absl::Status status = CheckOthersCannotDelete(path_);
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("run: chown -h 0 ", path_)));
}

TEST_F(DirectoryTrustTest, DirectoryThatOthersWriteToIsReportedUnlessSticky) {
  ASSERT_TRUE(MakeDirectory(path_).ok());
  EXPECT_TRUE(CheckOthersCannotDelete(path_).ok());
  for (const mode_t mode : {0770u, 0702u, 0777u}) {
    ASSERT_EQ(chmod(path_.c_str(), mode), 0);
    const absl::Status status = CheckOthersCannotDelete(path_);
    EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("run: chmod +t " + path_));
    ASSERT_EQ(chmod(path_.c_str(), mode | S_ISVTX), 0);
    EXPECT_TRUE(CheckOthersCannotDelete(path_).ok());
  }
}

TEST_F(DirectoryTrustTest, DirectoryOfForeignUserIsReported) {
  if (!MayActForOtherUsers()) GTEST_SKIP() << "cannot give a directory away";
  ASSERT_TRUE(MakeDirectory(path_).ok());
  ASSERT_EQ(chown(path_.c_str(), kForeign, static_cast<gid_t>(-1)), 0);
  const absl::Status status = CheckOthersCannotDelete(path_);
  EXPECT_TRUE(absl::IsPermissionDenied(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("belongs to user 65534, who can delete "
                                     "the logs; run: chown 0 ",
                                     path_)));
}

TEST_F(DirectoryTrustTest, DirectoryOfRootIsTrusted) {
  EXPECT_TRUE(CheckOthersCannotDelete("/").ok());
  EXPECT_TRUE(CheckOthersCannotDelete("/tmp").ok());
}

}  // namespace
}  // namespace ringlog
