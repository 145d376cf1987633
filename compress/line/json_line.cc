#include "ringlog/compress/line/json_line.h"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "ringlog/compress/line/json.h"
#include "ringlog/compress/line/utc_time.h"
#include "ringlog/ring/record_extension.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

constexpr absl::string_view kJsonTimePattern = "YYYY-MM-DDThh:mm:ss.fffffffffZ";
constexpr absl::string_view kStackTraceName = "stack_trace";

void AppendTime(absl::string_view key, int64_t time_ns, std::string* out) {
  const SplitNanos split = SplitUnixNanos(time_ns);
  char second[kJsonSecondPattern.size()];
  PutUtc(split.second, kJsonSecondPattern, second);
  absl::StrAppend(out, ",\"", key, "\":\"",
                  absl::string_view(second, sizeof second), ".",
                  absl::Dec(split.nanos, absl::kZeroPad9), "Z\"");
}

bool ReadTime(JsonCursor* json, int64_t* time_ns) {
  std::string text;
  return json->ReadString(&text) && ParseUtc(text, kJsonTimePattern, time_ns);
}

template <typename Int>
bool ReadInt(JsonCursor* json, Int* out) {
  int64_t value;
  if (!json->ReadInt64(&value) || value < std::numeric_limits<Int>::min() ||
      value > std::numeric_limits<Int>::max()) {
    return false;
  }
  *out = static_cast<Int>(value);
  return true;
}

bool ParseSeverity(absl::string_view name, size_t* severity) {
  for (size_t i = 0; i < kSeverityCount; ++i) {
    if (SeverityName(static_cast<Severity>(i)) == name) {
      *severity = i;
      return true;
    }
  }
  return false;
}

// Returns the cause with this name. Returns kMissing for an unknown name, which
// a later version may write, so that the gap still counts as a loss.
GapCause ParseGapCause(absl::string_view name) {
  for (uint8_t i = 0; i <= static_cast<uint8_t>(GapCause::kMissing); ++i) {
    const auto cause = static_cast<GapCause>(i);
    if (GapCauseName(cause) == name) return cause;
  }
  return GapCause::kMissing;
}

bool ReadGap(JsonCursor* json, Gap* out) {
  bool has_cause = false, has_first = false, has_end = false;
  std::string cause;
  const auto read_counts = [json, out](absl::string_view key) {
    size_t severity = 0;
    return ParseSeverity(key, &severity)
               ? json->ReadUint64(&out->records[severity])
               : json->SkipValue();
  };
  const auto read_member = [&](absl::string_view key) {
    if (key == "cause") {
      if (!(has_cause = json->ReadString(&cause))) return false;
      out->cause = ParseGapCause(cause);
      return true;
    }
    if (key == "first_position") {
      return has_first = json->ReadUint64(&out->first_position);
    }
    if (key == "end_position") {
      return has_end = json->ReadUint64(&out->end_position);
    }
    if (key == "records") return json->ReadObject(read_counts);
    if (key == "tid") return json->ReadInt64(&out->thread_id);
    if (key == "first_time") return ReadTime(json, &out->first_time_ns);
    if (key == "last_time") return ReadTime(json, &out->last_time_ns);
    return json->SkipValue();
  };
  return json->ReadObject(read_member) && has_cause && has_first && has_end;
}

// Appends "template" and "args". The template is `text` with "{}" in place of
// each value, and with the braces of its literals doubled. The args are the
// values. Appends nothing if `pieces` does not match `text`.
void AppendPieces(absl::string_view pieces, absl::string_view text,
                  std::string* out) {
  if (!PiecesFit(pieces, text)) return;
  std::string message_template;
  std::string args;
  bool is_literal = true;
  for (absl::string_view piece; NextPiece(&pieces, &text, &piece);
       is_literal = !is_literal) {
    if (is_literal) {
      absl::StrAppend(&message_template,
                      absl::StrReplaceAll(piece, {{"{", "{{"}, {"}", "}}"}}));
      continue;
    }
    message_template.append("{}");
    if (!args.empty()) args.push_back(',');
    AppendJsonString(piece, &args);
  }
  out->append(",\"template\":");
  AppendJsonString(message_template, out);
  absl::StrAppend(out, ",\"args\":[", args, "]");
}

// Appends "context". If a key occurs more than once, only its first value is
// used.
void AppendContext(absl::string_view fields, std::string* out) {
  std::vector<absl::string_view> keys;
  for (absl::string_view key, value; NextContextField(&fields, &key, &value);) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    absl::StrAppend(out, keys.empty() ? ",\"context\":{\"" : ",\"", key, "\":");
    AppendJsonString(value, out);
    keys.push_back(key);
  }
  if (!keys.empty()) out->push_back('}');
}

// The members of a line that have been read.
struct SeenMembers {
  bool time = false, severity = false, tid = false, file = false, line = false,
       text = false, base64 = false;
};

