// The libFuzzer program of all entries in fuzz_entries.h:
//
//     bazel build --config=fuzz //testing/fuzz:fuzzer
//     fuzzer --entry=NAME [--seeds=DIRECTORY] [libFuzzer's options] CORPUS...
//
// --seeds writes the initial inputs into a directory. Name that directory as a
// corpus, too. The limits of a run are
//
//     -timeout=5           seconds for an input
//     -malloc_limit_mb=256 for one allocation: a length that only the file
//                          claims must not be allocated
//     -rss_limit_mb=512    with ASAN_OPTIONS=quarantine_size_mb=16: 256 MiB for
//                          the code, and as much for the sanitizer's shadow
//                          and quarantine, and for libFuzzer's corpus

#include <sys/stat.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "ringlog/testing/fuzz/fuzz_entries.h"
#include "ringlog/testing/fuzz/fuzz_mutator.h"
#include "ringlog/testing/harness/test_files.h"

namespace {

const ringlog::FuzzEntry* entry = nullptr;

void WriteSeeds(const std::string& directory) {
  mkdir(directory.c_str(), 0777);
  int number = 0;
  for (const std::string& seed : entry->seeds()) {
    ringlog::WriteFile(absl::StrCat(directory, "/seed-", ++number), seed);
  }
}

}  // namespace

extern "C" {

// libFuzzer's own mutations, which know the values that the code compares with.
size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// The names and types are those of libFuzzer.
int LLVMFuzzerInitialize(int* argc, char*** argv);
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                               unsigned int seed);

int LLVMFuzzerInitialize(int* argc, char*** argv) {
  std::string seeds;
  for (int i = 1; i < *argc; ++i) {
    absl::string_view argument = (*argv)[i];
    if (absl::ConsumePrefix(&argument, "--entry=")) {
      entry = ringlog::FindFuzzEntry(argument);
    } else if (absl::ConsumePrefix(&argument, "--seeds=")) {
      seeds = std::string(argument);
    }
  }
  if (entry == nullptr) {
    std::fputs("fuzzer: parse --entry: must be one of", stderr);
    for (const ringlog::FuzzEntry& known : ringlog::FuzzEntries()) {
      std::fprintf(stderr, " %s", std::string(known.name).c_str());
    }
    std::fputs("\n", stderr);
    std::exit(2);
  }
  if (!seeds.empty()) WriteSeeds(seeds);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return entry->run(data, std::min(size, entry->max_bytes));
}

size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                               unsigned int seed) {
  ringlog::Mutator mutator(seed);
  if (mutator.OneIn(2)) size = LLVMFuzzerMutate(data, size, max_size);
  std::string input(reinterpret_cast<const char*>(data), size);
  if (mutator.OneIn(2)) {
    const std::string other = input;
    mutator.Mutate(other, max_size, &input);
  }
  ringlog::EditAndRepairAtRandom(*entry, &mutator, &input);
  size = std::min(input.size(), max_size);
  std::memcpy(data, input.data(), size);
  return size;
}

}  // extern "C"
