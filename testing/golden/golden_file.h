// A golden file: what golden_maker writes into testing/golden, and golden_test
// reads.

#ifndef RINGLOG_TESTING_GOLDEN_GOLDEN_FILE_H_
#define RINGLOG_TESTING_GOLDEN_GOLDEN_FILE_H_

#include <cstdint>
#include <string>

namespace ringlog {

struct GoldenFile {
  std::string name;
  std::string bytes;
  // What a reader has to find, as golden_test prints it; by the knowledge
  // of who made the file, who has asked no reader. Empty of a file that has it
  // in common with the one before.
  std::string expected;
};

// Of everything golden: what a golden file says of its maker. Times go up from
// here, 2026-11-24 03:03:59 UTC, within that second.
inline constexpr int64_t kGoldenSecond = 1795489439;
inline constexpr int64_t kGoldenTimeNs = kGoldenSecond * 1000000000;
inline constexpr int64_t kGoldenProcessId = 12345;

}  // namespace ringlog

#endif  // RINGLOG_TESTING_GOLDEN_GOLDEN_FILE_H_
