// Whatever system call of the flusher, of a rotation or of a recovery fails,
// once or a few times: the process goes on, and everything that was
// acknowledged is in the log, once, whole and in order. That each of them may
// also be the last is every_instruction_test's.

#include <errno.h>
#include <sys/syscall.h>

#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/stepped_process.h"
#include "ringlog/testing/kill/kill_scenario.h"

namespace ringlog {
namespace {

struct Fault {
  std::string name;
  int error;  // 0: it does half of what it should
  uint64_t times;
};

class SyscallFaultTest : public KillScenarioTest {
 protected:
  // Those that have to do with files. Memory that is not to be had ends a C++
  // program.
  static bool IsOfFiles(uint64_t number) {
    static const auto* const calls = new std::set<uint64_t>{
        SYS_openat,    SYS_read,    SYS_pread64,    SYS_write,
        SYS_pwrite64,  SYS_fsync,   SYS_fdatasync,  SYS_ftruncate,
        SYS_fallocate, SYS_rename,  SYS_renameat2,  SYS_link,
        SYS_linkat,    SYS_unlink,  SYS_unlinkat,   SYS_mkdir,
        SYS_mkdirat,   SYS_symlink, SYS_symlinkat,  SYS_fstat,
        SYS_lstat,     SYS_stat,    SYS_newfstatat, SYS_getdents64,
        SYS_flock,     SYS_fcntl,   SYS_lseek,      SYS_readlink,
        SYS_msync,     SYS_statx};
    return calls->count(number) != 0;
  }
  static bool IsOfWriting(uint64_t number) {
    return number == SYS_write || number == SYS_pwrite64;
  }

  // Lets the n-th call fail, and those that follow, as often as the fault says.
  // False if there are not so many calls.
  bool RunWithFaultAt(uint64_t n, const Fault& fault) {
    NewRun();
    const std::unique_ptr<SteppedProcess> process = Start();
    if (process == nullptr) {
      is_allowed_ = false;
      return false;
    }
    uint64_t seen = 0;
    std::string failed;
    while (const std::optional<uint64_t> call = process->NextSystemCall()) {
      if (!(fault.error == 0 ? IsOfWriting(*call) : IsOfFiles(*call))) continue;
      const uint64_t behind = seen++ - n;  // wraps for those before
      if (behind >= fault.times) continue;
      absl::StrAppend(&failed, " ", *call);
      if (fault.error == 0) {
        process->HalveSystemCall();
      } else {
        process->FailSystemCall(fault.error);
      }
    }
    EXPECT_EQ(process->error(), "") << "system calls" << failed;
    process->Kill();
    ExpectAllIsThere(oracle_->Now());
    if (HasFailure()) {
      std::cout << fault.name << " of the system calls" << failed
                << ", the first of them the " << n << ". of its run\n";
    }
    return !failed.empty();
  }

  // Of a recovery into another directory, which makes many calls, each fault
  // has its share.
  void TryAll(const Fault& fault, uint64_t share = 0) {
    constexpr uint64_t kShares = 5;
    const bool is_shared = GetParam().into_output && !IsLongMode();
    uint64_t n = is_shared ? share : 0;
    while (RunWithFaultAt(n, fault) && !HasFailure()) {
      n += is_shared ? kShares : 1;
    }
    if (!is_allowed_) GTEST_SKIP() << "no ptrace(2) here";
    std::cout << n << " system calls, one after the other" << std::endl;
    EXPECT_GT(n, 0u);
  }

  bool is_allowed_ = true;
};

INSTANTIATE_TEST_SUITE_P(, SyscallFaultTest,
                         ::testing::ValuesIn(BackgroundScenarios()),
                         ::testing::PrintToStringParamName());

TEST_P(SyscallFaultTest, IoError) { TryAll({"EIO", EIO, 1}); }
TEST_P(SyscallFaultTest, IoErrorSeveralTimes) { TryAll({"EIO", EIO, 4}, 1); }
TEST_P(SyscallFaultTest, NoSpace) { TryAll({"ENOSPC", ENOSPC, 1}, 2); }
TEST_P(SyscallFaultTest, NoSpaceSeveralTimes) {
  TryAll({"ENOSPC", ENOSPC, 4}, 3);
}
TEST_P(SyscallFaultTest, Interrupted) { TryAll({"EINTR", EINTR, 1}, 4); }
TEST_P(SyscallFaultTest, ShortWrite) { TryAll({"half", 0, 1}); }

}  // namespace
}  // namespace ringlog
