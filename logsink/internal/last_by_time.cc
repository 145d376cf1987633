#include "ringlog/logsink/internal/last_by_time.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>

#include "ringlog/compress/line/parsed_record.h"

namespace ringlog {
namespace {

struct TimedLines {
  int64_t time_ns;
  std::string lines;
};
bool operator<(const TimedLines& a, const TimedLines& b) {
  return a.time_ns < b.time_ns;
}

// Adds the time of each record. The lines stay in order: a record whose clock
// was set back gets the time of the previous one.
std::vector<TimedLines> WithTimes(LineFormat format,
                                  std::vector<std::string> all) {
  std::vector<TimedLines> timed;
  int64_t time_ns = 0;
  for (std::string& lines : all) {
    ParsedRecord parsed;
    if (ParseLines(format, lines, &parsed)) {
      time_ns = std::max(time_ns, parsed.record.time_ns);
    }
    timed.push_back({time_ns, std::move(lines)});
  }
  return timed;
}

}  // namespace

std::vector<std::string> LastByTime(LineFormat format,
                                    std::vector<std::vector<std::string>> logs,
                                    size_t count) {
  if (logs.size() == 1) return std::move(logs[0]);
  std::vector<TimedLines> merged;
  for (std::vector<std::string>& log : logs) {
    std::vector<TimedLines> one = WithTimes(format, std::move(log));
    const auto middle = static_cast<std::ptrdiff_t>(merged.size());
    merged.insert(merged.end(), std::make_move_iterator(one.begin()),
                  std::make_move_iterator(one.end()));
    std::inplace_merge(merged.begin(), merged.begin() + middle, merged.end());
  }
  std::vector<std::string> lines;
  for (size_t i = merged.size() - std::min(count, merged.size());
       i < merged.size(); ++i) {
    lines.push_back(std::move(merged[i].lines));
  }
  return lines;
}

}  // namespace ringlog
