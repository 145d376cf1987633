// crash_demo: kills a logging program with SIGKILL at a random moment, and
// checks that all of its records are found.
//
//   ./bazelw run //tools:crash_demo
//   ./bazelw run //tools:crash_demo -- --input=FILE --threads=2 --kills=20
//
// Exit status:
//   0: Every record whose LOG() had returned was found once, in order and
//      unchanged, directly after the kill and again after recovery.
//   1: A check failed.
//   2: The demonstration could not run.

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "ringlog/tools/command/working_directory.h"
#include "ringlog/tools/crash_demo/crash_check.h"
#include "ringlog/tools/crash_demo/crash_counters.h"
#include "ringlog/tools/crash_demo/crash_killer.h"
#include "ringlog/tools/crash_demo/crash_victim.h"
#include "ringlog/tools/crash_demo/crash_workload.h"

ABSL_FLAG(std::string, input, "",
          "file whose lines are logged repeatedly; empty: generated lines");
ABSL_FLAG(uint64_t, records, 0,
          "number of records that each thread logs before it waits for the "
          "kill; 0: no limit");
ABSL_FLAG(int, kills, 1, "number of kills, each in a directory of its own");
ABSL_FLAG(int, threads, 4, "number of logging threads, 1 to 64");
ABSL_FLAG(std::string, directory, "",
          "directory for the logs, must not exist; empty: a new directory "
          "under $TMPDIR or /tmp");
ABSL_FLAG(uint64_t, seed, 0, "seed for the moments of the kills; 0: random");
ABSL_FLAG(bool, recover, true,
          "also start the program again on a copy of the files, and check "
          "the records after its recovery");
// Flags for the processes that this program starts.
ABSL_FLAG(int, victim_counters, -1, "internal");
ABSL_FLAG(uint64_t, victim_ring_bytes, 0, "internal");
ABSL_FLAG(std::string, next_start, "", "internal");

