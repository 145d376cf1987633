// Attacks on `ringlog rotate` by another user who may rename files in the
// directory of a ring, because this directory is not sticky.
//
// The test replaces openat(2), by which the command opens a ring, to attack
// between two calls.

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/harness/ordinary_user.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/tools/command/rotate.h"

namespace ringlog {
namespace {

std::function<void()> g_after_opening_a_ring;

// A file of another user, locked by a process that writes to it.
class LockedFile {
 public:
  explicit LockedFile(const std::string& path)
      : path_(path), content_(64 << 10, 'x') {
    WriteFile(path, content_);
    fd_ = open(path.c_str(), O_RDWR);
    EXPECT_TRUE(LockFile(fd_, path).ok());
  }
  ~LockedFile() { close(fd_); }

  bool IsUnchanged() const {
    std::string now(content_.size() + 1, '\0');
    const ssize_t n = pread(fd_, now.data(), now.size(), 0);
    return n == static_cast<ssize_t>(content_.size()) &&
           now.compare(0, content_.size(), content_) == 0;
  }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  const std::string content_;
  int fd_;
};

TEST(RotateRaceTest, FileRenamedOntoTheRingIsNotWritten) {
  const std::string directory = MakeTestDirectory();
  ScriptedProcess process(directory);
  process.Log("a");
  process.Flush();
  const std::string ring = process.ring_path();
  const LockedFile victim(directory + "/victim.log.zst");
  for (const std::string& path : {ring, directory}) {
    const std::string hidden = directory + "/hidden";
    g_after_opening_a_ring = [&] {
      std::filesystem::rename(ring, hidden);
      std::filesystem::create_hard_link(victim.path(), ring);
    };
    Rotate({path}, absl::ZeroDuration());
    ASSERT_EQ(g_after_opening_a_ring, nullptr)
        << "the attack was not performed";
    EXPECT_TRUE(victim.IsUnchanged());
    std::filesystem::rename(hidden, ring);
  }
}

TEST(RotateRaceTest, RingWithAnotherNameIsNotWritten) {
  RingLogSinkOptions options;
  options.directory = MakeTestDirectory();
  const auto sink = *RingLogSink::Create(options);
  const std::string other = options.directory + "/other.ring";
  std::filesystem::create_hard_link(sink->ring_path(), other);
  EXPECT_EQ(Rotate({other}, absl::ZeroDuration()), 2);
}

TEST(RotateRaceTest, RingOfAnotherUserIsNotWritten) {
  if (!MayActForOtherUsers()) GTEST_SKIP() << "needs root, and other users";
  const OrdinaryUser user;
  RingLogSinkOptions options;
  options.directory = user.directory();
  const auto sink = *RingLogSink::Create(options);
  ASSERT_EQ(chmod(sink->ring_path().c_str(), 0666), 0);
  EXPECT_EQ(RunChild([&] {
              user.Become();
              const int status =
                  Rotate({sink->ring_path()}, absl::ZeroDuration());
              _exit(status == 2 ? 0 : 1);
            }),
            0);
}

}  // namespace
}  // namespace ringlog

namespace {

int OpenAndAct(int directory, const char* path, int flags, mode_t mode) {
  const int fd =
      static_cast<int>(syscall(SYS_openat, directory, path, flags, mode));
  if (fd >= 0 && absl::EndsWith(path, ".ring") &&
      ringlog::g_after_opening_a_ring != nullptr) {
    std::exchange(ringlog::g_after_opening_a_ring, {})();
  }
  return fd;
}

}  // namespace

extern "C" int openat(int directory, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return OpenAndAct(directory, path, flags, mode);
}

extern "C" int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return OpenAndAct(AT_FDCWD, path, flags, mode);
}
