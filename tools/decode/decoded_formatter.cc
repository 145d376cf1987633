#include "ringlog/tools/decode/decoded_formatter.h"

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/line/json.h"

namespace ringlog {
namespace {

bool IsJsonObject(absl::string_view line) {
  JsonCursor begin(line);
  JsonCursor all(line);
  return begin.Consume('{') && all.SkipValue() && all.AtEnd();
}

}  // namespace

void DecodedFormatter::Append(const DecodedRecord& decoded, std::string* out) {
  if (!decoded.lines.empty() && decoded.lines_format == format_ &&
      (format_ == LineFormat::kText || decoded.lines_are_ours ||
       IsJsonObject(decoded.lines))) {
    out->append(decoded.lines.data(), decoded.lines.size());
    if (!absl::EndsWith(decoded.lines, "\n")) out->push_back('\n');
  } else if (decoded.gap != nullptr) {
    formatter_.AppendGap(*decoded.gap, decoded.record.time_ns, out);
  } else {
    formatter_.AppendRecord(decoded.record, decoded.position, out);
  }
}

}  // namespace ringlog
