#include "ringlog/tools/decode/decoded_formatter.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "ringlog/compress/line/json.h"
#include "ringlog/compress/line/parsed_record.h"
#include "ringlog/ring/record.h"

namespace ringlog {
namespace {

bool IsUsable(LineFormat format, const DecodedRecord& decoded) {
  // A parsed record is a JSON object, and so is a parsed gap.
  return format == LineFormat::kText || decoded.is_record ||
         IsJsonObjectLine(decoded.lines);
}

}  // namespace

void DecodedFormatter::Append(const DecodedRecord& decoded, std::string* out) {
  if (!decoded.lines.empty() && decoded.lines_format == format_ &&
      IsUsable(format_, decoded)) {
    out->append(decoded.lines.data(), decoded.lines.size());
    if (!absl::EndsWith(decoded.lines, "\n")) out->push_back('\n');
  } else if (decoded.gap != nullptr) {
    formatter_.AppendGap(*decoded.gap, decoded.record.time_ns, out);
  } else {
    formatter_.AppendRecord(decoded.record, decoded.position, out);
  }
}

void DecodedFormatter::AppendLines(absl::string_view lines, std::string* out) {
  if (format_ == LineFormat::kText) {
    out->append(lines.data(), lines.size());
    return;
  }
  // Copies many lines at once, because nearly all are JSON objects.
  size_t copied = 0;
  absl::string_view last_object;
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = std::min(lines.find('\n', begin), lines.size() - 1) + 1;
    const absl::string_view line = lines.substr(begin, end - begin);
    begin = end;
    if (IsJsonObjectLine(line) && absl::EndsWith(line, "\n")) {
      last_object = line;
      continue;
    }
    out->append(lines.data() + copied, end - line.size() - copied);
    copied = end;
    RememberTime(last_object);
    last_object = {};
    AppendAsText(line, out);
  }
  out->append(lines.data() + copied, lines.size() - copied);
  RememberTime(last_object);
}

void DecodedFormatter::RememberTime(absl::string_view line) {
  ParsedRecord parsed;
  if (ParseLines(format_, line, &parsed)) last_time_ns_ = parsed.record.time_ns;
}

void DecodedFormatter::AppendAsText(absl::string_view line, std::string* out) {
  Record record;
  record.time_ns = last_time_ns_;
  record.text = absl::StripSuffix(line, "\n");
  formatter_.AppendRecord(record, kNoPosition, out);
}

}  // namespace ringlog
