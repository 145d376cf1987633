// Comparison of a log with the notes of the killed processes that wrote it.

#ifndef RINGLOG_TESTING_KILL_KILLED_LOG_H_
#define RINGLOG_TESTING_KILL_KILLED_LOG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "ringlog/testing/kill/killed_life.h"

namespace ringlog {

// Reads the segments in `directory` by libzstd. The test fails if
//   - an acknowledged record of one of `lives` is missing, doubled, changed or
//     out of order, or
//   - a crash report is missing, doubled, changed or not the last record of its
//     life.
//
// If `may_lack_oldest` is true, the first records of a life may be missing, or
// the whole life, because retention may have deleted them.
void ExpectLivesRecovered(const std::string& directory,
                          absl::Span<const KilledLife> lives,
                          bool may_lack_oldest);

// Reads `paths` by the decoder, before any recovery. The test fails if the
// crash report of `life` is missing, doubled, changed or not the last record.
void ExpectReportIsLast(const std::vector<std::string>& paths,
                        const KilledLife& life);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_KILL_KILLED_LOG_H_
