// What a process that is going to be killed has said, and what has to be left
// of it.

#ifndef RINGLOG_TESTING_KILL_KILL_ORACLE_H_
#define RINGLOG_TESTING_KILL_KILL_ORACLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ringlog {

// In a SharedPage.
struct KillOracle {
  static constexpr size_t kMaxRecords = 64;

  struct Said {
    uint32_t begun;         // records whose Append() was called
    uint32_t acknowledged;  // of these, whose Append() has returned
    uint32_t dropped;       // of the acknowledged, those with kDropped
    bool is_recovered;      // a recovery into another directory returned 0
    // Bytes of KillReport(): passed to Append(), and those for which it has
    // returned.
    uint32_t report_begun;
    uint32_t report_appended;
  };
  std::atomic<uint32_t> begun{0};
  std::atomic<uint32_t> acknowledged{0};
  std::atomic<uint32_t> dropped{0};
  std::atomic<bool> is_recovered{false};
  std::atomic<uint32_t> report_begun{0};
  std::atomic<uint32_t> report_appended{0};
  std::atomic<uint32_t> lengths[kMaxRecords] = {};  // of texts; 0: dropped

  Said Now() const {
    return {begun,        acknowledged, dropped,
            is_recovered, report_begun, report_appended};
  }
};

// The moments of which the same is said need the same to be left of them.
bool operator==(const KillOracle::Said& a, const KillOracle::Said& b);

// The text of record `number`, of so many bytes.
std::string KillText(uint32_t number, size_t length);

// What a process that dies of a signal reports: lines that each take several
// cells of the crash area.
const std::vector<std::string>& KillReport();

// Recovers what is in `directory`, and compares it with what was said: a test
// failure if anything acknowledged is missing, or there twice, changed or out
// of order, the crash report last, or if a gap tells of a loss. The
// `overwritten` oldest records may be gone.
void ExpectAllIsThere(const std::string& directory, const KillOracle& oracle,
                      const KillOracle::Said& said, uint32_t overwritten);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_KILL_KILL_ORACLE_H_
