#include "ringlog/logsink/internal/option_kind.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace ringlog {
namespace {

struct Unit {
  absl::string_view name;
  uint64_t bytes;
};
constexpr std::array<Unit, 3> kUnits = {{{"GiB", uint64_t{1} << 30},
                                         {"MiB", uint64_t{1} << 20},
                                         {"KiB", uint64_t{1} << 10}}};

// Rejects white space and a plus sign, which absl::SimpleAtoi() accepts.
bool IsNumber(absl::string_view text) {
  absl::ConsumePrefix(&text, "-");
  return !text.empty() &&
         absl::ascii_isdigit(static_cast<unsigned char>(text.front())) != 0 &&
         absl::ascii_isdigit(static_cast<unsigned char>(text.back())) != 0;
}

bool ParseBytes(absl::string_view text, uint64_t* bytes) {
  uint64_t unit = 1;
  for (const Unit& u : kUnits) {
    if (absl::ConsumeSuffix(&text, u.name)) {
      unit = u.bytes;
      break;
    }
  }
  uint64_t count = 0;
  if (!IsNumber(text) || !absl::SimpleAtoi(text, &count) ||
      count > std::numeric_limits<uint64_t>::max() / unit) {
    return false;
  }
  *bytes = count * unit;
  return true;
}

std::string PrintBytes(uint64_t bytes) {
  for (const Unit& u : kUnits) {
    if (bytes != 0 && bytes % u.bytes == 0) {
      return absl::StrCat(bytes / u.bytes, u.name);
    }
  }
  return absl::StrCat(bytes);
}

// Returns "1 to 19" or "4KiB or more", with ", or 0 for no limit" if 0 has a
// meaning.
std::string Range(const std::string& min, const std::string& max,
                  absl::string_view zero_meaning) {
  return absl::StrCat(
      min, max.empty() ? " or more" : absl::StrCat(" to ", max),
      zero_meaning.empty() ? "" : absl::StrCat(", or 0 ", zero_meaning));
}

template <typename T>
bool IsInRange(const T& value, const T& min, const T& max,
               absl::string_view zero_meaning) {
  return (value == T() && !zero_meaning.empty()) ||
         (min <= value && value <= max);
}

}  // namespace

bool PathOption::Parse(absl::string_view text, RingLogSinkOptions* o) const {
  field.get_mutable(*o) = std::string(text);
  return true;
}
std::string PathOption::Print(const RingLogSinkOptions& o) const {
  return field.get(o);
}
bool PathOption::IsValid(const RingLogSinkOptions& o) const {
  return may_be_empty || !field.get(o).empty();
}
std::string PathOption::ValidValues() const {
  return may_be_empty ? "a directory, or nothing" : "a directory";
}

bool BoolOption::Parse(absl::string_view text, RingLogSinkOptions* o) const {
  return absl::SimpleAtob(text, &field.get_mutable(*o));
}
std::string BoolOption::Print(const RingLogSinkOptions& o) const {
  return field.get(o) ? "true" : "false";
}
bool BoolOption::IsValid(const RingLogSinkOptions&) const { return true; }
std::string BoolOption::ValidValues() const { return "true or false"; }

bool NumberOption::Parse(absl::string_view text, RingLogSinkOptions* o) const {
  return IsNumber(text) && absl::SimpleAtoi(text, &field.get_mutable(*o));
}
std::string NumberOption::Print(const RingLogSinkOptions& o) const {
  return absl::StrCat(field.get(o));
}
bool NumberOption::IsValid(const RingLogSinkOptions& o) const {
  return IsInRange(field.get(o), min, max, /*zero_meaning=*/"");
}
std::string NumberOption::ValidValues() const {
  return Range(absl::StrCat(min), absl::StrCat(max), /*zero_meaning=*/"");
}

bool CountOption::Parse(absl::string_view text, RingLogSinkOptions* o) const {
  return IsNumber(text) && absl::SimpleAtoi(text, &field.get_mutable(*o));
}
std::string CountOption::Print(const RingLogSinkOptions& o) const {
  return absl::StrCat(field.get(o));
}
bool CountOption::IsValid(const RingLogSinkOptions&) const { return true; }
std::string CountOption::ValidValues() const {
  return "1 or more, or 0 for no limit";
}

bool ModeOption::Parse(absl::string_view text, RingLogSinkOptions* o) const {
  const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  if (text.empty() || text.size() > 6 ||
      !std::all_of(text.begin(), text.end(), is_octal)) {
    return false;
  }
  mode_t& mode = field.get_mutable(*o);
  mode = 0;
  for (const char c : text) mode = mode * 8 + static_cast<mode_t>(c - '0');
  return true;
}
std::string ModeOption::Print(const RingLogSinkOptions& o) const {
  return absl::StrFormat("%04o", field.get(o));
}
bool ModeOption::IsValid(const RingLogSinkOptions& o) const {
  return (field.get(o) & required) == required && (field.get(o) & ~0777u) == 0;
}
std::string ModeOption::ValidValues() const {
  return absl::StrFormat("%04o to 0777, and contain %04o", required, required);
}

bool BytesOption::Parse(absl::string_view text, RingLogSinkOptions* o) const {
  return ParseBytes(text, &field.get_mutable(*o));
}
std::string BytesOption::Print(const RingLogSinkOptions& o) const {
  return PrintBytes(field.get(o));
}
bool BytesOption::IsValid(const RingLogSinkOptions& o) const {
  return IsInRange(field.get(o), min, max, zero_meaning);
}
std::string BytesOption::ValidValues() const {
  return Range(PrintBytes(min), max == kNoMaxBytes ? "" : PrintBytes(max),
               zero_meaning);
}

bool DurationOption::Parse(absl::string_view text,
                           RingLogSinkOptions* o) const {
  return absl::ParseDuration(text, &field.get_mutable(*o));
}
std::string DurationOption::Print(const RingLogSinkOptions& o) const {
  return absl::FormatDuration(field.get(o));
}
bool DurationOption::IsValid(const RingLogSinkOptions& o) const {
  return IsInRange(field.get(o), min, max, zero_meaning);
}
std::string DurationOption::ValidValues() const {
  return Range(absl::FormatDuration(min),
               max == absl::InfiniteDuration() ? "" : absl::FormatDuration(max),
               zero_meaning);
}

bool ChoiceOption::Parse(absl::string_view text, RingLogSinkOptions* o) const {
  for (const NamedValue& n : names) {
    if (absl::EqualsIgnoreCase(n.name, text)) {
      set(*o, n.value);
      return true;
    }
  }
  return false;
}
std::string ChoiceOption::Print(const RingLogSinkOptions& o) const {
  for (const NamedValue& n : names) {
    if (n.value == get(o)) return std::string(n.name);
  }
  return absl::StrCat(get(o));
}
bool ChoiceOption::IsValid(const RingLogSinkOptions& o) const {
  for (const NamedValue& n : names) {
    if (n.value == get(o)) return true;
  }
  return false;
}
std::string ChoiceOption::ValidValues() const {
  const auto append_name = [](std::string* out, const NamedValue& n) {
    absl::StrAppend(out, n.name);
  };
  return absl::StrCat(
      absl::StrJoin(names.first(names.size() - 1), ", ", append_name), " or ",
      names.back().name);
}

}  // namespace ringlog
