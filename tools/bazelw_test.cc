// Attacks on tools/bazelw_debian.sh: another user changes the Bazel in the
// cache, which the next ./bazelw would run.

#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/testing/harness/ordinary_user.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kScript[] = "tools/bazelw_debian.sh";
constexpr uid_t kForeign = 65534;

// Returns the name of the directory in the cache.
std::string Name() {
  const std::string script = ReadFile(kScript);
  const std::string variable = "\nrevision=";
  const size_t at = script.find(variable) + variable.size();
  return absl::StrCat("bazel-",
                      absl::string_view(script).substr(
                          at, script.find_first_not_of("0123456789", at) - at));
}

class BazelwTest : public ::testing::Test {
 protected:
  BazelwTest() {
    std::filesystem::create_directories(prefix_ + "/bin");
    WriteFile(bazel_, "#!/bin/sh\n");
    EXPECT_EQ(chmod(bazel_.c_str(), 0755), 0);
    WriteFile(prefix_ + "/complete", "");
    for (const std::string& path :
         {cache_, prefix_, prefix_ + "/bin", prefix_ + "/complete"}) {
      EXPECT_EQ(chmod(path.c_str(), 0755), 0);
    }
  }

  // Runs the script, and stores its output and its messages.
  int Run(const std::string& cache) {
    FILE* const pipe = popen(
        absl::StrCat("CC=cc BAZELW_CACHE='", cache, "' bash ", kScript, " 2>&1")
            .c_str(),
        "r");
    output_.clear();
    for (int c; pipe != nullptr && (c = getc(pipe)) != EOF;) {
      output_.push_back(static_cast<char>(c));
    }
    return pipe == nullptr ? -1 : WEXITSTATUS(pclose(pipe));
  }
  int Run() { return Run(cache_); }

  const std::string base_ = MakeTestDirectory();
  const std::string cache_ = base_ + "/cache";
  const std::string prefix_ = cache_ + "/" + Name();
  const std::string bazel_ = prefix_ + "/bin/bazel";
  std::string output_;
};

TEST_F(BazelwTest, CompleteCacheIsUsed) {
  EXPECT_EQ(Run(), 0);
  EXPECT_EQ(output_, bazel_ + "\n");
}

TEST_F(BazelwTest, FileThatOthersMayWriteToIsRefused) {
  for (const mode_t mode : {0775u, 0757u}) {
    ASSERT_EQ(chmod(bazel_.c_str(), mode), 0);
    EXPECT_EQ(Run(), 1);
    EXPECT_THAT(output_, HasSubstr("another user may have changed " + bazel_));
  }
}

TEST_F(BazelwTest, DirectoryThatOthersMayWriteToIsRefused) {
  for (const std::string& path : {prefix_, cache_, base_}) {
    ASSERT_EQ(chmod(path.c_str(), 0777), 0);
    EXPECT_EQ(Run(), 1);
    EXPECT_THAT(output_, AllOf(HasSubstr(path + " has mode drwxrwxrwx"),
                               HasSubstr("chmod go-w " + path)));
    ASSERT_EQ(chmod(path.c_str(), 0755), 0);
  }
}

// In a sticky directory, other users cannot rename a file of this user.
TEST_F(BazelwTest, StickyParentIsAccepted) {
  ASSERT_EQ(chmod(base_.c_str(), 01777), 0);
  EXPECT_EQ(Run(), 0) << output_;
  ASSERT_EQ(chmod(prefix_.c_str(), 01777), 0);
  EXPECT_EQ(Run(), 1);
}

TEST_F(BazelwTest, FileOfForeignUserIsRefused) {
  if (!MayActForOtherUsers()) GTEST_SKIP() << "cannot give a file away";
  for (const std::string& path : {bazel_, prefix_ + "/bin"}) {
    ASSERT_EQ(chown(path.c_str(), kForeign, 0), 0);
    EXPECT_EQ(Run(), 1);
    EXPECT_THAT(output_, HasSubstr("another user may have changed " + path));
    ASSERT_EQ(chown(path.c_str(), 0, 0), 0);
  }
  for (const std::string& path : {prefix_, cache_, base_}) {
    ASSERT_EQ(chown(path.c_str(), kForeign, 0), 0);
    EXPECT_EQ(Run(), 1);
    EXPECT_THAT(output_, HasSubstr(path + " belongs to user 65534"));
    ASSERT_EQ(chown(path.c_str(), 0, 0), 0);
  }
}

TEST_F(BazelwTest, SymlinkOfForeignUserIsRefused) {
  if (!MayActForOtherUsers()) GTEST_SKIP() << "cannot give a symlink away";
  const std::string link = base_ + "/link";
  ASSERT_EQ(symlink(cache_.c_str(), link.c_str()), 0);
  EXPECT_EQ(Run(link), 0) << output_;
  ASSERT_EQ(lchown(link.c_str(), kForeign, 0), 0);
  EXPECT_EQ(Run(link), 1);
  EXPECT_THAT(output_, HasSubstr(link + " belongs to user 65534"));
}

}  // namespace
}  // namespace ringlog
