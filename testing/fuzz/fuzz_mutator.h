// Mutator
//
// Changes inputs at random: alone in fuzz_replay_test, in addition to
// libFuzzer's own changes in the fuzzer. Equal seeds make equal changes.
//
//     Mutator mutator(seed);
//     mutator.Mutate(another_input, max_bytes, &input);
//     mutator.EditFields(RingFields(input), &input);

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_MUTATOR_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_MUTATOR_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/testing/fuzz/fuzz_fields.h"

namespace ringlog {

// Thread-compatible.
class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  // Returns a random number from 0 to `limit`.
  uint64_t UpTo(uint64_t limit) { return random_() % (limit + 1); }
  // Returns true with probability 1/n.
  bool OneIn(uint64_t n) { return UpTo(n - 1) == 0; }

  // Makes one to eight changes of `*input`, mostly few: bits, bytes, integers
  // at the limit of a type or format, blocks, the end, and parts of `other`.
  void Mutate(absl::string_view other, size_t max_bytes, std::string* input);

  // Sets two to five of the fields: to integers at which behaviour changes, to
  // the value of another field, to a value near their own, or to the size of
  // the input. Does nothing if there are no fields.
  void EditFields(absl::Span<const FuzzField> fields, std::string* input);

 private:
  void Change(absl::string_view other, std::string* input);
  uint64_t FieldValue(absl::Span<const FuzzField> fields, uint64_t old,
                      absl::string_view input);
  void PutInteger(std::string* input);
  void AddToInteger(std::string* input);
  void CopyBlock(absl::string_view from, bool insert, std::string* input);

  std::mt19937_64 random_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_MUTATOR_H_
