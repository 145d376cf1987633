#include "ringlog/tools/command/output_names.h"

#include <algorithm>
#include <cstdint>

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

absl::Status IsTaken(const std::string& name, const std::string& source,
                     const std::string& other) {
  return absl::AlreadyExistsError(
      absl::StrCat(source, ": its segment ", name, " has the name of one of ",
                   other, "; recover the two into different directories"));
}

// Never 0. A run that repeats a killed one must use the same name.
uint32_t SaltOf(const RingId& id) {
  const auto crc = absl::ComputeCrc32c(
      absl::string_view(reinterpret_cast<const char*>(id.data()), id.size()));
  return std::max(static_cast<uint32_t>(crc), uint32_t{1});
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

// Returns another segment with the name; nullptr if there is none.
const OutputNames::Segment* OutputNames::OtherWithName(
    const std::string& name, const InputFile& source) const {
  if (const auto moved = moved_.find(name); moved != moved_.end()) {
    return &moved->second;
  }
  const auto inputs = inputs_.find(name);
  if (inputs == inputs_.end()) return nullptr;
  for (const auto& [owner, segment] : inputs->second) {
    const bool is_decided =
        owner == source.owner ||
        (IsTrusted(source.owner, owner) && !IsTrusted(owner, source.owner));
    if (!is_decided) return &segment;
  }
  return nullptr;
}

absl::StatusOr<std::string> OutputNames::NameFor(
    const std::string& name, const SegmentIdentity& identity,
    const InputFile& source) const {
  const Segment* const other = OtherWithName(name, source);
  if (other == nullptr) return name;
  const std::string salted = WithNameSalt(name, SaltOf(identity.ring_id));
  if (other->identity.IsSameSegment(identity) || salted == name) {
    return IsTaken(name, source.path, other->path);
  }
  if (const Segment* const second = OtherWithName(salted, source)) {
    return IsTaken(salted, source.path, second->path);
  }
  return salted;
}

void OutputNames::AddMoved(const std::string& name,
                           const SegmentIdentity& identity,
                           const std::string& path) {
  moved_.emplace(name, Segment{path, identity});
}

}  // namespace ringlog
