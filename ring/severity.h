// Severity: the severity of a record.

#ifndef RINGLOG_RING_SEVERITY_H_
#define RINGLOG_RING_SEVERITY_H_

#include <cstdint>

namespace ringlog {

// The values are those of absl::LogSeverity, and are frozen in the file
// formats.
enum class Severity : uint8_t {
  kInfo = 0,
  kWarning = 1,
  kError = 2,
  kFatal = 3
};
inline constexpr int kSeverityCount = 4;

}  // namespace ringlog

#endif  // RINGLOG_RING_SEVERITY_H_