namespace ringlog {
namespace {

constexpr int kCannotRun = 2;
// Maximum number of records, of all threads, before a kill.
constexpr uint64_t kLatestKill = 200000;

int Fail(absl::string_view message) {
  std::cerr << "crash_demo: " << message << "\n";
  return kCannotRun;
}

// Starts this program with `arguments`. The child dies with its parent. Returns
// the child's process id, or -1 and errno.
pid_t StartSelf(const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {"crash_demo"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kCannotRun);
  unsetenv("BUILD_WORKING_DIRECTORY");  // The child inherits the directory.
  execv("/proc/self/exe", argv.data());
  _exit(kCannotRun);
}

int WaitFor(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

void Print(const CrashCounts& counts) {
  const std::pair<absl::string_view, uint64_t> rows[] = {
      {"acknowledged before the kill", counts.acknowledged},
      {"found in segments", counts.in_segments},
      {"found in the ring", counts.in_ring},
      {"found, LOG() had not returned", counts.unacknowledged},
      {"slots not committed", counts.unfinished},
      {"lost", counts.lost},
      {"duplicated", counts.duplicated},
      {"out of order in their thread", counts.out_of_order},
      {"changed", counts.changed},
      {"not logged by the program", counts.foreign},
      {"reports of loss or damage", counts.problems},
  };
  for (const auto& [name, count] : rows) {
    std::cout << absl::StrFormat("  %-32s%10d\n", name, count);
  }
}

class Demo {
 public:
  Demo(CrashWorkload workload, std::string base, uint64_t seed)
      : workload_(std::move(workload)),
        base_(std::move(base)),
        killer_(seed, RecordsOfARun()) {}

  int Run() {
    const int kills = absl::GetFlag(FLAGS_kills);
    for (int i = 1; i <= kills; ++i) {
      const std::string directory =
          kills == 1 ? base_ : absl::StrCat(base_, "/kill-", i);
      const std::optional<bool> ok = KillOnce(i, directory);
      if (!ok.has_value()) return kCannotRun;
      if (!*ok) ++failed_;
    }
    if (kills > 1) {
      std::cout << kills << " kills, " << failed_
                << " of them with errors; total:\n";
      Print(total_);
    }
    return failed_ == 0 ? 0 : 1;
  }

 private:
  // Returns the number of records in a run, of all threads.
  static uint64_t RecordsOfARun() {
    const uint64_t records = absl::GetFlag(FLAGS_records);
    return records == 0
               ? kLatestKill
               : records * static_cast<uint64_t>(absl::GetFlag(FLAGS_threads));
  }

  // Returns the ring size for a kill. In the smallest ring the threads mostly
  // wait for room, and in the largest they mostly write. Kills must hit both.
  static uint64_t RingBytes(int kill) { return uint64_t{1} << (20 + kill % 4); }

  // Runs, kills and checks one victim. Returns true if all checks passed, and
  // nullopt if the demonstration could not run.
  std::optional<bool> KillOnce(int i, const std::string& directory) {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) {
      Fail(absl::StrCat("cannot create ", directory, ": ", error.message()));
      return std::nullopt;
    }
    absl::StatusOr<SharedCrashCounters> counters =
        SharedCrashCounters::Create();
    if (!counters.ok()) {
      Fail(counters.status().message());
      return std::nullopt;
    }
    const KillMoment moment = killer_.Choose(i, absl::GetFlag(FLAGS_kills));
    std::cout << "kill " << i << ", " << Describe(moment) << ": " << directory
              << std::endl;
    const pid_t victim =
        StartSelf({absl::StrCat("--victim_counters=", counters->fd()),
                   absl::StrCat("--directory=", directory),
                   absl::StrCat("--input=", absl::GetFlag(FLAGS_input)),
                   absl::StrCat("--records=", absl::GetFlag(FLAGS_records)),
                   absl::StrCat("--victim_ring_bytes=", RingBytes(i)),
                   absl::StrCat("--threads=", absl::GetFlag(FLAGS_threads))});
    const absl::Status killed =
        victim < 0 ? absl::ErrnoToStatus(errno, "cannot fork")
                   : killer_.KillAt(moment, victim, *counters, directory);
    if (!killed.ok()) {
      Fail(killed.message());
      return std::nullopt;
    }
    return Check(directory, *counters);
  }

  bool Check(const std::string& directory,
             const SharedCrashCounters& counters) {
    std::vector<uint64_t> acknowledged;
    for (int t = 0; t < absl::GetFlag(FLAGS_threads); ++t) {
      acknowledged.push_back(
          counters->threads[t].acknowledged.load(std::memory_order_acquire));
    }
    CrashCheck check(&workload_, acknowledged);
    const CrashCounts left = check.Run(directory);
    Print(left);
    total_.Add(left);
    std::cout << "  last lines before the kill:\n";
    const CircularBuffer<std::string>& last = check.last_lines();
    for (size_t n = last.size(); n > 0; --n) {
      PrintShort(last.get_from_back(n - 1));
    }
    bool ok = left.ok();
    if (absl::GetFlag(FLAGS_recover)) {
      ok = CheckRecovery(directory, std::move(acknowledged), left) && ok;
    }
    std::cout << "  read it: ./bazelw run //tools:ringlog -- cat " << directory
              << std::endl;
    return ok;
  }

  static void PrintShort(absl::string_view line) {
    constexpr size_t kWidth = 100;
    line = line.substr(0, line.find('\n'));
    std::string visible;
    for (const char c : line.substr(0, kWidth)) {
      visible += c >= ' ' && c < 0x7F ? c : '?';
    }
    std::cout << "    " << visible << (line.size() > kWidth ? "..." : "")
              << "\n";
  }

  static bool HasRing(const std::string& directory) {
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      if (entry.path().extension() == ".ring") return true;
    }
    return false;
  }

