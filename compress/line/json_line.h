// The JSON of a record and of a gap: the part of line_format.h that knows the
// keys. compress/FORMAT.md lists them.

#ifndef RINGLOG_COMPRESS_LINE_JSON_LINE_H_
#define RINGLOG_COMPRESS_LINE_JSON_LINE_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "ringlog/compress/line/parsed_record.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"

namespace ringlog {

inline constexpr absl::string_view kJsonSecondPattern = "YYYY-MM-DDThh:mm:ss";

// What follows the severity, the line break included.
void AppendJsonRecordTail(const Record& record, uint64_t position,
                          std::string* out);

// {"cause":"ring_full",...}
void AppendJsonGapObject(const Gap& gap, std::string* out);
bool ParseJsonGapObject(absl::string_view json, Gap* out);

// `line` ends with its only line break. `out` is as new, but for the views.
bool ParseJsonLine(absl::string_view line, ParsedRecord* out);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LINE_JSON_LINE_H_
