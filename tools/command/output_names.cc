#include "ringlog/tools/command/output_names.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

absl::Status IsTaken(const std::string& name, const std::string& source,
                     absl::string_view other) {
  return absl::AlreadyExistsError(
      absl::StrCat(source, ": its segment ", name, " has the name of one of ",
                   other, "; recover the two into different directories"));
}

}  // namespace

void OutputNames::AddInputs(const std::vector<FoundSegment>& segments,
                            const RecoverOutput& output) {
  for (const FoundSegment& segment : segments) {
    const std::string& path = segment.input.path;
    if (!segment.has_metadata || output.Is(Dirname(path))) continue;
    inputs_[std::string(Basename(path))].emplace(segment.input.owner, path);
  }
}

absl::Status OutputNames::Check(const std::string& name,
                                const InputFile& source) const {
  if (const auto moved = moved_.find(name); moved != moved_.end()) {
    return IsTaken(name, source.path, moved->second);
  }
  const auto inputs = inputs_.find(name);
  if (inputs == inputs_.end()) return absl::OkStatus();
  for (const auto& [owner, path] : inputs->second) {
    if (owner == source.owner ||
        (IsTrusted(source.owner, owner) && !IsTrusted(owner, source.owner))) {
      continue;
    }
    return IsTaken(name, source.path, path);
  }
  return absl::OkStatus();
}

void OutputNames::AddMoved(const std::string& name, const std::string& path) {
  moved_.emplace(name, path);
}

}  // namespace ringlog
