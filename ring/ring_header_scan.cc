#include "ringlog/ring/ring_header_scan.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <optional>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ringlog/ring/memory_source.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/ring/seed_votes.h"
#include "ringlog/ring/slot_window.h"
#include "ringlog/ring/slot_word.h"

namespace ringlog {
namespace {

constexpr uint64_t kMinSlotBytes =
    2 * kCacheLineBytes;  // a head alone takes 40
constexpr uint64_t kMaxSlotBytes = kMaxHeadBytes + kMaxBodyBytes + 1024;

uint32_t SeedOf(uint32_t checksum, absl::string_view covered) {
  return static_cast<uint32_t>(absl::RemoveCrc32cSuffix(
      absl::crc32c_t{checksum}, absl::ComputeCrc32c(covered), covered.size()));
}

// Returns nothing if the slot cannot be the slot with that index.
std::optional<SeedVotes::Vote> VoteOf(absl::string_view slot, uint64_t index,
                                      uint64_t slot_count) {
  SlotHeader header;
  std::memcpy(&header, slot.data(), sizeof header);
  const size_t payload = size_t{header.head_bytes} + header.body_bytes;
  if (header.position == 0 || header.position > kMaxPosition ||
      (header.position & (slot_count - 1)) != index ||
      header.head_bytes > kMaxHeadBytes ||
      payload > slot.size() - sizeof header) {
    return std::nullopt;
  }
  constexpr size_t kBegin = offsetof(SlotHeader, part_index);
  return SeedVotes::Vote{
      SeedOf(header.crc32c,
             slot.substr(kBegin, sizeof header - kBegin + payload)),
      header.position};
}

// Returns the votes of both persist cursors, each seed once.
absl::StatusOr<std::vector<SeedVotes::Vote>> CursorVotes(RingSource* source) {
  const absl::StatusOr<absl::string_view> cursors = source->Read(
      kLiveOffset + offsetof(RingLive, cursor), sizeof RingLive::cursor);
  if (!cursors.ok()) return cursors.status();
  std::vector<SeedVotes::Vote> votes;
  for (const size_t i : {size_t{0}, size_t{1}}) {
    const absl::string_view bytes =
        cursors->substr(i * sizeof(PersistCursor), sizeof(PersistCursor));
    PersistCursor cursor;
    std::memcpy(&cursor, bytes.data(), sizeof cursor);
    if (cursor.sequence == 0 || cursor.state_bytes > sizeof cursor.state) {
      continue;
    }
    const uint32_t seed =
        SeedOf(cursor.crc32c, bytes.substr(0, offsetof(PersistCursor, crc32c)));
    if (votes.empty() || votes[0].seed != seed) {
      votes.push_back({seed, kMaxPosition});
    }
  }
  return votes;
}

// A guess at the slot size, with the evidence for it.
struct Geometry {
  uint64_t slot_count = 0;
  uint64_t slot_bytes = 0;
  uint32_t seed = 0;
  // Number of votes for this seed.
  uint64_t votes = 0;
  // Lowest position of these votes.
  uint64_t first_position = 0;
  // Number of words whose position belongs to the slot, minus the number of
  // other nonzero words.
  int64_t matching_words = 0;

