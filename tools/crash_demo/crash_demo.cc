// crash_demo: a program logs from several threads, is killed with SIGKILL at a
// random moment, and what it had logged is looked for.
//
//   ./bazelw run //tools:crash_demo
//   ./bazelw run //tools:crash_demo -- --input=FILE --threads=2 --kills=20
//
// Exit status: 0 if every record whose LOG() had returned was found, once, in
// order and unchanged, in what the kill left and after the next start has
// recovered it; 1 if not; 2 if the demonstration could not be made.

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
          "log the lines of this file, over and over; empty: made-up lines");
ABSL_FLAG(uint64_t, records, 0,
          "lines that each thread logs before it waits to be killed; 0: it "
          "goes on until then");
ABSL_FLAG(int, kills, 1, "how many times, each in a directory of its own");
ABSL_FLAG(int, threads, 4, "threads that log, 1 to 64");
ABSL_FLAG(std::string, directory, "",
          "where the logs go, must not exist; empty: a new directory under "
          "$TMPDIR or /tmp");
ABSL_FLAG(uint64_t, seed, 0, "of the moments of the kills; 0: a random one");
ABSL_FLAG(bool, recover, true,
          "also start the program again on a copy of what is left, and count "
          "what its recovery has brought into segments");
// How the program starts itself again.
ABSL_FLAG(int, victim_counters, -1, "internal");
ABSL_FLAG(uint64_t, victim_ring_bytes, 0, "internal");
ABSL_FLAG(std::string, next_start, "", "internal");

