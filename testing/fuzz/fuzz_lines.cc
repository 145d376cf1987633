// Invariants checked:
//   - Records follow each other without a gap, up to the end of the input.
//   - A search from the end finds the same complete records as a search from
//     the beginning.
//   - A record that is parsed, printed and parsed again is unchanged, so its
//     text cannot be mistaken for another record. Exception: a directory that a
//     text line should not have is dropped.

#include "ringlog/testing/fuzz/fuzz_lines.h"

#include <string>
#include <tuple>

#include "absl/log/check.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/line/json.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/line/parsed_record.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"

namespace ringlog {
namespace {

auto Fields(const Record& r) {
  return std::tie(r.time_ns, r.thread_id, r.line, r.verbosity, r.severity,
                  r.kind, r.cut_bytes, r.text);
}
auto Fields(const Gap& g) {
  return std::tie(g.cause, g.first_position, g.end_position, g.records,
                  g.first_time_ns, g.last_time_ns);
}

std::string Write(LineFormat format, const ParsedRecord& parsed) {
  std::string written;
  if (parsed.is_gap) {
    AppendGap(format, parsed.gap, parsed.record.time_ns, &written);
  } else {
    AppendRecord(format, parsed.record, parsed.position, &written);
  }
  return written;
}

void CheckRecord(LineFormat format, absl::string_view lines) {
  ParsedRecord parsed;
  if (!ParseLines(format, lines, &parsed)) return;
  const std::string written = Write(format, parsed);
  CHECK_EQ(FirstRecordBytes(format, written, true), written.size()) << written;
  ParsedRecord again;
  CHECK(ParseLines(format, written, &again)) << written;
  CHECK_EQ(Write(format, again), written);
  CHECK_EQ(parsed.is_gap, again.is_gap) << written;
  CHECK_EQ(parsed.record.time_ns, again.record.time_ns) << written;
  if (parsed.is_gap) {
    CHECK(Fields(parsed.gap) == Fields(again.gap)) << written;
  } else {
    CHECK(Fields(parsed.record) == Fields(again.record)) << written;
    CHECK_EQ(parsed.position, again.position) << written;
  }
}

void CheckJson(absl::string_view text) {
  JsonCursor skipping(text);
  const bool is_json = skipping.SkipValue() && skipping.AtEnd();
  JsonCursor reading(text);
  const bool is_object = reading.ReadObject([&](const std::string&) {
    return reading.SkipValue();
  }) && reading.AtEnd();
  CHECK(is_json || !is_object) << text;
}

}  // namespace

int FuzzLines(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const LineFormat format =
      (data[0] & 1) == 0 ? LineFormat::kText : LineFormat::kJson;
  const absl::string_view all(reinterpret_cast<const char*>(data) + 1,
                              size - 1);
  size_t complete = 0;
  for (absl::string_view rest = all; !rest.empty();) {
    const size_t bytes = FirstRecordBytes(format, rest, true);
    CHECK_GT(bytes, 0u);
    CHECK_LE(bytes, rest.size());
    // Returns 0 if later bytes could belong to the same record.
    const size_t unless_more_follows = FirstRecordBytes(format, rest, false);
    CHECK(unless_more_follows == bytes || unless_more_follows == 0);
    CHECK(unless_more_follows != 0 || bytes == rest.size());
    complete += unless_more_follows;
    CheckRecord(format, rest.substr(0, bytes));
    rest.remove_prefix(bytes);
  }
  CHECK_EQ(CompleteRecordsBytes(format, all), complete);
  CheckJson(all);
  return 0;
}

}  // namespace ringlog
