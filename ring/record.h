// The fields of a log line, and the encoding of a record's head
// (ring/FORMAT.md, "The record's head").
//
// A head consists of 40 fixed bytes, an extension, which is usually empty, and
// the file name. The body is the text.
//
// The functions are thread-safe.

#ifndef RINGLOG_RING_RECORD_H_
#define RINGLOG_RING_RECORD_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/ring/severity.h"

namespace ringlog {

// Returns 'I', 'W', 'E' or 'F'.
char SeverityLetter(Severity severity);
// Returns "INFO", "WARNING", "ERROR" or "FATAL".
absl::string_view SeverityName(Severity severity);

// The values are frozen in the file formats. Readers accept unknown kinds.
enum class RecordKind : uint8_t {
  kLog = 0,         // a log line
  kStackTrace = 1,  // the stack of the last FATAL record of the thread
};

inline constexpr int32_t kNoVerbosity = -1;

// A log line. Owns nothing: the views refer to memory that must outlive the
// Record, such as a log entry, a ring or a reader's buffer.
struct Record {
  // Unix time, in nanoseconds.
  int64_t time_ns = 0;
  int64_t thread_id = 0;
  int32_t line = 0;
  // Level of VLOG; kNoVerbosity for other statements.
  int32_t verbosity = kNoVerbosity;
  Severity severity = Severity::kInfo;
  RecordKind kind = RecordKind::kLog;
  // Number of bytes that were truncated from the text.
  uint32_t cut_bytes = 0;
  // The value of __FILE__.
  absl::string_view file;
  absl::string_view text;
  // Encoded items (record_extension.h); usually empty.
  absl::string_view extension;
};

inline constexpr size_t kRecordHeadFixedBytes = 40;

// Writes the head of `record` to `out` and returns its size in bytes. Omits an
// extension that does not fit. Then truncates the file name at its beginning if
// it does not fit, because the end identifies the file better.
// Requires: out.size() >= kRecordHeadFixedBytes.
//
// Context: any thread; no lock, no allocation, no system call.
size_t EncodeRecordHead(const Record& record, absl::Span<char> out);

// Decodes `head` and `body` into `*record`, whose views then refer to them. If
// the body is shorter than the logged text, sets cut_bytes to the difference.
// Returns false if `head` is not valid; `*record` is then unspecified.
bool DecodeRecord(absl::string_view head, absl::string_view body,
                  Record* record);

// Returns the thread id in `head`, or 0 if `head` is too short.
int64_t ThreadOfHead(absl::string_view head);

}  // namespace ringlog

#endif  // RINGLOG_RING_RECORD_H_
