#include "ringlog/testing/harness/small_file_system.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gtest/gtest.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

constexpr int kMayNotMount = 77;

}  // namespace

void InSmallFileSystem(const std::function<void(const std::string&)>& body) {
  const std::string directory = MakeTestDirectory();
  const pid_t child = fork();
  if (child == 0) {
    if ((unshare(CLONE_NEWNS) != 0 &&
         unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) ||
        mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("ringlog", directory.c_str(), "tmpfs", 0, "size=8m") != 0) {
      _exit(kMayNotMount);
    }
    body(directory);
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kMayNotMount) {
    GTEST_SKIP() << "mounting a tmpfs is not permitted";
  }
  EXPECT_EQ(status, 0);
}

void FillFileSystem(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const std::string page(4096, 'x');
  while (write(fd, page.data(), page.size()) > 0) {
  }
  close(fd);
}

}  // namespace ringlog