namespace ringlog {
namespace {

constexpr int kCannot = 2;
constexpr uint64_t kLatestKill = 200000;  // records, of all threads

int Cannot(absl::string_view message) {
  std::cerr << "crash_demo: " << message << "\n";
  return kCannot;
}

// Starts this program with `arguments`. The child dies with its parent.
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
  if (getppid() != parent) _exit(kCannot);
  unsetenv("BUILD_WORKING_DIRECTORY");  // It has been entered already.
  execv("/proc/self/exe", argv.data());
  _exit(kCannot);
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
      {"slots half written, not found", counts.unfinished},
      {"lost", counts.lost},
      {"duplicated", counts.duplicated},
      {"out of order in their thread", counts.out_of_order},
      {"changed", counts.changed},
      {"logged by nobody", counts.foreign},
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
      if (!ok.has_value()) return kCannot;
      if (!*ok) ++failed_;
    }
    if (kills > 1) {
      std::cout << kills << " kills, " << failed_
                << " of them with something wrong; in all:\n";
      Print(total_);
    }
    return failed_ == 0 ? 0 : 1;
  }

 private:
  // Of all threads.
  static uint64_t RecordsOfARun() {
    const uint64_t records = absl::GetFlag(FLAGS_records);
    return records == 0
               ? kLatestKill
               : records * static_cast<uint64_t>(absl::GetFlag(FLAGS_threads));
  }

  // In the smallest the threads mostly wait for room, in the largest they
  // mostly write: both have to be killed at.
  static uint64_t RingBytes(int kill) { return uint64_t{1} << (20 + kill % 4); }

  // Nothing if it could not be done; else whether all was right.
  std::optional<bool> KillOnce(int i, const std::string& directory) {
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    if (error) {
      Cannot(absl::StrCat("make ", directory, ": ", error.message()));
      return std::nullopt;
    }
    absl::StatusOr<SharedCrashCounters> counters =
        SharedCrashCounters::Create();
    if (!counters.ok()) {
      Cannot(counters.status().message());
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
        victim < 0 ? absl::ErrnoToStatus(errno, "fork")
                   : killer_.KillAt(moment, victim, *counters, directory);
    if (!killed.ok()) {
      Cannot(killed.message());
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
    std::cout << "  the last lines before death:\n";
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

  // On a copy, so that the crash's traces stay for whoever wants to see them.
  bool CheckRecovery(const std::string& directory,
                     std::vector<uint64_t> acknowledged,
                     const CrashCounts& left) {
    const std::string copy = absl::StrCat(directory, ".next_start");
    std::error_code error;
    // Without `recursive` it copies a directory's files only if there are no
    // options at all.
    std::filesystem::copy(directory, copy,
                          std::filesystem::copy_options::recursive |
                              std::filesystem::copy_options::copy_symlinks,
                          error);
    if (error) {
      Cannot(absl::StrCat("copy to ", copy, ": ", error.message()));
      return false;
    }
    const pid_t child = StartSelf({absl::StrCat("--next_start=", copy)});
    const bool started = child > 0 && WaitFor(child) == 0;
    CrashCheck check(&workload_, std::move(acknowledged));
    const CrashCounts recovered = check.Run(copy);
    const bool ok = started && recovered.ok() && !HasRing(copy) &&
                    recovered.in_segments == left.in_segments + left.in_ring;
    std::cout << "  second check, on a copy that the next start has "
                 "recovered:\n    "
              << recovered.in_segments << " found in segments, "
              << recovered.in_ring << " in a ring, " << recovered.lost
              << " lost, " << recovered.duplicated << " duplicated, "
              << recovered.out_of_order << " out of order, "
              << recovered.changed << " changed" << (ok ? "" : ": WRONG")
              << "\n";
    if (ok) {
      std::filesystem::remove_all(copy, error);
    } else {
      std::cout << "  it is kept: " << copy << "\n";
    }
    return ok;
  }

  const CrashWorkload workload_;
  const std::string base_;
  CrashKiller killer_;
  CrashCounts total_;
  int failed_ = 0;
};

// A new directory, or the one that was asked for.
absl::StatusOr<std::string> MakeBase() {
  std::string base = absl::GetFlag(FLAGS_directory);
  if (!base.empty()) {
    if (mkdir(base.c_str(), 0700) == 0) return base;
    return absl::ErrnoToStatus(errno, absl::StrCat("make ", base));
  }
  const char* temporary = getenv("TMPDIR");
  base = absl::StrCat(temporary == nullptr ? "/tmp" : temporary,
                      "/ringlog_crash_demo.XXXXXX");
  if (mkdtemp(base.data()) != nullptr) return base;
  return absl::ErrnoToStatus(errno, absl::StrCat("make ", base));
}

absl::StatusOr<CrashWorkload> MakeWorkload() {
  const std::string input = absl::GetFlag(FLAGS_input);
  return input.empty() ? CrashWorkload::MadeUp()
                       : CrashWorkload::FromFile(input);
}

int RunAsVictim(const CrashWorkload& workload) {
  absl::StatusOr<SharedCrashCounters> counters =
      SharedCrashCounters::Open(absl::GetFlag(FLAGS_victim_counters));
  if (!counters.ok()) return Cannot(counters.status().message());
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
    return Cannot(absl::StrCat("--threads is ", threads, ", must be 1 to ",
                               kMaxVictimThreads));
  }
  if (absl::GetFlag(FLAGS_kills) < 1) {
    return Cannot(absl::StrCat("--kills is ", absl::GetFlag(FLAGS_kills),
                               ", must be at least 1"));
  }
  absl::StatusOr<CrashWorkload> workload = MakeWorkload();
  if (!workload.ok()) {
    return Cannot(absl::StrCat("--input ", absl::GetFlag(FLAGS_input), ": ",
                               workload.status().message()));
  }
  if (absl::GetFlag(FLAGS_victim_counters) >= 0) return RunAsVictim(*workload);
  absl::StatusOr<std::string> base = MakeBase();
  if (!base.ok()) return Cannot(base.status().message());
  uint64_t seed = absl::GetFlag(FLAGS_seed);
  if (seed == 0) seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  return Demo(*std::move(workload), *std::move(base), seed).Run();
}

}  // namespace
}  // namespace ringlog

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "kills a program that logs, and looks for what it had logged");
  absl::ParseCommandLine(argc, argv);
  if (absl::Status s = ringlog::EnterWorkingDirectory(); !s.ok()) {
    return ringlog::Cannot(s.message());
  }
  return ringlog::Run();
}
