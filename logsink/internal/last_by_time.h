// The last lines of several rings, in one order.

#ifndef RINGLOG_LOGSINK_INTERNAL_LAST_BY_TIME_H_
#define RINGLOG_LOGSINK_INTERNAL_LAST_BY_TIME_H_

#include <cstddef>
#include <string>
#include <vector>

#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/log_options.h"

namespace ringlog {

// Returns the last `count` elements of `logs`, by time, the oldest first. An
// element has the lines of one record or gap. The elements of one log stay in
// order.
//
// Thread-safe.
std::vector<std::string> LastByTime(LineFormat format,
                                    std::vector<std::vector<std::string>> logs,
                                    size_t count);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_LAST_BY_TIME_H_
