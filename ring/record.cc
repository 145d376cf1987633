#include "ringlog/ring/record.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace ringlog {
namespace {

// The beginning of a head; see ring/FORMAT.md, "The record's head".
struct FixedHead {
  int64_t time_ns;
  int64_t thread_id;
  int32_t line;
  int32_t verbosity;
  // Size of the text as logged.
  uint32_t text_bytes;
  uint8_t severity;
  uint8_t kind;
  // Size of this struct and of the extension; the file name follows.
  uint16_t fixed_bytes;
  uint16_t file_bytes;
  uint16_t reserved;
  uint32_t reserved_tail;
};
static_assert(sizeof(FixedHead) == kRecordHeadFixedBytes,
              "frozen in the file format");

}  // namespace

char SeverityLetter(Severity severity) {
  return "IWEF"[static_cast<size_t>(severity) & 3];
}

absl::string_view SeverityName(Severity severity) {
  constexpr absl::string_view kNames[] = {"INFO", "WARNING", "ERROR", "FATAL"};
  return kNames[static_cast<size_t>(severity) & 3];
}

size_t EncodeRecordHead(const Record& record, absl::Span<char> out) {
  constexpr size_t kMaxBytes = std::numeric_limits<uint16_t>::max();
  const absl::string_view extension =
      kRecordHeadFixedBytes + record.extension.size() <=
              std::min(out.size(), kMaxBytes)
          ? record.extension
          : absl::string_view();
  absl::string_view file = record.file;
  const size_t fixed_bytes = kRecordHeadFixedBytes + extension.size();
  const size_t room = std::min(out.size() - fixed_bytes, kMaxBytes);
  if (file.size() > room) file.remove_prefix(file.size() - room);
  FixedHead fixed = {};
  fixed.time_ns = record.time_ns;
  fixed.thread_id = record.thread_id;
  fixed.line = record.line;
  fixed.verbosity = record.verbosity;
  fixed.text_bytes = static_cast<uint32_t>(
      std::min<size_t>(record.text.size() + record.cut_bytes,
                       std::numeric_limits<uint32_t>::max()));
  fixed.severity = static_cast<uint8_t>(record.severity);
  fixed.kind = static_cast<uint8_t>(record.kind);
  fixed.fixed_bytes = static_cast<uint16_t>(fixed_bytes);
  fixed.file_bytes = static_cast<uint16_t>(file.size());
  std::memcpy(out.data(), &fixed, sizeof fixed);
  if (!extension.empty()) {
    std::memcpy(out.data() + sizeof fixed, extension.data(), extension.size());
  }
  if (!file.empty()) {
    std::memcpy(out.data() + fixed_bytes, file.data(), file.size());
  }
  return fixed_bytes + file.size();
}

int64_t ThreadOfHead(absl::string_view head) {
  FixedHead fixed;
  if (head.size() < sizeof fixed) return 0;
  std::memcpy(&fixed, head.data(), sizeof fixed);
  return fixed.thread_id;
}

bool DecodeRecord(absl::string_view head, absl::string_view body,
                  Record* record) {
  FixedHead fixed;
  if (head.size() < sizeof fixed) return false;
  std::memcpy(&fixed, head.data(), sizeof fixed);
  if (fixed.fixed_bytes < sizeof fixed || fixed.severity >= 4 ||
      head.size() < size_t{fixed.fixed_bytes} + fixed.file_bytes) {
    return false;
  }
  record->time_ns = fixed.time_ns;
  record->thread_id = fixed.thread_id;
  record->line = fixed.line;
  record->verbosity = fixed.verbosity;
  record->severity = static_cast<Severity>(fixed.severity);
  record->kind = static_cast<RecordKind>(fixed.kind);
  record->extension =
      head.substr(sizeof fixed, fixed.fixed_bytes - sizeof fixed);
  record->file = head.substr(fixed.fixed_bytes, fixed.file_bytes);
  record->text = body.substr(0, fixed.text_bytes);
  record->cut_bytes =
      fixed.text_bytes - static_cast<uint32_t>(record->text.size());
  return true;
}

}  // namespace ringlog
