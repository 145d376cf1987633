// The list of all fuzz entries. The fuzzer and fuzz_replay_test run them.

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_ENTRIES_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_ENTRIES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/testing/fixtures/repair_checksums.h"
#include "ringlog/testing/fuzz/fuzz_fields.h"
#include "ringlog/testing/fuzz/fuzz_mutator.h"

namespace ringlog {

// A function under fuzz, with its inputs.
struct FuzzEntry {
  absl::string_view name;
  // Runs one input. Dies if an invariant is violated, otherwise returns 0.
  int (*run)(const uint8_t* data, size_t size);
  // Returns the initial inputs.
  std::vector<std::string> (*seeds)();
  // Length at which inputs are truncated. At least twice the length of a seed.
  size_t max_bytes;
  // Repairs the checksums in an input that `choose` selects.
  void (*repair)(std::string* input, RepairChoice choose);
  // Returns the places of the integers in an input.
  std::vector<FuzzField> (*fields)(absl::string_view input);
};
// Returns all entries.
absl::Span<const FuzzEntry> FuzzEntries();

// Returns the entry named `name`, or nullptr.
const FuzzEntry* FindFuzzEntry(absl::string_view name);

// With some probability, changes several fields of the input, and repairs
// checksums, in most cases all. Without repair, readers would reject each
// mutation by its checksum, and the code after the check would not run.
void EditAndRepairAtRandom(const FuzzEntry& entry, Mutator* mutator,
                           std::string* input);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_ENTRIES_H_
