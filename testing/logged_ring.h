// A small ring as a process left it that was killed, and what it had logged.

#ifndef RINGLOG_TESTING_LOGGED_RING_H_
#define RINGLOG_TESTING_LOGGED_RING_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace ringlog {

struct LoggedRing {
  struct LoggedRecord {
    std::string text;
    uint64_t slot_count = 0;
  };

  std::string bytes;                         // of the file
  std::map<uint64_t, LoggedRecord> ever;     // by position
  std::map<uint64_t, LoggedRecord> pending;  // not below the persist cursor
  std::set<uint64_t> unfinished;             // positions
};

// 64 slots of 128 bytes, used in several turns, with records of 1 and 3 slots,
// of line LoggedLine(position). Below the cursor some have been released and
// some have not; beyond it one position was never committed, and one given up.
LoggedRing MakeLoggedRing();

inline int LoggedLine(uint64_t position) {
  return static_cast<int>(position & 0xfff);
}

}  // namespace ringlog

#endif  // RINGLOG_TESTING_LOGGED_RING_H_
