// Conversion between Unix times and the UTC dates in lines and file names.
//
// The functions are thread-safe.

#ifndef RINGLOG_COMPRESS_LINE_UTC_TIME_H_
#define RINGLOG_COMPRESS_LINE_UTC_TIME_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace ringlog {

inline constexpr int64_t kNanosPerSecond = 1000000000;

// A Unix time as a second, rounded down, and the nanoseconds after it.
struct SplitNanos {
  int64_t second = 0;
  uint32_t nanos = 0;
};

// Splits a Unix time in nanoseconds. Before 1970 the second is negative, but
// the nanoseconds are not.
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

// Writes the Unix second `second` to `out` in the shape of `pattern`, for
// example "YYYYMMDD hh:mm:ss". Each Y, M, D, h, m and s of the pattern becomes
// one digit; every other character is copied. Writes pattern.size() bytes and
// no terminator.
// Requires: `second` is within the range of a Unix time in 64-bit nanoseconds,
// so that its year has four digits.
void PutUtc(int64_t second, absl::string_view pattern, char* out);

// Parses a time that was written in the shape of `pattern`, and sets `time_ns`
// to it, a Unix time in nanoseconds. In addition to the letters of PutUtc, each
// `f` of the pattern stands for one digit of the fraction of the second.
// Returns false and leaves `time_ns` unchanged if `text` does not match the
// pattern, is not a valid date, or is outside 64-bit nanoseconds.
bool ParseUtc(absl::string_view text, absl::string_view pattern,
              int64_t* time_ns);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LINE_UTC_TIME_H_