  bool IsBetterThan(const Geometry& other) const {
    return std::tie(votes, matching_words) >
           std::tie(other.votes, other.matching_words);
  }
};

// Counts the votes for slots of one size. Sets Geometry::matching_words.
absl::Status CountVotes(SlotWindow* slots, uint64_t slot_count,
                        SeedVotes* votes, int64_t* matching_words) {
  *matching_words = 0;
  for (uint64_t i = 0; i < slot_count && slots->status().ok(); ++i) {
    if (const uint64_t unused = slots->UnusedFrom(i); unused != 0) {
      i += unused - 1;
      continue;
    }
    const absl::string_view slot = slots->At(i);
    if (slot.empty()) break;
    uint64_t word;
    std::memcpy(&word, slot.data(), sizeof word);
    if (word != 0) {
      const bool matches = (WordPosition(word) & (slot_count - 1)) == i &&
                           WordState(word) <= SlotState::kSkipped;
      *matching_words += matches ? 1 : -1;
    }
    if (const auto vote = VoteOf(slot, i, slot_count)) votes->Add(*vote);
  }
  return slots->status();
}

absl::StatusOr<Geometry> Try(RingSource* source, uint64_t slot_count,
                             const std::vector<SeedVotes::Vote>& cursors) {
  Geometry geometry;
  geometry.slot_count = slot_count;
  geometry.slot_bytes = (source->size() - kSlotsOffset) / slot_count;
  SlotWindow slots(source, kSlotsOffset, geometry.slot_bytes, slot_count);
  SeedVotes votes;
  do {
    for (const SeedVotes::Vote& vote : cursors) votes.Add(vote);
    if (absl::Status s =
            CountVotes(&slots, slot_count, &votes, &geometry.matching_words);
        !s.ok()) {
      return s;
    }
  } while (votes.NeedsRecount());
  const SeedVotes::Winner winner = votes.Find();
  geometry.seed = winner.seed;
  geometry.votes = winner.votes;
  geometry.first_position = winner.lowest_position;
  return geometry;
}

RingHeader MakeHeader(const Geometry& geometry, uint64_t file_bytes) {
  RingHeader h = EmptyRingHeader();
  h.slot_count = geometry.slot_count;
  h.slot_bytes = static_cast<uint32_t>(geometry.slot_bytes);
  const auto payload = static_cast<uint32_t>(h.slot_bytes - sizeof(SlotHeader));
  h.head_bytes = std::min(payload, kMaxHeadBytes);
  h.body_bytes = payload - h.head_bytes;
  h.file_bytes = file_bytes;
  h.first_position = geometry.first_position;
  SetChecksumSeed(absl::crc32c_t{geometry.seed}, h.ring_id);
  h.crc32c = RingHeaderChecksum(h);
  return h;
}

}  // namespace

absl::StatusOr<RingHeader> RebuildRingHeader(RingSource* source) {
  const uint64_t file_bytes = source->size();
  Geometry best;
  bool has_size_of_ring = false;
  if (file_bytes > kSlotsOffset && file_bytes <= kMaxRingFileBytes) {
    const uint64_t bytes = file_bytes - kSlotsOffset;
    const auto cursors = CursorVotes(source);
    if (!cursors.ok()) return cursors.status();
    // Begins with the greatest number of slots. Of equally good guesses, the
    // one with the smallest slots wins.
    for (uint64_t count = kMaxSlotCount; count >= kMinSlotCount; count /= 2) {
      const uint64_t slot_bytes = bytes / count;
      if (slot_bytes * count != bytes || slot_bytes % kCacheLineBytes != 0 ||
          slot_bytes < kMinSlotBytes || slot_bytes > kMaxSlotBytes) {
        continue;
      }
      has_size_of_ring = true;
      // So few slots cannot win.
      if (count + cursors->size() < best.votes) break;
      const auto geometry = Try(source, count, *cursors);
      if (!geometry.ok()) return geometry.status();
      if (geometry->IsBetterThan(best)) best = *geometry;
    }
  }
  if (!has_size_of_ring) {
    return absl::InvalidArgumentError(absl::StrCat(
        "not the size of a ring: ", file_bytes, " bytes instead of ",
        kSlotsOffset, " and the slots, at most ", kMaxRingFileBytes));
  }
  if (best.votes < 2) {
    return absl::DataLossError(
        "cannot rebuild the ring header from the slots: fewer than two "
        "checksums "
        "of slots, or of a slot and the persist cursor, agree");
  }
  return MakeHeader(best, file_bytes);
}

absl::StatusOr<RingHeader> RebuildRingHeader(absl::string_view file) {
  MemorySource source(file);
  return RebuildRingHeader(&source);
}

// CRC-32C is linear: appending four bytes changes it like appending four zeros
// after adding the bytes to it. So the four bytes are the difference between
// the CRC that four zeros would turn into `seed`, and the CRC of the first 12
// bytes.
void SetChecksumSeed(absl::crc32c_t seed, uint8_t (&ring_id)[16]) {
  constexpr size_t kSuffix = sizeof(uint32_t);
  constexpr char kZeros[kSuffix] = {};
  const auto before = static_cast<uint32_t>(absl::RemoveCrc32cSuffix(
      seed, absl::ComputeCrc32c(absl::string_view(kZeros, kSuffix)), kSuffix));
  const auto prefix =
      static_cast<uint32_t>(absl::ComputeCrc32c(absl::string_view(
          reinterpret_cast<const char*>(ring_id), sizeof ring_id - kSuffix)));
  const uint32_t suffix = before ^ prefix;
  std::memcpy(ring_id + sizeof ring_id - kSuffix, &suffix, kSuffix);
}

}  // namespace ringlog
