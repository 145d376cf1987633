// Starts eight processes of one program at the same moment, in a directory in
// which eight others were just killed. Some get the process ids of dead ones.
//
// Invariants checked:
//   - Processes share no ring, and each keeps its ring while it lives.
//   - Each record of a killed process is in the log once, although all
//     processes try to recover it.
//   - After each start, the rings of the previous start are deleted.
//
// Oracle: a page that the processes share, and libzstd.

#include <errno.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/config.h"
#include "absl/base/log_severity.h"
#include "absl/log/check.h"
#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/shared_page.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::IsEmpty;

constexpr size_t kProcesses = 8;
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
constexpr int kStarts = 40;  // each fork copies the shadow memory
#else
constexpr int kStarts = 100;
#endif
constexpr int kStartsInLongMode = 1000;

// The barriers and notes of the processes of one start.
struct Rendezvous {
  Rendezvous() {
    pthread_barrierattr_t shared;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    for (pthread_barrier_t* barrier : {&begin, &has_logged, &has_recovered}) {
      CHECK_EQ(pthread_barrier_init(barrier, &shared, kProcesses), 0);
    }
  }

  pthread_barrier_t begin;
  pthread_barrier_t has_logged;
  pthread_barrier_t has_recovered;
  std::array<std::atomic<bool>, kProcesses> kept_ring = {};
  std::array<char[256], kProcesses> ring_paths = {};
};

std::string TextOf(int start, size_t process) {
  return absl::StrCat("start ", start, " process ", process);
}

[[noreturn]] void Live(const std::string& directory, int start, size_t process,
                       Rendezvous* rendezvous) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
  absl::InitializeLog();
  RingLogSinkOptions options;
  options.directory = directory;
  options.ring_bytes = 64 << 10;
  pthread_barrier_wait(&rendezvous->begin);
  const auto sink = Install(options);
  CHECK(sink.ok()) << sink.status();
  LOG(INFO) << TextOf(start, process);
  const std::string& path = (*sink)->ring_path();
  path.copy(rendezvous->ring_paths[process],
            sizeof rendezvous->ring_paths[0] - 1);
  pthread_barrier_wait(&rendezvous->has_logged);
  // Each process has now listed the others' rings, and has recovered those that
  // it considers to be left over.
  WaitForRecovery(absl::InfiniteDuration());
  pthread_barrier_wait(&rendezvous->has_recovered);
  rendezvous->kept_ring[process] = std::filesystem::exists(path);
  kill(getpid(), SIGKILL);
  _exit(1);
}

// Forks. The child gets the process id `dead` if this id is free and the caller
// may choose ids. Otherwise stores in `*is_allowed` whether the caller may
// choose ids. With a sanitizer, it may not, because sanitizers must intercept
// each fork.
pid_t ForkAs([[maybe_unused]] pid_t dead, bool* is_allowed) {
#if defined(ABSL_HAVE_ADDRESS_SANITIZER) || defined(ABSL_HAVE_THREAD_SANITIZER)
  *is_allowed = false;
#else
  if (dead != 0 && *is_allowed) {
    clone_args args = {};
    args.exit_signal = SIGCHLD;
    args.set_tid = reinterpret_cast<uintptr_t>(&dead);
    args.set_tid_size = 1;
    const auto child =
        static_cast<pid_t>(syscall(SYS_clone3, &args, sizeof args));
    if (child >= 0) return child;
    *is_allowed = errno == EEXIST;
  }
#endif
  return fork();
}

// Waits for all children. If a child ends in another way than by its SIGKILL,
// kills the others, because they would wait at a barrier for ever.
void AwaitAll(const std::vector<pid_t>& children) {
  for (size_t left = children.size(); left > 0; --left) {
    int status = 0;
    ASSERT_GT(waitpid(-1, &status, 0), 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) continue;
    for (const pid_t child : children) kill(child, SIGKILL);
    while (waitpid(-1, &status, 0) > 0) {
    }
    FAIL() << "wait for a child: ended with status " << status;
  }
}

// Number of processes that got the id of a dead one.
struct IdReuse {
  bool is_allowed = true;
  size_t count = 0;
};

// Starts all processes and waits for their death. Replaces the process ids of
// the previous start in `*ids` by the new ones.
void StartAll(const std::string& directory, int start,
              std::array<pid_t, kProcesses>* ids, IdReuse* id_reuse) {
  const SharedPage<Rendezvous> rendezvous;
  std::vector<pid_t> children;
  for (size_t process = 0; process < kProcesses; ++process) {
    const pid_t dead = (*ids)[process];
    const pid_t child = ForkAs(dead, &id_reuse->is_allowed);
    ASSERT_GE(child, 0);
    if (child == 0) Live(directory, start, process, rendezvous.get());
    children.push_back(child);
    (*ids)[process] = child;
    if (child == dead) ++id_reuse->count;
  }
  ASSERT_NO_FATAL_FAILURE(AwaitAll(children));
  std::set<std::string> paths;
  for (size_t process = 0; process < kProcesses; ++process) {
    EXPECT_TRUE(rendezvous->kept_ring[process])
        << "start " << start << ": " << rendezvous->ring_paths[process];
    EXPECT_NE(rendezvous->ring_paths[process][0], '\0')
        << "the ring has no file";
    paths.insert(rendezvous->ring_paths[process]);
  }
  EXPECT_EQ(paths.size(), kProcesses);
  EXPECT_EQ(FilesIn(directory, ".ring").size(), kProcesses);
}

TEST(ConcurrentStartTest, KeepsEachRecordOnceAndSharesNoRing) {
  const std::string directory = MakeTestDirectory();
  const int starts = static_cast<int>(Repetitions(kStarts, kStartsInLongMode));
  std::array<pid_t, kProcesses> ids = {};
  IdReuse id_reuse;
  for (int start = 0; start < starts; ++start) {
    StartAll(directory, start, &ids, &id_reuse);
    ASSERT_FALSE(HasFailure()) << directory;
  }
  std::cout << id_reuse.count << " processes got the id of a dead one"
            << std::endl;
  if (id_reuse.is_allowed) {
    EXPECT_GT(id_reuse.count, 0u);
  }
  ASSERT_THAT(RecoverLeftovers(directory, directory).errors, IsEmpty());
  std::map<std::string, int> found;
  for (const std::string& line : AllLines(directory)) {
    ++found[TextOfLine(line)];
  }
  for (int start = 0; start < starts; ++start) {
    for (size_t process = 0; process < kProcesses; ++process) {
      EXPECT_EQ(found[TextOf(start, process)], 1) << TextOf(start, process);
    }
  }
  EXPECT_EQ(found.size(), static_cast<size_t>(starts) * kProcesses);
}

}  // namespace
}  // namespace ringlog