  // Starts the program on a copy of `directory` and checks the copy. The
  // original stays as the kill left it, so that the user can read it.
  bool CheckRecovery(const std::string& directory,
                     std::vector<uint64_t> acknowledged,
                     const CrashCounts& left) {
    const std::string copy = absl::StrCat(directory, ".next_start");
    std::error_code error;
    // With copy_symlinks alone, std::filesystem::copy would not copy the files
    // in the directory.
    std::filesystem::copy(directory, copy,
                          std::filesystem::copy_options::recursive |
                              std::filesystem::copy_options::copy_symlinks,
                          error);
    if (error) {
      Fail(absl::StrCat("cannot copy to ", copy, ": ", error.message()));
      return false;
    }
    const pid_t child = StartSelf({absl::StrCat("--next_start=", copy)});
    const bool started = child > 0 && WaitFor(child) == 0;
    CrashCheck check(&workload_, std::move(acknowledged));
    const CrashCounts recovered = check.Run(copy);
    const bool ok = started && recovered.ok() && !HasRing(copy) &&
                    recovered.in_segments == left.in_segments + left.in_ring;
    std::cout << "  second check, on a copy after recovery by the next "
                 "start:\n    "
              << recovered.in_segments << " found in segments, "
              << recovered.in_ring << " in a ring, " << recovered.lost
              << " lost, " << recovered.duplicated << " duplicated, "
              << recovered.out_of_order << " out of order, "
              << recovered.changed << " changed" << (ok ? "" : ": FAILED")
              << "\n";
    if (ok) {
      std::filesystem::remove_all(copy, error);
    } else {
      std::cout << "  kept the copy: " << copy << "\n";
    }
    return ok;
  }

  const CrashWorkload workload_;
  const std::string base_;
  CrashKiller killer_;
  CrashCounts total_;
  int failed_ = 0;
};

// Creates the directory of --directory, or a new temporary directory, and
// returns its path.
absl::StatusOr<std::string> MakeBase() {
  std::string base = absl::GetFlag(FLAGS_directory);
  if (!base.empty()) {
    if (mkdir(base.c_str(), 0700) == 0) return base;
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", base));
  }
  const char* temporary = getenv("TMPDIR");
  base = absl::StrCat(temporary == nullptr ? "/tmp" : temporary,
                      "/ringlog_crash_demo.XXXXXX");
  if (mkdtemp(base.data()) != nullptr) return base;
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot create ", base));
}

absl::StatusOr<CrashWorkload> MakeWorkload() {
  const std::string input = absl::GetFlag(FLAGS_input);
  return input.empty() ? CrashWorkload::MadeUp()
                       : CrashWorkload::FromFile(input);
}

int RunAsVictim(const CrashWorkload& workload) {
  absl::StatusOr<SharedCrashCounters> counters =
      SharedCrashCounters::Open(absl::GetFlag(FLAGS_victim_counters));
  if (!counters.ok()) return Fail(counters.status().message());
  VictimOptions options;
  options.directory = absl::GetFlag(FLAGS_directory);
  options.threads = absl::GetFlag(FLAGS_threads);
  options.records = absl::GetFlag(FLAGS_records);
  options.ring_bytes = absl::GetFlag(FLAGS_victim_ring_bytes);
  return RunVictim(options, workload, *counters);
}

int Run() {
  if (!absl::GetFlag(FLAGS_next_start).empty()) {
    return RunNextStart(absl::GetFlag(FLAGS_next_start));
  }
  const int threads = absl::GetFlag(FLAGS_threads);
  if (threads < 1 || threads > kMaxVictimThreads) {
    return Fail(absl::StrCat("--threads: invalid value ", threads,
                             "; must be 1 to ", kMaxVictimThreads));
  }
  if (absl::GetFlag(FLAGS_kills) < 1) {
    return Fail(absl::StrCat("--kills: invalid value ",
                             absl::GetFlag(FLAGS_kills),
                             "; must be at least 1"));
  }
  absl::StatusOr<CrashWorkload> workload = MakeWorkload();
  if (!workload.ok()) {
    return Fail(absl::StrCat("--input ", absl::GetFlag(FLAGS_input), ": ",
                             workload.status().message()));
  }
  if (absl::GetFlag(FLAGS_victim_counters) >= 0) return RunAsVictim(*workload);
  absl::StatusOr<std::string> base = MakeBase();
  if (!base.ok()) return Fail(base.status().message());
  uint64_t seed = absl::GetFlag(FLAGS_seed);
  if (seed == 0) seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  return Demo(*std::move(workload), *std::move(base), seed).Run();
}

}  // namespace
}  // namespace ringlog

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "kills a logging program and checks that its records are found");
  absl::ParseCommandLine(argc, argv);
  if (absl::Status s = ringlog::EnterWorkingDirectory(); !s.ok()) {
    return ringlog::Fail(s.message());
  }
  return ringlog::Run();
}
