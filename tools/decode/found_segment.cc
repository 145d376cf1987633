#include "ringlog/tools/decode/found_segment.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/crc/crc32c.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header_scan.h"

namespace ringlog {
namespace {

// Returns the CRC-32C with which the checksums of the ring begin.
absl::crc32c_t Seed(const RingId& id) {
  return absl::ComputeCrc32c(
      absl::string_view(reinterpret_cast<const char*>(id.data()), id.size()));
}

FileStamp StampOf(const std::string& path) {
  struct stat st;
  if (stat(path.c_str(), &st) != 0) return FileStamp();
  return {FileIdentity::Of(st), st.st_size,
          st.st_mtim.tv_sec * int64_t{1000000000} + st.st_mtim.tv_nsec};
}

// The user who made a segment of a ring.
enum class Maker {
  kOwner,     // the owner of the ring
  kTrusted,   // root, or the user of this process
  kPossible,  // another user; the file has the id of the ring
  kForeign,   // another user; only the name of the file is that of the ring
};

// `owner` is the owner of the ring.
Maker MakerOf(const FoundSegment& segment, uid_t owner) {
  if (segment.input.owner == owner) return Maker::kOwner;
  if (IsTrusted(segment.input.owner, owner)) return Maker::kTrusted;
  return segment.has_metadata ? Maker::kPossible : Maker::kForeign;
}

bool IsNamed(const FoundSegment& segment) {
  return segment.input.name.kind == FileKind::kSegment;
}

// Numbers the processes of segments without rings.
class ProcessGroups {
 public:
  size_t size() const { return size_; }

  // Adds the process of a segment with metadata.
  void AddIdentified(const FoundSegment& segment) {
    if (!segment.has_metadata) return;
    Ring& ring = rings_[{segment.identity.ring_id, segment.input.owner}];
    const bool is_new = !ring.first.has_value();
    if (is_new) ring.first = size_++;
    if (!IsNamed(segment)) return;
    const ProcessName name = NameOf(segment);
    // The first name is that of the segments without a name, too.
    const bool is_first = ring.by_name.empty();
    const auto [group, is_added] =
        ring.by_name.emplace(name, is_first ? *ring.first : size_);
    if (is_added && !is_first) ++size_;
    by_name_.emplace(std::pair(name, segment.input.owner), group->second);
  }

  // Gives a process without a name that of a segment without metadata. Call it
  // after all calls of AddIdentified().
  void AddNamed(const FoundSegment& segment) {
    if (segment.has_metadata || !IsNamed(segment)) return;
    if (!nameless_.has_value()) FindNameless();
    const ProcessName name = ProcessOf(segment.input.name);
    const uid_t owner = segment.input.owner;
    const auto ring = nameless_->find({std::get<3>(name), owner});
    if (ring == nameless_->end()) return;
    if (by_name_.emplace(std::pair(name, owner), ring->second).second) {
      nameless_->erase(ring);
    }
  }

  // Returns the number of the segment's process, if it is known.
  std::optional<size_t> Of(const FoundSegment& segment) const {
    const uid_t owner = segment.input.owner;
    if (segment.has_metadata) {
      const Ring& ring = rings_.at({segment.identity.ring_id, owner});
      return IsNamed(segment) ? ring.by_name.at(NameOf(segment)) : *ring.first;
    }
    if (!IsNamed(segment)) return std::nullopt;
    const auto found = by_name_.find({ProcessOf(segment.input.name), owner});
    if (found == by_name_.end()) return std::nullopt;
    return found->second;
  }

 private:
  struct Ring {
    std::optional<size_t> first;
    std::map<ProcessName, size_t> by_name;
  };

  // Returns the name with the ring id of the metadata, which decides.
  static ProcessName NameOf(const FoundSegment& segment) {
    ProcessName name = ProcessOf(segment.input.name);
    std::get<3>(name) = RingIdPrefix(segment.identity.ring_id);
    return name;
  }

  void FindNameless() {
    nameless_.emplace();
    for (const auto& [key, ring] : rings_) {
      if (!ring.by_name.empty()) continue;
      nameless_->emplace(std::pair(RingIdPrefix(key.first), key.second),
                         *ring.first);
    }
  }

