// What a directory has to hold of the processes that were killed in it.

#ifndef RINGLOG_TESTING_KILL_KILLED_LOG_H_
#define RINGLOG_TESTING_KILL_KILLED_LOG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "ringlog/testing/kill/killed_life.h"

namespace ringlog {

// Reads the segments in `directory`, by zstd's own decoder: a test failure if
// something that one of `lives` acknowledged is missing, or there twice,
// changed or out of order; or a crash report, which comes last.
//
// With `may_lack_oldest` the first records of a life may be missing, or all of
// it.
void ExpectLivesAreThere(const std::string& directory,
                         absl::Span<const KilledLife> lives,
                         bool may_lack_oldest);

// The same of one life's crash report as the decoder finds it in its ring and
// its segments, before somebody has recovered them.
void ExpectReportIsLast(const std::vector<std::string>& paths,
                        const KilledLife& life);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_KILL_KILLED_LOG_H_
