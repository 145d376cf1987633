// Dates and times as digits in lines and in file names, always in UTC.

#ifndef RINGLOG_COMPRESS_LINE_UTC_TIME_H_
#define RINGLOG_COMPRESS_LINE_UTC_TIME_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace ringlog {

inline constexpr int64_t kNanosPerSecond = 1000000000;

// A time as whole seconds and what is left, which is never negative.
struct SplitNanos {
  int64_t second = 0;
  uint32_t nanos = 0;
};
inline SplitNanos SplitUnixNanos(int64_t time_ns) {
  SplitNanos split = {time_ns / kNanosPerSecond, 0};
  int64_t nanos = time_ns % kNanosPerSecond;
  if (nanos < 0) {
    nanos += kNanosPerSecond;
    --split.second;
  }
  split.nanos = static_cast<uint32_t>(nanos);
  return split;
}

// Writes `second` as `pattern` has it: Y, M, D, h, m and s stand for one digit
// each, from the left, everything else for itself. "YYYYMMDD hh:mm:ss". Nothing
// is terminated. Requires: `second` is one of a Unix time in 64-bit
// nanoseconds, whose years have four digits.
void PutUtc(int64_t second, absl::string_view pattern, char* out);

// The inverse, for `text` of the length of `pattern`. False if it is something
// else, or no date, or not within 64-bit nanoseconds. `f` digits give the
// fraction.
bool ParseUtc(absl::string_view text, absl::string_view pattern,
              int64_t* time_ns);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LINE_UTC_TIME_H_
