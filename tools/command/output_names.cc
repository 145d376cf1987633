#include "ringlog/tools/command/output_names.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/ring/fnv1a.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/fork_closed_file.h"

namespace ringlog {
namespace {

absl::Status IsTaken(const std::string& name, const std::string& source,
                     const std::string& other) {
  return absl::AlreadyExistsError(
      absl::StrCat(source, ": its segment ", name, " has the name of one of ",
                   other, "; recover the two into different directories"));
}

// Returns the names for a segment, the preferred one first. A run that repeats
// a killed one must use the same names.
std::vector<std::string> NamesFor(const std::string& name,
                                  const SegmentIdentity& identity) {
  constexpr int kMaxNames = 8;
  std::vector<std::string> names = {name};
  for (int i = 1; i < kMaxNames; ++i) {
    // Not a CRC-32C: it would show the one with which a ring's checksums begin.
    const uint64_t hash = Fnv1a(
        absl::StrCat(absl::string_view(
                         reinterpret_cast<const char*>(identity.ring_id.data()),
                         identity.ring_id.size()),
                     ".", identity.number, ".", i));
    names.push_back(
        WithNameSalt(name, std::max(static_cast<uint32_t>(hash), uint32_t{1})));
    if (names.back() == name) break;  // not the name of a segment
  }
  return names;
}

// Returns the identity of the segment `name` in the output; nothing if there is
// no such segment.
std::optional<SegmentIdentity> IdentityIn(RecoverOutput* output,
                                          const std::string& name) {
  const ForkClosedFile file = output->directory()->OpenFile(name, O_RDONLY);
  if (file.fd() < 0) return std::nullopt;
  const auto reader = SegmentReader::Open(DescriptorPath(file.fd()));
  const FrameMetadata* const first =
      reader.ok() ? (*reader)->first_metadata() : nullptr;
  if (first == nullptr) return std::nullopt;
  return first->identity;
}

}  // namespace

void OutputNames::AddInputs(const std::vector<FoundSegment>& segments,
                            const RecoverOutput& output) {
  for (const FoundSegment& segment : segments) {
    const std::string& path = segment.input.path;
    if (!segment.has_metadata || output.Is(Dirname(path))) continue;
    inputs_[std::string(Basename(path))].emplace(
        segment.input.owner, Segment{path, segment.identity});
  }
}

// Returns another segment with the name, if there is one.
std::optional<OutputNames::Segment> OutputNames::OtherWithName(
    const std::string& name, const InputFile& source) const {
  if (const auto moved = moved_.find(name); moved != moved_.end()) {
    return moved->second;
  }
  const auto inputs = inputs_.find(name);
  if (inputs == inputs_.end()) return std::nullopt;
  for (const auto& [owner, segment] : inputs->second) {
    const bool is_decided =
        owner == source.owner ||
        (IsTrusted(source.owner, owner) && !IsTrusted(owner, source.owner));
    if (!is_decided) return segment;
  }
  return std::nullopt;
}

absl::StatusOr<std::string> OutputNames::NameFor(
    const std::string& name, const SegmentIdentity& identity,
    const InputFile& source, RecoverOutput* output) const {
  const auto conflict = OtherWithName(name, source);
  if (conflict.has_value() && conflict->identity.IsSameSegment(identity)) {
    return IsTaken(name, source.path, conflict->path);
  }
  std::optional<std::string> free;
  for (const std::string& candidate : NamesFor(name, identity)) {
    const auto there = IdentityIn(output, candidate);
    if (there.has_value() && there->IsSameSegment(identity)) return candidate;
    if (!free.has_value() && !there.has_value() &&
        !OtherWithName(candidate, source).has_value()) {
      free = candidate;
    }
  }
  if (free.has_value()) return *free;
  return IsTaken(name, source.path,
                 conflict.has_value() ? conflict->path
                                      : output->directory()->PathOf(name));
}

void OutputNames::AddMoved(const std::string& name,
                           const SegmentIdentity& identity,
                           const std::string& path) {
  moved_.emplace(name, Segment{path, identity});
}

}  // namespace ringlog
