// Lets a system call of the flusher, of a rotation or of a recovery fail, once
// or several times in a row.
//
// Invariants checked, for each system call on a file:
//   - The process continues.
//   - Each acknowledged record is in the log once, complete and in order.
//
// Oracle: the notes of the process in a shared page (kill_oracle.h), and
// libzstd. every_instruction_test shows that each call may also be the last
// one.

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
#include "ringlog/testing/harness/sanitizer.h"
#include "ringlog/testing/harness/stepped_process.h"
#include "ringlog/testing/kill/kill_scenario.h"

namespace ringlog {
namespace {

// The fault of one run: `times` calls in a row fail with `error`.
struct Fault {
  std::string name;
  int error;  // errno; 0: the call does half of its work
  uint64_t times;
};

class SyscallFaultTest : public KillScenarioTest {
 protected:
  // Returns true for system calls on files. Calls for memory are not among
  // them, because a failed allocation ends a C++ program.
  static bool IsFileCall(uint64_t number) {
    static const auto* const calls = new std::set<uint64_t>{
        SYS_openat,    SYS_read,    SYS_pread64,    SYS_write,
        SYS_pwrite64,  SYS_fsync,   SYS_fdatasync,  SYS_ftruncate,
        SYS_fallocate, SYS_rename,  SYS_renameat2,  SYS_link,
        SYS_linkat,    SYS_unlink,  SYS_unlinkat,   SYS_mkdir,
        SYS_mkdirat,   SYS_symlink, SYS_symlinkat,  SYS_fstat,
        SYS_lstat,     SYS_stat,    SYS_newfstatat, SYS_getdents64,
        SYS_fcntl,     SYS_lseek,   SYS_readlink,   SYS_msync,
        SYS_statx};
    return calls->count(number) != 0;
  }
  static bool IsWrite(uint64_t number) {
    return number == SYS_write || number == SYS_pwrite64;
  }

  // Runs the scenario with the fault at `fault.times` calls, from call number
  // `n` on. Returns false if the scenario makes fewer calls.
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
      if (!(fault.error == 0 ? IsWrite(*call) : IsFileCall(*call))) continue;
      if (seen == n + fault.times) {
        EXPECT_TRUE(process->RunToEnd());
        break;
      }
      if (seen++ < n) continue;
      absl::StrAppend(&failed, " ", *call);
      if (fault.error == 0) {
        process->HalveSystemCall();
      } else {
        process->FailSystemCall(fault.error);
      }
    }
    EXPECT_EQ(process->error(), "") << "system calls" << failed;
    process->Kill();
    ExpectAllRecovered(oracle_->Snapshot());
    if (HasFailure()) {
      std::cout << fault.name << " of system calls" << failed
                << ", first at call " << n << "\n";
    }
    return !failed.empty();
  }

  // Repeats the scenario with the fault at each call. With a sanitizer, which
  // makes each call slow, or in a recovery into another directory, which makes
  // many calls, tries only a share of the calls.
  void TryAll(const Fault& fault, uint64_t share = 0) {
    const uint64_t step = IsLongMode()             ? 1
                          : kHasSanitizer          ? 15
                          : GetParam().into_output ? 5
                                                   : 1;
    uint64_t n = share % step;
    uint64_t runs = 0;
    for (; RunWithFaultAt(n, fault) && !HasFailure(); n += step) ++runs;
    if (!is_allowed_) GTEST_SKIP() << "ptrace(2) is not permitted";
    std::cout << runs << " runs, one for every " << step << ". system call of "
              << n << std::endl;
    EXPECT_GT(n, 0u);
  }

  bool is_allowed_ = true;
};

INSTANTIATE_TEST_SUITE_P(, SyscallFaultTest,
                         ::testing::ValuesIn(BackgroundScenarios()),
                         ::testing::PrintToStringParamName());

TEST_P(SyscallFaultTest, ContinuesAfterIoError) { TryAll({"EIO", EIO, 1}); }
TEST_P(SyscallFaultTest, ContinuesAfterRepeatedIoError) {
  TryAll({"EIO", EIO, 4}, 1);
}
TEST_P(SyscallFaultTest, ContinuesAfterFullDisk) {
  TryAll({"ENOSPC", ENOSPC, 1}, 2);
}
TEST_P(SyscallFaultTest, ContinuesAfterRepeatedFullDisk) {
  TryAll({"ENOSPC", ENOSPC, 4}, 3);
}
TEST_P(SyscallFaultTest, ContinuesAfterInterruptedCall) {
  TryAll({"EINTR", EINTR, 1}, 4);
}
TEST_P(SyscallFaultTest, ContinuesAfterShortWrite) { TryAll({"half", 0, 1}); }

}  // namespace
}  // namespace ringlog
