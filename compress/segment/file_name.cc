#include "ringlog/compress/segment/file_name.h"

#include <sys/random.h>
#include <sys/types.h>

#include <algorithm>
#include <cctype>
#include <cinttypes>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "ringlog/compress/line/utc_time.h"

namespace ringlog {
namespace {

constexpr absl::string_view kTimePattern = "YYYYMMDD-hhmmss";
constexpr absl::string_view kTextSuffix = ".log.zst";
constexpr absl::string_view kJsonSuffix = ".jsonl.zst";
constexpr absl::string_view kRingSuffix = ".ring";

absl::string_view SegmentSuffix(LineFormat format) {
  return format == LineFormat::kJson ? kJsonSuffix : kTextSuffix;
}

bool IsNameByte(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' ||
         c == '_';
}

// Returns the bytes of `field` before its first NUL, or all bytes if there is
// no NUL, as a valid part of a name.
template <size_t kBytes>
std::string NamePart(const char (&field)[kBytes]) {
  std::string part(field, strnlen(field, kBytes));
  for (char& c : part) {
    if (!IsNameByte(c)) c = '_';
  }
  // An empty first part would make a hidden file.
  if (part.empty()) part = "_";
  return part;
}

// Returns program.host.TIME.pid.id.
std::string Stem(const RingHeader& header, int64_t time_ns) {
  char time[kTimePattern.size()];
  PutUtc(SplitUnixNanos(time_ns).second, kTimePattern, time);
  return absl::StrCat(NamePart(header.program), ".", NamePart(header.host), ".",
                      absl::string_view(time, sizeof time), ".",
                      header.process_id, ".",
                      absl::Hex(RingIdPrefix(header.ring_id), absl::kZeroPad8));
}

bool IsNamePart(absl::string_view part) {
  if (part.empty()) return false;
  for (const char c : part) {
    if (!IsNameByte(c)) return false;
  }
  return true;
}

// Parses a number exactly as this file writes it: without '+', spaces and
// leading zeros.
bool ParseNumber(absl::string_view digits, int64_t* out) {
  return absl::SimpleAtoi(digits, out) && absl::StrCat(*out) == digits;
}

// Parses eight hexadecimal digits.
bool ParseHex32(absl::string_view digits, uint32_t* out) {
  return absl::SimpleHexAtoi(digits, out) &&
         absl::StrCat(absl::Hex(*out, absl::kZeroPad8)) == digits;
}

// Returns the part of a segment's name that follows the ring id.
std::string NumberPart(uint64_t number, uint32_t salt) {
  // Not StrFormat(): without memory, it throws from a destructor.
  std::string part = absl::StrCat(absl::Dec(number, absl::kZeroPad6));
  if (salt != 0) {
    absl::StrAppend(&part, "-", absl::Hex(salt, absl::kZeroPad8));
  }
  return part;
}

bool ParseNumberPart(absl::string_view part, uint64_t* number, uint32_t* salt) {
  const std::pair<absl::string_view, absl::string_view> split =
      absl::StrSplit(part, absl::MaxSplits('-', 1));
  if (!absl::SimpleAtoi(split.first, number) || *number == 0) return false;
  if (!split.second.empty() && !ParseHex32(split.second, salt)) return false;
  return NumberPart(*number, *salt) == part;
}

}  // namespace

uint32_t RingIdPrefix(absl::Span<const uint8_t> ring_id) {
  uint32_t prefix = 0;
  for (const uint8_t byte : ring_id.subspan(0, 4)) prefix = prefix << 8 | byte;
  return prefix;
}

std::string RingFileName(const RingHeader& header) {
  return absl::StrCat(Stem(header, header.created_unix_ns), kRingSuffix);
}

std::string SegmentFileName(const RingHeader& header, uint64_t segment_number,
                            int64_t open_time_ns, LineFormat format,
                            uint32_t salt) {
  return absl::StrCat(Stem(header, open_time_ns), ".",
                      NumberPart(segment_number, salt), SegmentSuffix(format));
}

uint32_t NewNameSalt() {
  uint32_t salt = 0;
  if (getrandom(&salt, sizeof salt, GRND_NONBLOCK) !=
      static_cast<ssize_t>(sizeof salt)) {
    salt = static_cast<uint32_t>(absl::GetCurrentTimeNanos());
  }
  return std::max(salt, uint32_t{1});
}

std::string SegmentFileName(const RingHeader& header,
                            const SegmentCursor& cursor) {
  return SegmentFileName(header, cursor.segment_number,
                         cursor.segment_open_time_ns, cursor.format,
                         cursor.name_salt);
}

std::string WithNameSalt(absl::string_view basename, uint32_t salt) {
  const ParsedFileName parsed = ParseFileName(basename);
  if (parsed.kind != FileKind::kSegment) return std::string(basename);
  const std::string end =
      absl::StrCat(NumberPart(parsed.segment_number, parsed.salt),
                   SegmentSuffix(parsed.format));
  return absl::StrCat(absl::StripSuffix(basename, end),
                      NumberPart(parsed.segment_number, salt),
                      SegmentSuffix(parsed.format));
}

std::string SymlinkName(const RingHeader& header) {
  return absl::StrCat(NamePart(header.program), ".current.zst");
}

FileKind KindOfSuffix(absl::string_view name) {
  if (absl::EndsWith(name, kRingSuffix)) return FileKind::kRing;
  if (absl::EndsWith(name, kTextSuffix) || absl::EndsWith(name, kJsonSuffix)) {
    return FileKind::kSegment;
  }
  return FileKind::kOther;
}

ParsedFileName ParseFileName(absl::string_view basename) {
  ParsedFileName parsed;
  parsed.kind = KindOfSuffix(basename);
  const std::vector<absl::string_view> parts = absl::StrSplit(basename, '.');
  if (parsed.kind == FileKind::kOther ||
      parts.size() != (parsed.kind == FileKind::kRing ? 6 : 8)) {
    return {};
  }
  if (parsed.kind == FileKind::kSegment) {
    parsed.format = absl::EndsWith(basename, kJsonSuffix) ? LineFormat::kJson
                                                          : LineFormat::kText;
    if (!ParseNumberPart(parts[5], &parsed.segment_number, &parsed.salt)) {
      return {};
    }
  }
  if (!IsNamePart(parts[0]) || !IsNamePart(parts[1]) ||
      !ParseUtc(parts[2], kTimePattern, &parsed.time_ns) ||
      !ParseNumber(parts[3], &parsed.process_id) ||
      !ParseHex32(parts[4], &parsed.ring_id_prefix)) {
    return {};
  }
  parsed.program = std::string(parts[0]);
  parsed.host = std::string(parts[1]);
  return parsed;
}

bool ShouldRotate(const RotationOptions& options, uint64_t segment_bytes) {
  return options.max_segment_bytes != 0 &&
         segment_bytes >= options.max_segment_bytes;
}

}  // namespace ringlog
