#include "ringlog/tools/decoded_formatter.h"

namespace ringlog {

void DecodedFormatter::Append(const DecodedRecord& decoded, std::string* out) {
  if (!decoded.lines.empty() && decoded.lines_format == format_) {
    out->append(decoded.lines.data(), decoded.lines.size());
  } else if (decoded.gap != nullptr) {
    formatter_.AppendGap(*decoded.gap, decoded.record.time_ns, out);
  } else {
    formatter_.AppendRecord(decoded.record, decoded.position, out);
  }
}

}  // namespace ringlog
