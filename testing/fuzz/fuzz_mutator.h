// Mutator
//
// Changes inputs at random, for the fuzz tests: by itself in fuzz_replay_test,
// beside libFuzzer's own changes in the fuzzer. The same for the same seed.
//
//   Mutator mutator(seed);
//   mutator.Mutate(another_input, max_bytes, &input);
//   if (!mutator.OneIn(4)) repair([&] { return !mutator.OneIn(8); }, &input);

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_MUTATOR_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_MUTATOR_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

#include "absl/strings/string_view.h"

namespace ringlog {

// Thread-compatible.
class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  // From 0 to `most`.
  uint64_t UpTo(uint64_t most) { return random_() % (most + 1); }
  bool OneIn(uint64_t n) { return UpTo(n - 1) == 0; }

  // One to eight changes, mostly few: bits, bytes, integers that are at a limit
  // of something, blocks, the end, and parts of `other`.
  void Mutate(absl::string_view other, size_t max_bytes, std::string* input);

 private:
  void Change(absl::string_view other, std::string* input);
  void PutInteger(std::string* input);
  void AddToInteger(std::string* input);
  void CopyBlock(absl::string_view from, bool insert, std::string* input);

  std::mt19937_64 random_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_MUTATOR_H_
