// Rings on file systems without room. The file systems are small ones in a
// mount namespace of the test.

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"

namespace ringlog {
namespace {

constexpr int kMayNotMount = 77;

// The default ring has slightly more than 8 MiB.
constexpr char kTooSmall[] = "size=4m";
constexpr char kLargeEnough[] = "size=16m";

std::string MakeDirectory() {
  std::string path = ::testing::TempDir() + "/full_disk.XXXXXX";
  if (mkdtemp(path.data()) == nullptr) abort();
  return path;
}

bool MountSmall(const std::string& directory, const char* size) {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
    return false;
  }
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return false;
  }
  return mount("ringlog", directory.c_str(), "tmpfs", 0, size) == 0;
}

// Runs `body` in a child that has a file system of `size` at `directory`.
// Returns its exit status, or a negated signal number.
template <typename Body>
int InSmallFileSystem(const char* size, Body body) {
  const std::string directory = MakeDirectory();
  const pid_t child = fork();
  if (child == 0) {
    if (!MountSmall(directory, size)) _exit(kMayNotMount);
    _exit(body(directory));
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

bool IsEmpty(const std::string& directory) {
  return std::filesystem::is_empty(directory);
}

// Writes a file that takes all remaining room.
void FillUp(const std::string& directory) {
  const int fd = open(absl::StrCat(directory, "/filler").c_str(),
                      O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const std::string page(4096, 'x');
  while (write(fd, page.data(), page.size()) > 0) {
  }
  close(fd);
}

TEST(FullDiskTest, FailedCreateLeavesNoFile) {
  const int status =
      InSmallFileSystem(kTooSmall, [](const std::string& directory) {
        const auto ring =
            Ring::Create(directory + "/program.ring", RingOptions());
        if (!absl::IsResourceExhausted(ring.status())) return 1;
        return IsEmpty(directory) ? 0 : 2;
      });
  if (status == kMayNotMount) GTEST_SKIP() << "may not mount a tmpfs here";
  EXPECT_EQ(status, 0);
}

// Create() has written to every page of the ring, so a full disk cannot take a
// page away later.
TEST(FullDiskTest, LaterFullDiskDoesNotKillWriter) {
  const int status =
      InSmallFileSystem(kLargeEnough, [](const std::string& directory) {
        auto ring = Ring::Create(directory + "/program.ring", RingOptions());
        if (!ring.ok()) return 1;
        FillUp(directory);
        const uint64_t count = RingOptions().slot_count / 2;
        const std::string head(40, 'h');
        const std::string body(300, 'b');
        for (uint64_t i = 0; i < count; ++i) {
          if ((*ring)->Append(Severity::kInfo, head, body) !=
              Ring::AppendResult::kAppended) {
            return 2;
          }
        }
        return (*ring)->unprocessed_count() == count ? 0 : 3;
      });
  if (status == kMayNotMount) GTEST_SKIP() << "may not mount a tmpfs here";
  EXPECT_EQ(status, 0);
}

// Otherwise the kernel would send SIGXFSZ.
TEST(FullDiskTest, FileSizeLimitIsAnError) {
  const std::string directory = MakeDirectory();
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit = {1 << 20, 1 << 20};
    setrlimit(RLIMIT_FSIZE, &limit);
    const auto ring = Ring::Create(directory + "/program.ring", RingOptions());
    _exit(absl::IsResourceExhausted(ring.status()) ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status)) << strsignal(WTERMSIG(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  EXPECT_TRUE(IsEmpty(directory));
}

}  // namespace
}  // namespace ringlog
