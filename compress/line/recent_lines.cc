#include "ringlog/compress/line/recent_lines.h"

#include <algorithm>
#include <utility>

namespace ringlog {

void RecentLines::Add(absl::string_view lines) {
  std::string record(lines);
  ForkSafeMutexLock lock(&mutex_);
  records_.push_back(std::move(record));
}

std::vector<std::string> RecentLines::Last(size_t count) const {
  std::vector<std::string> last;
  ForkSafeMutexLock lock(&mutex_);
  count = std::min(count, records_.size());
  last.reserve(count);
  for (size_t i = count; i > 0; --i) {
    last.push_back(records_.get_from_back(i - 1));
  }
  return last;
}

}  // namespace ringlog