  size_t size_ = 0;
  // By ring id and owner.
  std::map<std::pair<RingId, uid_t>, Ring> rings_;
  // By name and owner.
  std::map<std::pair<ProcessName, uid_t>, size_t> by_name_;
  // The processes without a name, by RingIdPrefix() and owner.
  std::optional<std::multimap<std::pair<uint32_t, uid_t>, size_t>> nameless_;
};

}  // namespace

bool IsTrusted(uid_t owner, uid_t other) {
  return owner == other || owner == 0 || owner == geteuid();
}

bool BelongsTo(const FoundSegment& segment, const RingId& id) {
  if (segment.has_metadata) return segment.identity.ring_id == id;
  return segment.input.name.kind == FileKind::kSegment &&
         segment.input.name.ring_id_prefix == RingIdPrefix(id);
}

void SortByNumber(uid_t owner, std::vector<FoundSegment>* segments) {
  const auto rank = [owner](const FoundSegment& segment) {
    return std::make_tuple(segment.identity.number, !segment.status.ok(),
                           MakerOf(segment, owner), !segment.has_metadata);
  };
  std::stable_sort(segments->begin(), segments->end(),
                   [&](const FoundSegment& a, const FoundSegment& b) {
                     return rank(a) < rank(b);
                   });
}

ForeignCopies RemoveForeign(uid_t owner, std::vector<FoundSegment>* segments,
                            std::vector<FoundSegment>* rest) {
  ForeignCopies dropped;
  const FoundSegment* first = nullptr;  // the first one with its number
  auto kept = segments->begin();
  for (FoundSegment& segment : *segments) {
    const Maker maker = MakerOf(segment, owner);
    const bool is_first = first == nullptr || !first->status.ok() ||
                          first->identity.number != segment.identity.number;
    segment.is_foreign = maker == Maker::kForeign;
    if (!is_first && (maker == Maker::kForeign ||
                      (maker == Maker::kPossible &&
                       MakerOf(*first, owner) == Maker::kOwner))) {
      if (dropped.count++ == 0) {
        dropped.first_path = std::move(segment.input.path);
      }
      continue;
    }
    if (!is_first && maker == Maker::kPossible &&
        first->input.owner != segment.input.owner) {
      segment.has_no_ring = true;
      rest->push_back(std::move(segment));
      continue;
    }
    if (&segment != &*kept) *kept = std::move(segment);
    if (is_first && maker != Maker::kForeign) first = &*kept;
    ++kept;
  }
  segments->erase(kept, segments->end());
  return dropped;
}

std::vector<FoundSegment> TakeForeign(std::vector<FoundSegment>* segments) {
  const auto first = std::stable_partition(
      segments->begin(), segments->end(),
      [](const FoundSegment& segment) { return !segment.is_foreign; });
  std::vector<FoundSegment> foreign(std::make_move_iterator(first),
                                    std::make_move_iterator(segments->end()));
  segments->erase(first, segments->end());
  return foreign;
}

std::vector<std::vector<FoundSegment>> TakeSegmentsByProcess(
    std::vector<FoundSegment>* segments) {
  ProcessGroups groups;
  for (const FoundSegment& segment : *segments) groups.AddIdentified(segment);
  for (const FoundSegment& segment : *segments) groups.AddNamed(segment);
  // The last group has those without a process. Allocates all memory before it
  // moves the first segment, so that a lack of memory changes nothing.
  std::vector<std::vector<FoundSegment>> taken(groups.size() + 1);
  std::vector<size_t> counts(taken.size());
  std::vector<size_t> places;
  for (const FoundSegment& segment : *segments) {
    places.push_back(groups.Of(segment).value_or(groups.size()));
    ++counts[places.back()];
  }
  for (size_t i = 0; i < taken.size(); ++i) taken[i].reserve(counts[i]);
  for (size_t i = 0; i < places.size(); ++i) {
    taken[places[i]].push_back(std::move((*segments)[i]));
  }
  *segments = std::move(taken.back());
  taken.pop_back();
  for (std::vector<FoundSegment>& group : taken) {
    SortByNumber(group.front().input.owner, &group);
  }
  return taken;
}

RingId IdOfRebuiltRing(const RingId& rebuilt, const InputFile& ring,
                       const std::vector<FoundSegment>& segments) {
  const absl::crc32c_t seed = Seed(rebuilt);
  for (const FoundSegment& segment : segments) {
    if (segment.has_metadata && IsTrusted(ring.owner, segment.input.owner) &&
        Seed(segment.identity.ring_id) == seed) {
      return segment.identity.ring_id;
    }
  }
  RingHeader header = {};
  for (size_t i = 0; i < sizeof ring.name.ring_id_prefix; ++i) {
    header.ring_id[i] =
        static_cast<uint8_t>(ring.name.ring_id_prefix >> (24 - 8 * i));
  }
  SetChecksumSeed(seed, header.ring_id);
  return RingIdOf(header);
}

uint64_t FileBytes(const std::string& path) {
  struct stat st;
  return stat(path.c_str(), &st) == 0 ? static_cast<uint64_t>(st.st_size) : 0;
}

// The result is the same for the same bytes if the file was read, or is
// missing.
bool MayInspectAgain(const FoundSegment& segment) {
  const bool is_identified =
      segment.has_metadata || segment.input.name.kind != FileKind::kSegment;
  if (segment.status.ok() && is_identified) return false;
  const bool is_lasting = segment.status.ok() ||
                          absl::IsInvalidArgument(segment.status) ||
                          absl::IsNotFound(segment.status);
  return !is_lasting || !(StampOf(segment.input.path) == segment.stamp);
}

absl::StatusOr<SegmentFile> OpenFoundFile(const std::string& path,
                                          uid_t owner) {
  absl::StatusOr<SegmentFile> file = SegmentFile::Open(path, O_RDONLY);
  if (!file.ok()) return file;
  const absl::StatusOr<struct stat> st = file->Stat();
  if (!st.ok()) return st.status();
  if (absl::Status s = CheckOwner(owner, st->st_uid); !s.ok()) return s;
  return file;
}

absl::StatusOr<std::unique_ptr<SegmentReader>> OpenFoundSegment(
    const std::string& path, uid_t owner, uint64_t limit_bytes) {
  absl::StatusOr<SegmentFile> file = OpenFoundFile(path, owner);
  if (!file.ok()) return file.status();
  return SegmentReader::Open(*std::move(file), limit_bytes);
}

FoundSegment InspectSegment(const InputFile& input) {
  FoundSegment segment;
  segment.input = input;
  segment.identity.number = input.name.segment_number;
  segment.stamp = StampOf(input.path);
  auto reader = OpenFoundSegment(input.path, input.owner);
  if (!reader.ok()) {
    // Segments only grow: a segment that is empty now was empty before.
    segment.input.bytes = FileBytes(input.path);
    segment.status = reader.status();
  } else if (const FrameMetadata* first = (*reader)->first_metadata()) {
    segment.has_metadata = true;
    segment.identity = first->identity;
  }
  return segment;
}

}  // namespace ringlog
