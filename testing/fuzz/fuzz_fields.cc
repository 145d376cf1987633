#include "ringlog/testing/fuzz/fuzz_fields.h"

#include <cstdint>
#include <cstring>
#include <utility>

namespace ringlog {
namespace {

constexpr size_t kHeaderOffsets[] = {0, 2048};
constexpr size_t kMaxSlots = 8;
constexpr absl::string_view kMetadataFrameMagic("\x57\x2a\x4d\x18", 4);
constexpr absl::string_view kZstdFrameMagic("\x28\xb5\x2f\xfd", 4);
// The fixed part of a metadata frame, with the header of the skippable frame.
constexpr size_t kMetadataBytes = 152;
// The longest header of a zstd frame, and the header of its first block.
constexpr size_t kZstdHeaderBytes = 18 + 3;

class Fields {
 public:
  explicit Fields(absl::string_view file) : file_(file) {}

  // Loads an integer; zero beyond the end.
  uint64_t IntAt(uint64_t offset, size_t bytes) const {
    uint64_t value = 0;
    if (offset <= file_.size() && file_.size() - offset >= bytes) {
      std::memcpy(&value, file_.data() + offset, bytes);
    }
    return value;
  }

  // Adds each integer of `bytes` bytes in an area, as far as it is in the file.
  void AddArea(uint64_t begin, size_t length, size_t bytes) {
    for (size_t at = 0; at + bytes <= length; at += bytes) {
      if (begin > file_.size() || file_.size() - begin < at + bytes) return;
      fields_.push_back({static_cast<size_t>(begin) + at, bytes});
    }
  }

  std::vector<FuzzField> Take() { return std::move(fields_); }

 private:
  const absl::string_view file_;
  std::vector<FuzzField> fields_;
};

void AddSlots(Fields* fields, uint64_t offset, uint64_t slot_bytes,
              uint64_t slot_count) {
  for (size_t k = 0; k < kMaxSlots; ++k) {
    const uint64_t i = slot_count < kMaxSlots ? k : slot_count / kMaxSlots * k;
    // Overflow of an absurd geometry leads outside the file or to other bytes
    // of it, which is harmless.
    const uint64_t slot = offset + i * slot_bytes;
    fields->AddArea(slot, 8, 8);        // the word
    fields->AddArea(slot + 12, 4, 2);   // the parts
    fields->AddArea(slot + 16, 8, 8);   // the position
    fields->AddArea(slot + 24, 2, 2);   // the size of the head
    fields->AddArea(slot + 28, 4, 4);   // the size of the body
    fields->AddArea(slot + 32, 48, 8);  // the head of the record
  }
}

}  // namespace

std::vector<FuzzField> RingFields(absl::string_view ring) {
  Fields fields(ring);
  for (const size_t header : kHeaderOffsets) {
    fields.AddArea(header + 8, 24, 4);     // versions, flags, size of a slot
    fields.AddArea(header + 32, 8, 8);     // number of slots
    fields.AddArea(header + 40, 8, 4);     // sizes of head and body
    fields.AddArea(header + 48, 40, 8);    // offsets and sizes
    fields.AddArea(header + 88, 72, 8);    // identity, position, times
    fields.AddArea(header + 160, 256, 8);  // names
    fields.AddArea(header + 416, 4, 4);    // mode of the segments
  }
  const uint64_t live = fields.IntAt(56, 8);
  fields.AddArea(live, 8, 8);       // the tail
  fields.AddArea(live + 64, 8, 8);  // the end of the free slots
  for (const uint64_t cursor : {live + 512, live + 1024}) {
    fields.AddArea(cursor, 16, 8);
    fields.AddArea(cursor + 16, 8, 4);
    fields.AddArea(cursor + 24, 120, 4);  // the segment and its open frame
  }
  fields.AddArea(fields.IntAt(64, 8), 16, 8);       // of the crash area
  fields.AddArea(fields.IntAt(64, 8) + 64, 20, 2);  // of its first cell
  AddSlots(&fields, fields.IntAt(80, 8), fields.IntAt(28, 4),
           fields.IntAt(32, 8));
  return fields.Take();
}

std::vector<FuzzField> SegmentFields(absl::string_view segment) {
  Fields fields(segment);
  for (size_t at = 0; at < segment.size(); ++at) {
    const absl::string_view rest = segment.substr(at);
    if (rest.substr(0, 4) == kMetadataFrameMagic) {
      fields.AddArea(at + 4, 4, 4);
      fields.AddArea(at + 8, kMetadataBytes - 8, 4);
      fields.AddArea(at + 8, kMetadataBytes - 8, 8);
    } else if (rest.substr(0, 4) == kZstdFrameMagic) {
      fields.AddArea(at + 4, kZstdHeaderBytes - 4, 1);
    }
  }
  return fields.Take();
}

}  // namespace ringlog
