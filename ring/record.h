// What a record says: the fields of a log line, and how its head is encoded in
// the ring (ring/FORMAT.md, "The record head").
//
// The head is 40 fixed bytes, an extension, which is mostly empty, and the
// file's name; the body begins with the text.

#ifndef RINGLOG_RING_RECORD_H_
#define RINGLOG_RING_RECORD_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/ring/severity.h"

namespace ringlog {

// 'I', 'W', 'E' or 'F'.
char SeverityLetter(Severity severity);
// "INFO", "WARNING", "ERROR" or "FATAL".
absl::string_view SeverityName(Severity severity);

// These values are frozen in the file formats. A reader passes over kinds that
// it does not know.
enum class RecordKind : uint8_t {
  kLog = 0,  // a log line
  kStackTrace =
      1,  // the stack of the FATAL record that the same thread logged last
};

inline constexpr int32_t kNoVerbosity = -1;

// A log line. The views are somebody else's: of the entry being logged, of the
// ring, or of a reader's buffer.
struct Record {
  int64_t time_ns = 0;  // Unix time
  int64_t tid = 0;
  int32_t line = 0;
  int32_t verbosity = kNoVerbosity;  // of VLOG; kNoVerbosity otherwise
  Severity severity = Severity::kInfo;
  RecordKind kind = RecordKind::kLog;
  uint32_t cut_bytes = 0;  // bytes that the text lost because the record was
                           // too long for where it was
  absl::string_view file;  // as __FILE__ had it
  absl::string_view text;
  absl::string_view extension;  // items of record_extension.h
};

inline constexpr size_t kRecordHeadFixedBytes = 40;

// Writes the head of `record` to `out` and returns its length. An extension
// that does not fit is left out; a file name that does not, then, loses its
// beginning (the end tells more). Requires: out.size() >=
// kRecordHeadFixedBytes.
//
// Context: any thread; no lock, no allocation, no system call.
size_t EncodeRecordHead(const Record& record, absl::Span<char> out);

// The inverse: `record` gets the fields of `head`, and views into `head` and
// `body`. A body shorter than the text was when it was logged is a cut record:
// cut_bytes says by how much. False if `head` is not one that EncodeRecordHead
// wrote; `record` is then unspecified.
bool DecodeRecord(absl::string_view head, absl::string_view body,
                  Record* record);

// The thread of a head that EncodeRecordHead wrote; 0 of anything else.
int64_t ThreadOfHead(absl::string_view head);

}  // namespace ringlog

#endif  // RINGLOG_RING_RECORD_H_
