#include "ringlog/testing/fuzz/fuzz_entries.h"

#include "ringlog/testing/fuzz/fuzz_directory.h"
#include "ringlog/testing/fuzz/fuzz_lines.h"
#include "ringlog/testing/fuzz/fuzz_recover.h"
#include "ringlog/testing/fuzz/fuzz_ring.h"
#include "ringlog/testing/fuzz/fuzz_seeds.h"
#include "ringlog/testing/fuzz/fuzz_segment.h"

namespace ringlog {
namespace {

// Lines have no checksum.
void RepairNothing(std::string*, RepairChoice) {}

// Repairs also the geometry. Most changes of the geometry contradict the length
// of the file, and a reader rejects them for this reason alone.
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

void RepairDirectoryInput(std::string* input, RepairChoice choose) {
  DirectoryInput split = SplitDirectoryInput(*input);
  std::string files(split.recover_input);
  RepairRecoverInput(&files, choose);
  split.recover_input = files;
  *input = JoinDirectoryInput(split);
}

std::vector<FuzzField> NoFields(absl::string_view) { return {}; }

std::vector<FuzzField> RecoverFields(absl::string_view input) {
  const RecoverInput split = SplitRecoverInput(input);
  std::vector<FuzzField> fields = RingFields(split.ring);
  for (FuzzField field : SegmentFields(split.segment)) {
    field.offset += split.ring.size();
    fields.push_back(field);
  }
  return fields;
}

std::vector<FuzzField> DirectoryFields(absl::string_view input) {
  const size_t files = SplitDirectoryInput(input).recover_input.size();
  std::vector<FuzzField> fields = RecoverFields(input.substr(0, files));
  for (size_t at = files; at < input.size(); ++at) fields.push_back({at, 1});
  return fields;
}

constexpr FuzzEntry kEntries[] = {
    {"ring", FuzzRing, RingSeeds, 160 << 10, RepairRing, RingFields},
    {"segment", FuzzSegment, SegmentSeeds, 16 << 10, RepairSegmentChecksums,
     SegmentFields},
    {"recover", FuzzRecover, RecoverSeeds, 128 << 10, RepairRecoverInput,
     RecoverFields},
    {"directory", FuzzDirectory, DirectorySeeds, 128 << 10,
     RepairDirectoryInput, DirectoryFields},
    {"lines", FuzzLines, LinesSeeds, 16 << 10, RepairNothing, NoFields},
};

}  // namespace

absl::Span<const FuzzEntry> FuzzEntries() { return kEntries; }

const FuzzEntry* FindFuzzEntry(absl::string_view name) {
  for (const FuzzEntry& entry : kEntries) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

void EditAndRepairAtRandom(const FuzzEntry& entry, Mutator* mutator,
                           std::string* input) {
  if (mutator->OneIn(2)) mutator->EditFields(entry.fields(*input), input);
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
