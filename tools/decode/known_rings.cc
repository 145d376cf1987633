#include "ringlog/tools/decode/known_rings.h"

#include <unistd.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {

KnownRings::Key KnownRings::KeyOf(const KnownRing& ring) {
  return {RingIdPrefix(ring.id), ring.owner};
}

bool KnownRings::Add(const InputFile& input, const RingHeader& header,
                     bool is_rebuilt) {
  const std::string& path = input.path;
  KnownRing ring;
  ring.id = RingIdOf(header);
  ring.is_rebuilt = is_rebuilt;
  ring.process = OwnerOf(header);
  ring.created_unix_ns = header.created_unix_ns;
  const ParsedFileName name = ParseFileName(RingFileName(header));
  ring.program = name.program;
  ring.host = name.host;
  ring.owner = input.owner;
  ring.directory = Dirname(path);
  ring.segment_directory = std::string(SegmentDirectory(header));
  const auto [known, is_new] = rings_.try_emplace(path);
  if (!is_new) {
    if (IsSameRing(known->second, ring)) return true;
    // Another process has replaced the file.
    const auto [begin, end] = by_prefix_.equal_range(KeyOf(known->second));
    const auto entry = std::find_if(
        begin, end,
        [known = known](const auto& other) { return other.second == &*known; });
    // A lack of memory may have ended the call that added it.
    if (entry != end) by_prefix_.erase(entry);
  }
  if (by_prefix_.count(KeyOf(ring)) == kMaxRingsOfId) {
    rings_.erase(known);
    return false;
  }
  // Not the number of rings, which does not change if a ring is replaced.
  ring.number = next_number_++;
  known->second = std::move(ring);
  by_prefix_.emplace(KeyOf(known->second), &*known);
  return true;
}

// Returns the rings with this prefix that may decide about files of `owner`.
std::vector<const KnownRings::Entry*> KnownRings::TrustedRings(
    uint32_t prefix, uid_t owner) const {
  std::vector<const Entry*> found;
  for (const uid_t user : std::set<uid_t>{owner, 0, geteuid()}) {
    const auto [begin, end] = by_prefix_.equal_range({prefix, user});
    for (auto entry = begin; entry != end; ++entry) {
      found.push_back(entry->second);
    }
  }
  return found;
}

bool KnownRings::IsSameRing(const KnownRing& a, const KnownRing& b) {
  const auto facts = [](const KnownRing& ring) {
    return std::tie(ring.process.process_id, ring.process.start_ticks,
                    ring.process.boot_id, ring.created_unix_ns, ring.host);
  };
  return a.id == b.id && (a.is_rebuilt || b.is_rebuilt || facts(a) == facts(b));
}

std::optional<std::string> KnownRings::OriginalOf(
    const std::string& path, const std::set<std::string>& paths) const {
  const auto found = rings_.find(path);
  if (found == rings_.end()) return std::nullopt;
  const KnownRing& ring = found->second;
  for (const Entry* other : TrustedRings(RingIdPrefix(ring.id), ring.owner)) {
    if (paths.count(other->first) != 0 && IsSameRing(ring, other->second)) {
      return other->first;
    }
  }
  return std::nullopt;
}

// Only a segment with the name of another process is certainly of another
// process. Other names prove nothing.
bool KnownRings::IsNamedFor(const FoundSegment& segment,
                            const KnownRing& ring) {
  const ParsedFileName& name = segment.input.name;
  return name.kind != FileKind::kSegment || ring.is_rebuilt ||
         (name.process_id == ring.process.process_id &&
          name.host == ring.host && name.program == ring.program);
}

// Returns how well the segment fits the ring: the greater tuple fits better.
std::tuple<bool, bool, bool> KnownRings::Nearness(const FoundSegment& segment,
                                                  const KnownRing& ring) {
  const std::string directory = Dirname(segment.input.path);
  return {segment.input.owner == ring.owner,
          !ring.segment_directory.empty() &&
              SegmentDirectoryField(directory) == ring.segment_directory,
          directory == ring.directory};
}

// The nearest one of several rings owns the segment, or a copy of it.
const std::string* KnownRings::RingOf(
    const FoundSegment& segment, const std::set<std::string>& paths) const {
  const std::vector<const Entry*> rings =
      TrustedRings(segment.has_metadata ? RingIdPrefix(segment.identity.ring_id)
                                        : segment.input.name.ring_id_prefix,
                   segment.input.owner);
  const Entry* nearest = nullptr;
  std::tuple<bool, bool, bool> nearness;
  for (const Entry* entry : rings) {
    const KnownRing& ring = entry->second;
    if (!BelongsTo(segment, ring.id) || !IsNamedFor(segment, ring)) continue;
    const auto its = Nearness(segment, ring);
    if (nearest == nullptr || its > nearness ||
        (its == nearness && ring.number < nearest->second.number)) {
      nearest = entry;
      nearness = its;
    }
  }
  if (nearest == nullptr) return nullptr;
  if (paths.count(nearest->first) != 0) return &nearest->first;
  for (const Entry* entry : rings) {
    if (paths.count(entry->first) != 0 && IsNamedFor(segment, entry->second) &&
        IsSameRing(nearest->second, entry->second)) {
      return &entry->first;
    }
  }
  return nullptr;
}

}  // namespace ringlog
