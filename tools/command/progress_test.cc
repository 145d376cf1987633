#include "ringlog/tools/command/progress.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace ringlog {
namespace {

const absl::Time kStart = absl::UnixEpoch();

std::string Done() { return "half of it"; }

// A terminal that returns the bytes printed on it.
class Terminal {
 public:
  Terminal() : master_(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK)) {
    EXPECT_EQ(grantpt(master_), 0);
    EXPECT_EQ(unlockpt(master_), 0);
    fd_ = open(ptsname(master_), O_RDWR | O_NOCTTY);
    EXPECT_EQ(isatty(fd_), 1);
  }
  ~Terminal() {
    close(fd_);
    close(master_);
  }

  int fd() const { return fd_; }
  // Returns the bytes printed since the last call.
  std::string Printed() {
    char bytes[1000];
    const ssize_t n = read(master_, bytes, sizeof bytes);
    return n < 0 ? "" : std::string(bytes, static_cast<size_t>(n));
  }

 private:
  const int master_;
  int fd_;
};

TEST(ProgressTest, PrintsOncePerSecondAndClearsLine) {
  Terminal terminal;
  {
    Progress progress(terminal.fd(), kStart);
    progress.ShowAt(kStart + absl::Milliseconds(999), Done);
    EXPECT_EQ(terminal.Printed(), "");
    progress.ShowAt(kStart + absl::Milliseconds(1000), Done);
    EXPECT_EQ(terminal.Printed(), "\r\x1B[Khalf of it");
    progress.ShowAt(kStart + absl::Milliseconds(1999), Done);
    EXPECT_EQ(terminal.Printed(), "");
    progress.ShowAt(kStart + absl::Milliseconds(2000), Done);
    EXPECT_EQ(terminal.Printed(), "\r\x1B[Khalf of it");
  }
  EXPECT_EQ(terminal.Printed(), "\r\x1B[K");
}

TEST(ProgressTest, PrintsNothingDuringShortWork) {
  Terminal terminal;
  { Progress progress(terminal.fd(), kStart); }
  EXPECT_EQ(terminal.Printed(), "");
}

TEST(ProgressTest, PrintsNothingWithoutTerminal) {
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_NONBLOCK), 0);
  {
    Progress progress(fds[1], kStart);
    progress.ShowAt(kStart + absl::Hours(1), Done);
  }
  char byte;
  EXPECT_LT(read(fds[0], &byte, 1), 0);
  close(fds[0]);
  close(fds[1]);
}

}  // namespace
}  // namespace ringlog
