#include "ringlog/compress/complain.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "gtest/gtest.h"

namespace ringlog {
namespace {

// What Complain() does to a process whose stderr is `fd`; its status as
// waitpid(2) says it.
int ComplainTo(int fd) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGPIPE, SIG_DFL);
    dup2(fd, STDERR_FILENO);
    Complain("something");
    sigset_t pending;
    sigpending(&pending);
    _exit(sigismember(&pending, SIGPIPE));
  }
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

class ComplainTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe(fds_), 0); }
  int fds_[2];
};

TEST_F(ComplainTest, ALineSaysWhoComplains) {
  EXPECT_EQ(ComplainTo(fds_[1]), 0);
  char buffer[100];
  const ssize_t n = read(fds_[0], buffer, sizeof buffer);
  ASSERT_GT(n, 0);
  EXPECT_EQ(std::string(buffer, static_cast<size_t>(n)),
            "ringlog: something\n");
}

TEST_F(ComplainTest, AReaderThatHasGoneDoesNotEndTheProcess) {
  close(fds_[0]);
  EXPECT_EQ(ComplainTo(fds_[1]), 0);
}

TEST_F(ComplainTest, AReaderThatDoesNotReadIsNotWaitedFor) {
  ASSERT_EQ(fcntl(fds_[1], F_SETFL, O_NONBLOCK), 0);
  const std::string much(1 << 20, 'x');
  while (write(fds_[1], much.data(), much.size()) > 0) {
  }
  ASSERT_EQ(fcntl(fds_[1], F_SETFL, 0), 0);
  EXPECT_EQ(ComplainTo(fds_[1]), 0);
}

}  // namespace
}  // namespace ringlog
