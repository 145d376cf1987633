// A golden file: golden_maker writes it into testing/golden, golden_test reads
// it.

#ifndef RINGLOG_TESTING_GOLDEN_GOLDEN_FILE_H_
#define RINGLOG_TESTING_GOLDEN_GOLDEN_FILE_H_

#include <cstdint>
#include <string>

namespace ringlog {

// One file. `name` is relative to the directory of its format version.
struct GoldenFile {
  std::string name;
  std::string bytes;
  // The content that a reader must find, in the format of golden_test. The
  // maker derives it from the records that it logs, not from a reader. Empty if
  // the previous file has the expected content of both files.
  std::string expected;
};

// Identity of the golden process. Its times increase from 2026-11-24 03:03:59
// UTC and stay within that second.
inline constexpr int64_t kGoldenSecond = 1795489439;
inline constexpr int64_t kGoldenTimeNs = kGoldenSecond * 1000000000;
inline constexpr int64_t kGoldenProcessId = 12345;

}  // namespace ringlog

#endif  // RINGLOG_TESTING_GOLDEN_GOLDEN_FILE_H_
