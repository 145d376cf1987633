// Runs every fuzz entry on its seeds, on the inputs in corpus/ENTRY/ that once
// violated an invariant, and on mutations of both.
//
// Invariants checked:
//   - Those of each entry, listed at the beginning of its .cc file.
//   - No input takes more than kSecondsPerInput or kMaxRssKib.
//
// Inputs run in child processes, so that the test can name the input that ended
// a child. The entries are their own oracles. Prints its seed.

#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "absl/base/config.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/testing/fuzz/fuzz_entries.h"
#include "ringlog/testing/fuzz/fuzz_mutator.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/shared_page.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

constexpr size_t kMutationsInLongMode = 1000000;
constexpr size_t kInputsPerProcess = 500;
constexpr int kSecondsPerInput = 5;  // processor time
#if defined(ABSL_HAVE_ADDRESS_SANITIZER)
// A sanitizer takes more memory and time.
constexpr int64_t kMaxRssKib = int64_t{1} << 20;
constexpr size_t kReduction = 10;
#else
constexpr int64_t kMaxRssKib = int64_t{256} << 10;
constexpr size_t kReduction = 1;
#endif

class FuzzReplayTest : public ::testing::TestWithParam<FuzzEntry> {
 protected:
  static const FuzzEntry& entry() { return GetParam(); }

  // Returns the number of mutations. By default, they take a few seconds.
  static size_t Mutations() {
    if (IsLongMode()) return kMutationsInLongMode;
    const absl::string_view name = entry().name;
    return (name == "recover" || name == "directory" ? 700
            : name == "segment"                      ? 3000
                                                     : 10000) /
           kReduction;
  }

  static std::vector<std::string> Corpus() {
    std::vector<std::string> inputs = entry().seeds();
    const std::string directory =
        absl::StrCat("testing/fuzz/corpus/", entry().name);
    if (!std::filesystem::exists(directory)) return inputs;
    std::vector<std::string> paths;
    for (const auto& file : std::filesystem::directory_iterator(directory)) {
      paths.push_back(file.path().string());
    }
    std::sort(paths.begin(), paths.end());
    for (const std::string& path : paths) inputs.push_back(ReadFile(path));
    return inputs;
  }

  static void RunInput(const std::string& input) {
    const itimerval limit = {{0, 0}, {kSecondsPerInput, 0}};
    setitimer(ITIMER_PROF, &limit, nullptr);
    entry().run(reinterpret_cast<const uint8_t*>(input.data()), input.size());
  }

  // Runs input(i) for each i from `begin` to `end` in one child.
  void RunInputs(size_t begin, size_t end,
                 const std::function<std::string(size_t)>& input) {
    std::cout.flush();
    // The first call creates a directory, which this process must delete.
    entry().run(nullptr, 0);
    const pid_t child = fork();
    if (child == 0) {
      for (*at_ = begin; *at_ < end; ++*at_) RunInput(input(*at_));
      _exit(0);
    }
    ASSERT_GT(child, 0);
    int status = 0;
    rusage used = {};
    ASSERT_EQ(wait4(child, &status, 0, &used), child);
    if (status != 0) ReportAndKeep(status, input(*at_));
    EXPECT_LT(used.ru_maxrss, kMaxRssKib)
        << entry().name << ": KiB of memory for inputs " << begin << " to "
        << end;
  }

  // Reports the input that ended a child, and writes it to a file.
  void ReportAndKeep(int status, const std::string& input) {
    const char* const outputs = std::getenv("TEST_UNDECLARED_OUTPUTS_DIR");
    const std::string path =
        absl::StrCat(outputs != nullptr ? outputs : ::testing::TempDir(), "/",
                     entry().name, "-", *at_);
    WriteFile(path, input);
    ADD_FAILURE() << entry().name << ": input " << *at_ << ": "
                  << (WIFSIGNALED(status) ? strsignal(WTERMSIG(status))
                                          : "exit")
                  << (status == SIGPROF ? ", took too long" : "")
                  << "; kept as " << path;
  }

  SharedPage<size_t> at_;
};

TEST_P(FuzzReplayTest, CorpusViolatesNoInvariant) {
  const std::vector<std::string> corpus = Corpus();
  for (const std::string& input : corpus) {
    EXPECT_LE(2 * input.size(), entry().max_bytes);
  }
  RunInputs(0, corpus.size(), [&](size_t i) { return corpus[i]; });
}

TEST_P(FuzzReplayTest, MutationsViolateNoInvariant) {
  const std::vector<std::string> corpus = Corpus();
  const uint64_t seed = TestSeed();
  const auto mutation = [&](size_t i) {
    Mutator mutator(seed + i);
    std::string input = corpus[mutator.UpTo(corpus.size() - 1)];
    mutator.Mutate(corpus[mutator.UpTo(corpus.size() - 1)], entry().max_bytes,
                   &input);
    EditAndRepairAtRandom(entry(), &mutator, &input);
    return input;
  };
  const size_t count = Mutations();
  std::cout << entry().name << ": " << count << " mutations of "
            << corpus.size() << " inputs" << std::endl;
  for (size_t i = 0; i < count && !HasFailure(); i += kInputsPerProcess) {
    RunInputs(i, std::min(count, i + kInputsPerProcess), mutation);
  }
}

INSTANTIATE_TEST_SUITE_P(Entries, FuzzReplayTest,
                         ::testing::ValuesIn(FuzzEntries().begin(),
                                             FuzzEntries().end()),
                         [](const auto& param) {
                           return std::string(param.param.name);
                         });

}  // namespace
}  // namespace ringlog
