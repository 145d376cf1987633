// Many processes of one program start in one directory at the same moment, in
// which as many have just died: each gets a ring of its own, none takes a ring
// from one that lives, and what the dead have left is in the log once, although
// all try to recover it, and have the process ids of the dead.

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
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/read_segments.h"
#include "ringlog/testing/harness/shared_page.h"

namespace ringlog {
namespace {

using ::testing::IsEmpty;

constexpr size_t kProcesses = 8;
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
constexpr int kStarts = 40;  // each fork copies the shadow
#else
constexpr int kStarts = 100;
#endif
constexpr int kStartsInLongMode = 1000;

// Of the processes.
struct Meeting {
  Meeting() {
    pthread_barrierattr_t shared;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    for (pthread_barrier_t* barrier : {&begin, &has_logged, &has_looked}) {
      CHECK_EQ(pthread_barrier_init(barrier, &shared, kProcesses), 0);
    }
  }

  pthread_barrier_t begin;
  pthread_barrier_t has_logged;
  pthread_barrier_t has_looked;
  std::array<std::atomic<bool>, kProcesses> still_had_its_ring = {};
  std::array<char[256], kProcesses> ring_paths = {};
};

std::string TextOf(int start, size_t process) {
  return absl::StrCat("start ", start, " process ", process);
}

[[noreturn]] void Live(const std::string& directory, int start, size_t process,
                       Meeting* meeting) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
  absl::InitializeLog();
  RingLogSinkOptions options;
  options.directory = directory;
  options.ring_bytes = 64 << 10;
  pthread_barrier_wait(&meeting->begin);
  const auto sink = Install(options);
  CHECK(sink.ok()) << sink.status();
  LOG(INFO) << TextOf(start, process);
  const std::string& path = (*sink)->ring_path();
  path.copy(meeting->ring_paths[process], sizeof meeting->ring_paths[0] - 1);
  pthread_barrier_wait(&meeting->has_logged);
  // By now each has seen the others' rings, and recovered what it believed to
  // be left.
  WaitForRecovery(absl::InfiniteDuration());
  pthread_barrier_wait(&meeting->has_looked);
  meeting->still_had_its_ring[process] = std::filesystem::exists(path);
  kill(getpid(), SIGKILL);
  _exit(1);
}

// fork(), with the process id of one that has ended, if it is free and if we
// may choose; `*is_allowed` says whether we may. Sanitizers have to know of
// each process that begins.
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

// The barriers are never left by one that has died before.
void AwaitAll(const std::vector<pid_t>& children) {
  for (size_t left = children.size(); left > 0; --left) {
    int status = 0;
    ASSERT_GT(waitpid(-1, &status, 0), 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) continue;
    for (const pid_t child : children) kill(child, SIGKILL);
    while (waitpid(-1, &status, 0) > 0) {
    }
    FAIL() << "a process ended by itself, status " << status;
  }
}

// How many processes had the id of one that was dead.
struct Recycling {
  bool is_allowed = true;
  size_t count = 0;
};

// `*ids` are those of the processes of the last start, and then of this one.
void StartAll(const std::string& directory, int start,
              std::array<pid_t, kProcesses>* ids, Recycling* recycling) {
  const SharedPage<Meeting> meeting;
  std::vector<pid_t> children;
  for (size_t process = 0; process < kProcesses; ++process) {
    const pid_t dead = (*ids)[process];
    const pid_t child = ForkAs(dead, &recycling->is_allowed);
    ASSERT_GE(child, 0);
    if (child == 0) Live(directory, start, process, meeting.get());
    children.push_back(child);
    (*ids)[process] = child;
    if (child == dead) ++recycling->count;
  }
  ASSERT_NO_FATAL_FAILURE(AwaitAll(children));
  std::set<std::string> paths;
  for (size_t process = 0; process < kProcesses; ++process) {
    EXPECT_TRUE(meeting->still_had_its_ring[process])
        << "start " << start << ": " << meeting->ring_paths[process];
    EXPECT_NE(meeting->ring_paths[process][0], '\0') << "it had no file";
    paths.insert(meeting->ring_paths[process]);
  }
  EXPECT_EQ(paths.size(), kProcesses);
  // Those of the start before are gone.
  EXPECT_EQ(FilesIn(directory, ".ring").size(), kProcesses);
}

TEST(ConcurrentStartTest, EachHasItsRingAndWhatTheDeadHadIsThereOnce) {
  const std::string directory = MakeTestDirectory();
  const int starts = static_cast<int>(Repetitions(kStarts, kStartsInLongMode));
  std::array<pid_t, kProcesses> ids = {};
  Recycling recycling;
  for (int start = 0; start < starts; ++start) {
    StartAll(directory, start, &ids, &recycling);
    ASSERT_FALSE(HasFailure()) << directory;
  }
  std::cout << recycling.count << " processes had the id of a dead one"
            << std::endl;
  if (recycling.is_allowed) {
    EXPECT_GT(recycling.count, 0u);
  }
  ASSERT_THAT(RecoverLeftovers(directory, directory).errors, IsEmpty());
  std::map<std::string, int> found;
  for (const std::string& line : AllLines(directory)) {
    ++found[line.substr(line.find("] ") + 2)];
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
