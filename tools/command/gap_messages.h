// What the gaps of rings are called on standard error.

#ifndef RINGLOG_TOOLS_COMMAND_GAP_MESSAGES_H_
#define RINGLOG_TOOLS_COMMAND_GAP_MESSAGES_H_

#include <cstdint>
#include <map>
#include <string>

#include "ringlog/ring/gap.h"

namespace ringlog {

// Thread-compatible.
class GapMessages {
 public:
  // A message for each gap; those of unfinished records, which are no losses,
  // become one for each ring.
  void Tell(const std::string& path, const Gap& gap);
  // Tells of the unfinished ones.
  void Finish();

 private:
  struct Unfinished {
    uint64_t first_position = 0;
    uint64_t end_position = 0;
    uint64_t positions = 0;
  };
  std::map<std::string, Unfinished> unfinished_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_GAP_MESSAGES_H_
