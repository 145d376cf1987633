// KillOracle
//
// The expected state of a process that is stepped or killed. The process notes
// in shared memory what it begins and what has succeeded. After its death, the
// test compares the recovered log with these notes.

#ifndef RINGLOG_TESTING_KILL_KILL_ORACLE_H_
#define RINGLOG_TESTING_KILL_KILL_ORACLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ringlog {

// Lives in a SharedPage. The process writes; the test reads.
struct KillOracle {
  static constexpr size_t kMaxRecords = 64;

  // A copy of the notes at one moment.
  struct Progress {
    uint32_t begun;         // records passed to Append()
    uint32_t acknowledged;  // of these, records whose Append() has returned
    uint32_t dropped;       // of the acknowledged, records with result kDropped
    bool is_recovered;      // recovery into another directory returned 0
    // Bytes of KillReport() passed to CrashArea::Append(), and bytes for which
    // it has returned.
    uint32_t report_begun;
    uint32_t report_appended;
  };
  std::atomic<uint32_t> begun{0};
  std::atomic<uint32_t> acknowledged{0};
  std::atomic<uint32_t> dropped{0};
  std::atomic<bool> is_recovered{false};
  std::atomic<uint32_t> report_begun{0};
  std::atomic<uint32_t> report_appended{0};
  std::atomic<uint32_t> lengths[kMaxRecords] =
      {};  // bytes of each text; 0: dropped

  Progress Snapshot() const {
    return {begun,        acknowledged, dropped,
            is_recovered, report_begun, report_appended};
  }
};

// Two equal copies require the same content of the log.
bool operator==(const KillOracle::Progress& a, const KillOracle::Progress& b);

// Returns the text of record `number`, `length` bytes long.
std::string KillText(uint32_t number, size_t length);

// Returns the pieces of the crash report of the process. Each takes several
// cells of the crash area.
const std::vector<std::string>& KillReport();

// Recovers the rings in `directory` and compares the log with `progress`. The
// test fails if
//   - an acknowledged record is missing, doubled, changed or out of order,
//   - the crash report is missing, changed or not the last record, or
//   - a gap reports a loss.
//
// The `overwritten` oldest records may be missing.
void ExpectAllRecovered(const std::string& directory, const KillOracle& oracle,
                        const KillOracle::Progress& progress,
                        uint32_t overwritten);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_KILL_KILL_ORACLE_H_
