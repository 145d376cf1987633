#include "ringlog/compress/line/line_format.h"

#include <array>
#include <charconv>
#include <cstring>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "ringlog/compress/line/json.h"
#include "ringlog/compress/line/json_line.h"
#include "ringlog/compress/line/utc_time.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

constexpr absl::string_view kGapFile = "ringlog";
constexpr absl::string_view kCutPrefix = "[";
constexpr absl::string_view kCutSuffix = " bytes cut]";
constexpr absl::string_view kTextSecondPattern = "YYYYMMDD hh:mm:ss";
constexpr absl::string_view kTextTimePattern = "YYYYMMDD hh:mm:ss.ffffff ";

// Returns the table of bytes that a file name in a text line may have. Any
// other byte would end the name or the line too early.
constexpr std::array<bool, 256> MakeFileByteTable() {
  std::array<bool, 256> table = {};
  for (size_t c = 0x21; c < 0x7F; ++c) table[c] = c != ']' && c != ':';
  return table;
}
constexpr std::array<bool, 256> kFileByte = MakeFileByteTable();

bool IsFileByte(char c) { return kFileByte[static_cast<unsigned char>(c)]; }

char* PutDigits(char* p, uint32_t value, int digits) {
  for (int i = digits - 1; i >= 0; --i) {
    p[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return p + digits;
}

// Writes the two digits of `value`. Requires: value < 100.
char* PutTwoDigits(char* p, uint32_t value) {
  constexpr char kPairs[] =
      "0001020304050607080910111213141516171819"
      "2021222324252627282930313233343536373839"
      "4041424344454647484950515253545556575859"
      "6061626364656667686970717273747576777879"
      "8081828384858687888990919293949596979899";
  std::memcpy(p, kPairs + size_t{2} * value, 2);
  return p + 2;
}

void AppendFileName(absl::string_view file, std::string* out) {
  file = Basename(file);
  if (file.empty()) {
    out->push_back('?');
    return;
  }
  const size_t begin = out->size();
  out->append(file.data(), file.size());
  for (size_t i = begin; i < out->size(); ++i) {
    if (!IsFileByte((*out)[i])) (*out)[i] = '?';
  }
}

void AppendText(absl::string_view text, std::string* out) {
  while (!text.empty()) {
    const void* const found = std::memchr(text.data(), '\n', text.size());
    if (found == nullptr) break;
    const auto line =
        static_cast<size_t>(static_cast<const char*>(found) - text.data()) + 1;
    out->append(text.data(), line);
    out->push_back('\t');
    text.remove_prefix(line);
  }
  out->append(text.data(), text.size());
}

bool ConsumeChar(absl::string_view* in, char c) {
  if (in->empty() || (*in)[0] != c) return false;
  in->remove_prefix(1);
  return true;
}

template <typename Int>
bool ConsumeInt(absl::string_view* in, Int* out) {
  const auto result =
      std::from_chars(in->data(), in->data() + in->size(), *out);
  if (result.ec != std::errc()) return false;
  in->remove_prefix(static_cast<size_t>(result.ptr - in->data()));
  return true;
}

bool ConsumeTextTime(absl::string_view* in, int64_t* time_ns) {
  if (!ParseUtc(in->substr(0, kTextTimePattern.size()), kTextTimePattern,
                time_ns)) {
    return false;
  }
  in->remove_prefix(kTextTimePattern.size());
  return true;
}

bool ConsumeTextHead(absl::string_view* in, ParsedRecord* out) {
  constexpr absl::string_view kLetters = "IWEF";
  if (in->empty()) return false;
  const size_t severity = kLetters.find((*in)[0]);
  if (severity == absl::string_view::npos) return false;
  in->remove_prefix(1);
  out->record.severity = static_cast<Severity>(severity);
  if (!ConsumeTextTime(in, &out->record.time_ns) ||
      !ConsumeInt(in, &out->record.thread_id) || !ConsumeChar(in, ' ')) {
    return false;
  }
  size_t name = 0;
  while (name < in->size() && IsFileByte((*in)[name])) ++name;
  if (name == 0) return false;
  out->file.assign(in->data(), name);
  in->remove_prefix(name);
  return ConsumeChar(in, ':') && ConsumeInt(in, &out->record.line) &&
         ConsumeChar(in, ']') && ConsumeChar(in, ' ');
}

// Parses the last line of a record, without its first byte, which is a space.
bool ParseNote(absl::string_view note, ParsedRecord* out) {
  if (!note.empty() && note[0] == '{') {
    out->is_gap = true;
    return ParseJsonGapObject(note, &out->gap);
  }
  return ConsumeChar(&note, kCutPrefix[0]) &&
         ConsumeInt(&note, &out->record.cut_bytes) && note == kCutSuffix &&
         out->record.cut_bytes != 0;
}

bool ParseText(absl::string_view in, ParsedRecord* out) {
  if (in.empty() || in.back() != '\n' || !ConsumeTextHead(&in, out)) {
    return false;
  }
  in.remove_suffix(1);
  const size_t last_break = in.rfind('\n');
  if (last_break != absl::string_view::npos && last_break + 1 < in.size() &&
      in[last_break + 1] == ' ') {
    if (!ParseNote(in.substr(last_break + 2), out)) return false;
    in = in.substr(0, last_break);
  }
  for (size_t line; (line = in.find('\n')) != absl::string_view::npos;) {
    if (line + 1 == in.size() || in[line + 1] != '\t') return false;
    out->text.append(in.data(), line + 1);
    in.remove_prefix(line + 2);
  }
  out->text.append(in.data(), in.size());
  return true;
}

bool ContinuesRecord(char first_of_line) {
  return first_of_line == '\t' || first_of_line == ' ';
}

}  // namespace

uint32_t LineFormatter::SplitTime(int64_t time_ns) {
  const SplitNanos split = SplitUnixNanos(time_ns);
  if (split.second != second_) {
    second_ = split.second;
    PutUtc(
        second_,
        format_ == LineFormat::kJson ? kJsonSecondPattern : kTextSecondPattern,
        date_);
  }
  return split.nanos;
}

void LineFormatter::AppendTextHead(char severity, int64_t time_ns, int64_t tid,
                                   std::string* out) {
  const uint32_t micros = SplitTime(time_ns) / 1000;
  char head[64];
  char* p = head;
  *p++ = severity;
  std::memcpy(p, date_, kTextSecondPattern.size());
  p += kTextSecondPattern.size();
  *p++ = '.';
  p = PutTwoDigits(p, micros / 10000);
  p = PutTwoDigits(p, micros / 100 % 100);
  p = PutTwoDigits(p, micros % 100);
  *p++ = ' ';
  p = std::to_chars(p, head + sizeof head, tid).ptr;
  *p++ = ' ';
  out->append(head, static_cast<size_t>(p - head));
}

void LineFormatter::AppendJsonHead(int64_t time_ns, absl::string_view severity,
                                   std::string* out) {
  const uint32_t nanos = SplitTime(time_ns);
  char head[64];
  constexpr absl::string_view kTime = "{\"time\":\"";
  std::memcpy(head, kTime.data(), kTime.size());
  char* p = head + kTime.size();
  std::memcpy(p, date_, kJsonSecondPattern.size());
  p += kJsonSecondPattern.size();
  *p++ = '.';
  p = PutDigits(p, nanos, 9);
  *p++ = 'Z';
  out->append(head, static_cast<size_t>(p - head));
  absl::StrAppend(out, "\",\"severity\":\"", severity, "\"");
}

void LineFormatter::AppendRecord(const Record& record, uint64_t position,
                                 std::string* out) {
  if (format_ == LineFormat::kJson) {
    AppendJsonHead(record.time_ns, SeverityName(record.severity), out);
    AppendJsonRecordTail(record, position, out);
    return;
  }
  AppendTextHead(SeverityLetter(record.severity), record.time_ns,
                 record.thread_id, out);
  AppendFileName(record.file, out);
  char line[16] = {':'};
  char* p = std::to_chars(line + 1, line + sizeof line, record.line).ptr;
  *p++ = ']';
  *p++ = ' ';
  out->append(line, static_cast<size_t>(p - line));
  AppendText(record.text, out);
  out->push_back('\n');
  if (record.cut_bytes != 0) {
    absl::StrAppend(out, " ", kCutPrefix, record.cut_bytes, kCutSuffix, "\n");
  }
}

void LineFormatter::AppendGap(const Gap& gap, int64_t time_ns,
                              std::string* out) {
  if (format_ == LineFormat::kJson) {
    AppendJsonHead(time_ns, SeverityName(Severity::kWarning), out);
    absl::StrAppend(out, ",\"gap\":");
    AppendJsonGapObject(gap, out);
    absl::StrAppend(out, ",\"text\":");
    AppendJsonString(Describe(gap), out);
    out->append("}\n");
    return;
  }
  AppendTextHead(SeverityLetter(Severity::kWarning), time_ns, 0, out);
  absl::StrAppend(out, kGapFile, ":0] ", Describe(gap), "\n ");
  AppendJsonGapObject(gap, out);
  out->push_back('\n');
}

void AppendRecord(LineFormat format, const Record& record, uint64_t position,
                  std::string* out) {
  LineFormatter(format).AppendRecord(record, position, out);
}

void AppendGap(LineFormat format, const Gap& gap, int64_t time_ns,
               std::string* out) {
  LineFormatter(format).AppendGap(gap, time_ns, out);
}

bool ParseLines(LineFormat format, absl::string_view lines, ParsedRecord* out) {
  out->record = Record();
  out->file.clear();
  out->text.clear();
  out->position = kNoPosition;
  out->is_gap = false;
  out->gap = Gap();
  const bool parsed = format == LineFormat::kJson ? ParseJsonLine(lines, out)
                                                  : ParseText(lines, out);
  out->record.file = out->file;
  out->record.text = out->text;
  return parsed;
}

size_t FirstRecordBytes(LineFormat format, absl::string_view text,
                        bool at_end) {
  for (size_t end = 0;;) {
    end = text.find('\n', end);
    if (end == absl::string_view::npos) return at_end ? text.size() : 0;
    ++end;
    if (format == LineFormat::kJson) return end;
    if (end == text.size()) return at_end ? end : 0;
    if (!ContinuesRecord(text[end])) return end;
  }
}

size_t CompleteRecordsBytes(LineFormat format, absl::string_view text) {
  for (size_t end = text.size(); end > 0;) {
    end = text.rfind('\n', end - 1);
    if (end == absl::string_view::npos) return 0;
    const size_t next = end + 1;
    if (format == LineFormat::kJson) return next;
    if (next < text.size() && !ContinuesRecord(text[next])) return next;
  }
  return 0;
}

}  // namespace ringlog
