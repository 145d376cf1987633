// The JSON members of records and gaps, for line_format.h. compress/FORMAT.md
// lists the members.
//
// The functions are thread-safe.

#ifndef RINGLOG_COMPRESS_LINE_JSON_LINE_H_
#define RINGLOG_COMPRESS_LINE_JSON_LINE_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "ringlog/compress/line/parsed_record.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"

namespace ringlog {

// PutUtc() pattern of the seconds of a time in a JSON line.
inline constexpr absl::string_view kJsonSecondPattern = "YYYY-MM-DDThh:mm:ss";

// Appends the rest of a record's line: all members that follow "severity", the
// closing brace, and the line break. Omits "position" if `position` is
// kNoPosition, and optional members that have their default value.
void AppendJsonRecordTail(const Record& record, uint64_t position,
                          std::string* out);

// Appends `gap` as an object: {"cause":"ring_full",...}
void AppendJsonGapObject(const Gap& gap, std::string* out);

// Parses an object that AppendJsonGapObject wrote, and ignores unknown members.
// Returns false if `json` is not such an object; `out` is then unspecified.
// Requires: `out` has its default values.
bool ParseJsonGapObject(absl::string_view json, Gap* out);

// Parses the line of a record or a gap. Sets `file` and `text` of `out`, but
// not the views in `out->record`. Ignores unknown members. Returns false in
// these cases, with `out` unspecified:
//  - `line` does not end with its only line break;
//  - `line` is not a JSON object;
//  - "time", "severity" or "text" is missing;
//  - the line is not a gap, and "tid", "file" or "line" is missing.
// Requires: `out` has its default values.
bool ParseJsonLine(absl::string_view line, ParsedRecord* out);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LINE_JSON_LINE_H_
