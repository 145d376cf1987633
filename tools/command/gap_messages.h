// Messages on standard error about the gaps of rings.

#ifndef RINGLOG_TOOLS_COMMAND_GAP_MESSAGES_H_
#define RINGLOG_TOOLS_COMMAND_GAP_MESSAGES_H_

#include <cstdint>
#include <map>
#include <string>

#include "ringlog/ring/gap.h"

namespace ringlog {

// Prints a message for each gap. For unfinished records, prints only one
// message for each ring, because they are not losses.
//
// Thread-compatible.
class GapMessages {
 public:
  // Prints a message about `gap` in the ring or segment at `path`. If the gap
  // is an unfinished record, collects it for PrintUnfinished() instead.
  void Add(const std::string& path, const Gap& gap);
  // Prints the messages about unfinished records, one for each path.
  void PrintUnfinished();

 private:
  struct Unfinished {
    uint64_t first_position = 0;
    uint64_t end_position = 0;
    // Number of unfinished positions in this range.
    uint64_t positions = 0;
  };
  // By path.
  std::map<std::string, Unfinished> unfinished_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_COMMAND_GAP_MESSAGES_H_
