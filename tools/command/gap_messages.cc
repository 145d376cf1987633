#include "ringlog/tools/command/gap_messages.h"

#include "absl/strings/str_cat.h"
#include "ringlog/tools/command/message.h"

namespace ringlog {

void GapMessages::Add(const std::string& path, const Gap& gap) {
  if (gap.cause != GapCause::kUnfinished) {
    PrintMessage(path, Describe(gap));
    return;
  }
  Unfinished& unfinished = unfinished_[path];
  if (unfinished.positions == 0) {
    unfinished.first_position = gap.first_position;
  }
  unfinished.end_position = gap.end_position;
  unfinished.positions += gap.end_position - gap.first_position;
}

void GapMessages::PrintUnfinished() {
  for (const auto& [path, unfinished] : unfinished_) {
    PrintMessage(path,
                 absl::StrCat("records in ", unfinished.positions,
                              " slots were not committed, positions ",
                              unfinished.first_position, " to ",
                              unfinished.end_position - 1,
                              "; not a loss, because LOG() had not returned"));
  }
  unfinished_.clear();
}

}  // namespace ringlog
