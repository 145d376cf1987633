#include "ringlog/tools/decode/known_rings.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {

void KnownRings::Add(const InputFile& input, const RingHeader& header,
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
    if (IsSameRing(known->second, ring)) return;
    // Another process has replaced the file.
    const auto [begin, end] =
        by_prefix_.equal_range(RingIdPrefix(known->second.id));
    by_prefix_.erase(
        std::find_if(begin, end, [known = known](const auto& entry) {
          return entry.second == &*known;
        }));
  }
  // Not the number of rings, which does not change if a ring is replaced.
  ring.number = next_number_++;
  known->second = std::move(ring);
  by_prefix_.emplace(RingIdPrefix(known->second.id), &*known);
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
  const auto [begin, end] = by_prefix_.equal_range(RingIdPrefix(ring.id));
  const auto original = std::find_if(begin, end, [&](const auto& entry) {
    const auto& [other_path, other] = *entry.second;
    return paths.count(other_path) != 0 && IsSameRing(ring, other) &&
           IsTrusted(other.owner, ring.owner);
  });
  if (original == end) return std::nullopt;
  return original->second->first;
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

bool KnownRings::MayOwn(const KnownRing& ring, const FoundSegment& segment) {
  return IsTrusted(ring.owner, segment.input.owner) &&
         BelongsTo(segment, ring.id) && IsNamedFor(segment, ring);
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

bool KnownRings::Owns(const std::string& path,
                      const FoundSegment& segment) const {
  const auto found = rings_.find(path);
  if (found == rings_.end()) return false;
  const KnownRing& ring = found->second;
  if (!MayOwn(ring, segment)) return false;
  // The nearest one of several rings owns the segment.
  const auto [begin, end] = by_prefix_.equal_range(RingIdPrefix(ring.id));
  for (auto entry = begin; entry != end; ++entry) {
    const KnownRing& other = entry->second->second;
    if (IsSameRing(ring, other) || !MayOwn(other, segment)) continue;
    const auto mine = Nearness(segment, ring);
    const auto theirs = Nearness(segment, other);
    if (mine < theirs || (mine == theirs && other.number < ring.number)) {
      return false;
    }
  }
  return true;
}

}  // namespace ringlog
