// All fuzz entries: for the fuzzer, and for the test that replays.

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_ENTRIES_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_ENTRIES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/testing/fixtures/repair_checksums.h"
#include "ringlog/testing/fuzz/fuzz_mutator.h"

namespace ringlog {

struct FuzzEntry {
  absl::string_view name;
  // Dies if something is wrong with what the code makes of the input.
  int (*run)(const uint8_t* data, size_t size);
  std::vector<std::string> (*seeds)();
  // Longer ones are cut. At least twice a seed.
  size_t max_bytes;
  void (*repair)(std::string* input, RepairChoice choose);
};
absl::Span<const FuzzEntry> FuzzEntries();

// nullptr if there is none of that name.
const FuzzEntry* FindFuzzEntry(absl::string_view name);

// With some probability makes checksums fit, most of the time all of them: what
// has been changed would be found by them otherwise, and nothing behind them.
void RepairAtRandom(const FuzzEntry& entry, Mutator* mutator,
                    std::string* input);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_ENTRIES_H_
