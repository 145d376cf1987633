#include "ringlog/testing/fuzz/fuzz_entries.h"

#include "ringlog/testing/fuzz/fuzz_lines.h"
#include "ringlog/testing/fuzz/fuzz_recover.h"
#include "ringlog/testing/fuzz/fuzz_ring.h"
#include "ringlog/testing/fuzz/fuzz_seeds.h"
#include "ringlog/testing/fuzz/fuzz_segment.h"

namespace ringlog {
namespace {

// Lines have no checksum.
void RepairNothing(std::string*, RepairChoice) {}

// Also repairs the geometry, because most changes of it contradict the length
// of the file and are rejected for that reason alone.
void RepairRing(std::string* ring, RepairChoice choose) {
  if (choose()) RepairRingGeometry(ring);
  RepairRingChecksums(ring, choose);
}

void RepairRecoverInput(std::string* input, RepairChoice choose) {
  const RecoverInput split = SplitRecoverInput(*input);
  std::string ring(split.ring);
  std::string segment(split.segment);
  RepairSegmentChecksums(&segment, choose);
  if (choose()) RepairOpenFrameChecksum(segment, &ring);
  RepairRing(&ring, choose);
  *input = JoinRecoverInput(ring, segment);
}

constexpr FuzzEntry kEntries[] = {
    {"ring", FuzzRing, RingSeeds, 160 << 10, RepairRing},
    {"segment", FuzzSegment, SegmentSeeds, 16 << 10, RepairSegmentChecksums},
    {"recover", FuzzRecover, RecoverSeeds, 128 << 10, RepairRecoverInput},
    {"lines", FuzzLines, LinesSeeds, 16 << 10, RepairNothing},
};

}  // namespace

absl::Span<const FuzzEntry> FuzzEntries() { return kEntries; }

const FuzzEntry* FindFuzzEntry(absl::string_view name) {
  for (const FuzzEntry& entry : kEntries) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

void RepairAtRandom(const FuzzEntry& entry, Mutator* mutator,
                    std::string* input) {
  switch (mutator->UpTo(3)) {
    case 0:
      break;
    case 1:
      entry.repair(input, [mutator] { return !mutator->OneIn(4); });
      break;
    default:
      entry.repair(input, RepairAll);
  }
}

}  // namespace ringlog