bool ReadText(JsonCursor* json, absl::string_view key, SeenMembers* seen,
              ParsedRecord* out) {
  if (key == "text") {
    seen->text = true;
    // "text_base64" takes precedence because it has the exact bytes.
    return seen->base64 ? json->SkipValue() : json->ReadString(&out->text);
  }
  std::string base64;
  seen->base64 = true;
  return json->ReadString(&base64) && absl::Base64Unescape(base64, &out->text);
}

bool ReadKind(JsonCursor* json, Record* record) {
  std::string name;
  if (!json->ReadString(&name)) return false;
  // A record of an unknown kind is shown as a log line.
  if (name == kStackTraceName) record->kind = RecordKind::kStackTrace;
  return true;
}

bool ReadMember(JsonCursor* json, absl::string_view key, SeenMembers* seen,
                ParsedRecord* out) {
  Record& record = out->record;
  if (key == "text" || key == "text_base64") {
    return ReadText(json, key, seen, out);
  }
  if (key == "time") return seen->time = ReadTime(json, &record.time_ns);
  if (key == "severity") {
    std::string name;
    size_t severity = 0;
    seen->severity = json->ReadString(&name) && ParseSeverity(name, &severity);
    record.severity = static_cast<Severity>(severity);
    return seen->severity;
  }
  if (key == "tid") return seen->tid = json->ReadInt64(&record.thread_id);
  if (key == "file") return seen->file = json->ReadString(&out->file);
  if (key == "line") return seen->line = ReadInt(json, &record.line);
  if (key == "position") return json->ReadUint64(&out->position);
  if (key == "verbosity") return ReadInt(json, &record.verbosity);
  if (key == "cut_bytes") return ReadInt(json, &record.cut_bytes);
  if (key == "kind") return ReadKind(json, &record);
  if (key == "gap") {
    out->is_gap = true;
    return ReadGap(json, &out->gap);
  }
  return json->SkipValue();
}

}  // namespace

void AppendJsonRecordTail(const Record& record, uint64_t position,
                          std::string* out) {
  if (record.verbosity != kNoVerbosity) {
    absl::StrAppend(out, ",\"verbosity\":", record.verbosity);
  }
  absl::StrAppend(out, ",\"tid\":", record.thread_id, ",\"file\":");
  AppendJsonString(record.file, out);
  absl::StrAppend(out, ",\"line\":", record.line, ",\"text\":");
  if (!AppendJsonString(record.text, out)) {
    absl::StrAppend(out, ",\"text_base64\":\"", absl::Base64Escape(record.text),
                    "\"");
  }
  if (!record.extension.empty()) {
    AppendPieces(FindExtension(record.extension, ExtensionItem::kPieces),
                 record.text, out);
    AppendContext(FindExtension(record.extension, ExtensionItem::kContext),
                  out);
  }
  if (record.cut_bytes != 0) {
    absl::StrAppend(out, ",\"cut_bytes\":", record.cut_bytes);
  }
  if (record.kind != RecordKind::kLog) {
    absl::StrAppend(
        out, ",\"kind\":\"",
        record.kind == RecordKind::kStackTrace ? kStackTraceName : "unknown",
        "\"");
  }
  if (position != kNoPosition) {
    absl::StrAppend(out, ",\"position\":", position);
  }
  out->append("}\n");
}

void AppendJsonGapObject(const Gap& gap, std::string* out) {
  absl::StrAppend(out, "{\"cause\":\"", GapCauseName(gap.cause),
                  "\",\"first_position\":", gap.first_position,
                  ",\"end_position\":", gap.end_position);
  absl::string_view before = ",\"records\":{\"";
  for (size_t i = 0; i < kSeverityCount; ++i) {
    if (gap.records[i] == 0) continue;
    absl::StrAppend(out, before, SeverityName(static_cast<Severity>(i)),
                    "\":", gap.records[i]);
    before = ",\"";
  }
  if (before == ",\"") out->push_back('}');
  if (gap.thread_id != 0) absl::StrAppend(out, ",\"tid\":", gap.thread_id);
  if (gap.first_time_ns != 0) {
    AppendTime("first_time", gap.first_time_ns, out);
  }
  if (gap.last_time_ns != 0) AppendTime("last_time", gap.last_time_ns, out);
  out->push_back('}');
}

bool ParseJsonGapObject(absl::string_view json, Gap* out) {
  JsonCursor cursor(json);
  return ReadGap(&cursor, out) && cursor.AtEnd();
}

bool ParseJsonLine(absl::string_view line, ParsedRecord* out) {
  if (line.empty() || line.find('\n') != line.size() - 1) return false;
  JsonCursor json(line);
  SeenMembers seen;
  const auto read_member = [&](absl::string_view key) {
    return ReadMember(&json, key, &seen, out);
  };
  if (!json.ReadObject(read_member) || !json.AtEnd()) return false;
  if (!seen.time || !seen.severity || !seen.text) return false;
  return out->is_gap || (seen.tid && seen.file && seen.line);
}

}  // namespace ringlog
