#include "ringlog/ring/os/stderr_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace ringlog {
namespace {

// Runs `body` in a child process whose stderr is `fd`. Returns its status of
// waitpid(2). SIGALRM ends a child that blocks.
int InChild(int fd, const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGPIPE, SIG_DFL);
    dup2(fd, STDERR_FILENO);
    alarm(60);
    body();
    sigset_t pending;
    sigpending(&pending);
    _exit(sigismember(&pending, SIGPIPE));
  }
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return status;
}

int WarnTo(int fd) {
  return InChild(fd, [] { WarnRateLimited("something"); });
}

// Writes until `fd` has no room.
void Fill(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  ASSERT_EQ(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
  const std::string filler(1 << 16, 'x');
  for (size_t size = filler.size(); size > 0; size /= 2) {
    while (write(fd, filler.data(), size) > 0) {
    }
  }
  ASSERT_EQ(errno, EAGAIN);
  ASSERT_EQ(fcntl(fd, F_SETFL, flags), 0);
}

class StderrLogTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe(fds_), 0); }
  // Reads the written text.
  std::string Written() {
    char buffer[1000];
    const ssize_t n = read(fds_[0], buffer, sizeof buffer);
    return n < 0 ? "" : std::string(buffer, static_cast<size_t>(n));
  }
  int fds_[2];
};

TEST_F(StderrLogTest, LineNamesTheLibrary) {
  EXPECT_EQ(WarnTo(fds_[1]), 0);
  EXPECT_EQ(Written(), "ringlog: something\n");
}

TEST_F(StderrLogTest, WarnsOncePerMinutePerProcess) {
  EXPECT_EQ(
      InChild(fds_[1],
              [] {
                std::vector<std::thread> threads;
                for (int i = 0; i < 8; ++i) {
                  threads.emplace_back([] { WarnRateLimited("something"); });
                }
                for (std::thread& thread : threads) thread.join();
              }),
      0);
  EXPECT_EQ(Written(), "ringlog: something\n");
}

TEST_F(StderrLogTest, ForkedChildHasItsOwnLimit) {
  EXPECT_EQ(
      InChild(fds_[1],
              [this] {
                WarnRateLimited("parent");
                if (InChild(fds_[1], [] { WarnRateLimited("child"); }) != 0) {
                  _exit(2);
                }
                WarnRateLimited("parent again");
              }),
      0);
  EXPECT_EQ(Written(), "ringlog: parent\nringlog: child\n");
}

// ---- Readers that do not read ----

TEST_F(StderrLogTest, ClosedPipeDoesNotEndProcess) {
  close(fds_[0]);
  EXPECT_EQ(WarnTo(fds_[1]), 0);
}

TEST_F(StderrLogTest, DoesNotWaitForFullPipe) {
  Fill(fds_[1]);
  EXPECT_EQ(WarnTo(fds_[1]), 0);
  EXPECT_EQ(fcntl(fds_[1], F_GETFL) & O_NONBLOCK, 0)
      << "other writers still block";
}

TEST_F(StderrLogTest, DoesNotWaitForSocket) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  EXPECT_EQ(WarnTo(ends[1]), 0);
  char buffer[100];
  ASSERT_GT(read(ends[0], buffer, sizeof buffer), 9);
  EXPECT_EQ(std::string(buffer, 9), "ringlog: ");
  Fill(ends[1]);
  EXPECT_EQ(WarnTo(ends[1]), 0);
  close(ends[0]);
  EXPECT_EQ(WarnTo(ends[1]), 0);
}

// The terminal has room for a part of the line, so poll(2) reports it as
// writable. A blocking write would wait for the rest.
TEST_F(StderrLogTest, DoesNotWaitForTerminal) {
  const int ours = posix_openpt(O_RDWR | O_NOCTTY);
  ASSERT_GE(ours, 0);
  ASSERT_EQ(unlockpt(ours), 0);
  const int theirs = open(ptsname(ours), O_RDWR | O_NOCTTY);
  ASSERT_GE(theirs, 0);
  termios raw;
  ASSERT_EQ(tcgetattr(theirs, &raw), 0);
  cfmakeraw(&raw);
  ASSERT_EQ(tcsetattr(theirs, TCSANOW, &raw), 0);
  Fill(theirs);
  pollfd out = {theirs, POLLOUT, 0};
  char buffer[16];
  while (poll(&out, 1, 0) == 0) {
    ASSERT_GT(read(ours, buffer, sizeof buffer), 0);
  }
  EXPECT_EQ(InChild(theirs, [] { WarnRateLimited(std::string(3000, 'y')); }),
            0);
  close(ours);
  close(theirs);
}

// ---- The limit ----

constexpr uint32_t kParent = 0, kChild = 1;
constexpr absl::Duration kStart = absl::Hours(5);

TEST(RateLimitTest, AdmitsOnePerInterval) {
  RateLimit limit(absl::Minutes(1));
  EXPECT_EQ(limit.Admit(kStart, kParent), 0);
  EXPECT_EQ(limit.Admit(kStart, kParent), std::nullopt);
  EXPECT_EQ(limit.Admit(kStart + absl::Seconds(59), kParent), std::nullopt);
  EXPECT_EQ(limit.Admit(kStart + absl::Seconds(60), kParent), 2)
      << "two events were rejected";
  EXPECT_EQ(limit.Admit(kStart + absl::Seconds(119), kParent), std::nullopt);
  EXPECT_EQ(limit.Admit(kStart + absl::Seconds(121), kParent), 1);
}

TEST(RateLimitTest, AdmitsAtTimeZero) {
  RateLimit limit(absl::Minutes(1));
  EXPECT_EQ(limit.Admit(absl::ZeroDuration(), kParent), 0);
}

TEST(RateLimitTest, ForkedChildStartsOver) {
  RateLimit limit(absl::Minutes(1));
  EXPECT_EQ(limit.Admit(kStart, kParent), 0);
  EXPECT_EQ(limit.Admit(kStart, kParent), std::nullopt);
  EXPECT_EQ(limit.Admit(kStart, kChild), 0);
  EXPECT_EQ(limit.Admit(kStart, kChild), std::nullopt);
}

}  // namespace
}  // namespace ringlog
