#include "ringlog/compress/line/utc_time.h"

#include <limits>

#include "absl/time/civil_time.h"

namespace ringlog {
namespace {

// The last second whose nanoseconds all fit in 64 bits as a Unix time.
constexpr int64_t kMaxSecond =
    std::numeric_limits<int64_t>::max() / kNanosPerSecond - 1;

constexpr absl::string_view kFields = "YMDhmsf";

}  // namespace

void PutUtc(int64_t second, absl::string_view pattern, char* out) {
  const absl::CivilSecond utc = absl::CivilSecond(1970) + second;
  int64_t values[] = {utc.year(),   utc.month(),  utc.day(), utc.hour(),
                      utc.minute(), utc.second(), 0};
  for (size_t i = pattern.size(); i-- > 0;) {
    const size_t field = kFields.find(pattern[i]);
    if (field == absl::string_view::npos) {
      out[i] = pattern[i];
    } else {
      out[i] = static_cast<char>('0' + values[field] % 10);
      values[field] /= 10;
    }
  }
}

bool ParseUtc(absl::string_view text, absl::string_view pattern,
              int64_t* time_ns) {
  if (text.size() != pattern.size()) return false;
  int64_t values[kFields.size()] = {};
  int64_t fraction_unit = kNanosPerSecond;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t field = kFields.find(pattern[i]);
    if (field == absl::string_view::npos) {
      if (text[i] != pattern[i]) return false;
      continue;
    }
    if (text[i] < '0' || text[i] > '9') return false;
    values[field] = values[field] * 10 + (text[i] - '0');
    if (pattern[i] == 'f') fraction_unit /= 10;
  }
  const auto [year, month, day, hour, minute, second, fraction] = values;
  const absl::CivilSecond utc(year, month, day, hour, minute, second);
  // CivilSecond normalizes an invalid date, so that its fields change.
  if (utc.month() != month || utc.day() != day || utc.hour() != hour ||
      utc.minute() != minute || utc.second() != second) {
    return false;
  }
  const int64_t unix_second = utc - absl::CivilSecond(1970);
  if (unix_second < -kMaxSecond || unix_second > kMaxSecond) return false;
  *time_ns = unix_second * kNanosPerSecond + fraction * fraction_unit;
  return true;
}

}  // namespace ringlog
