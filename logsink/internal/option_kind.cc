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

// absl::SimpleAtoi() would let white space and a plus sign pass.
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

// "1 to 19", "4KiB or more", and then ", or 0 for no limit".
std::string Range(const std::string& least, const std::string& most,
                  absl::string_view zero_means) {
  return absl::StrCat(
      least, most.empty() ? " or more" : absl::StrCat(" to ", most),
      zero_means.empty() ? "" : absl::StrCat(", or 0 ", zero_means));
}

template <typename T>
bool IsInRange(const T& value, const T& least, const T& most,
               absl::string_view zero_means) {
  return (value == T() && !zero_means.empty()) ||
         (least <= value && value <= most);
}

}  // namespace

bool PathOption::Parse(absl::string_view text, RingLogSinkOptions* o) const {
  field.get_mutable(*o) = std::string(text);
  return true;
}
std::string PathOption::Print(const RingLogSinkOptions& o) const {
  return field.get(o);
}
bool PathOption::Holds(const RingLogSinkOptions& o) const {
  return may_be_empty || !field.get(o).empty();
}
std::string PathOption::Allowed() const {
  return may_be_empty ? "a directory, or nothing" : "a directory";
}

bool BoolOption::Parse(absl::string_view text, RingLogSinkOptions* o) const {
  return absl::SimpleAtob(text, &field.get_mutable(*o));
}
std::string BoolOption::Print(const RingLogSinkOptions& o) const {
  return field.get(o) ? "true" : "false";
}
bool BoolOption::Holds(const RingLogSinkOptions&) const { return true; }
std::string BoolOption::Allowed() const { return "true or false"; }

bool NumberOption::Parse(absl::string_view text, RingLogSinkOptions* o) const {
  return IsNumber(text) && absl::SimpleAtoi(text, &field.get_mutable(*o));
}
std::string NumberOption::Print(const RingLogSinkOptions& o) const {
  return absl::StrCat(field.get(o));
}
bool NumberOption::Holds(const RingLogSinkOptions& o) const {
  return IsInRange(field.get(o), least, most, /*zero_means=*/"");
}
std::string NumberOption::Allowed() const {
  return Range(absl::StrCat(least), absl::StrCat(most), /*zero_means=*/"");
}

bool CountOption::Parse(absl::string_view text, RingLogSinkOptions* o) const {
  return IsNumber(text) && absl::SimpleAtoi(text, &field.get_mutable(*o));
}
std::string CountOption::Print(const RingLogSinkOptions& o) const {
  return absl::StrCat(field.get(o));
}
bool CountOption::Holds(const RingLogSinkOptions&) const { return true; }
std::string CountOption::Allowed() const {
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
bool ModeOption::Holds(const RingLogSinkOptions& o) const {
  return (field.get(o) & needed) == needed && (field.get(o) & ~0777u) == 0;
}
std::string ModeOption::Allowed() const {
  return absl::StrFormat("%04o to 0777, with %04o", needed, needed);
}

bool BytesOption::Parse(absl::string_view text, RingLogSinkOptions* o) const {
  return ParseBytes(text, &field.get_mutable(*o));
}
std::string BytesOption::Print(const RingLogSinkOptions& o) const {
  return PrintBytes(field.get(o));
}
bool BytesOption::Holds(const RingLogSinkOptions& o) const {
  return IsInRange(field.get(o), least, most, zero_means);
}
std::string BytesOption::Allowed() const {
  return Range(PrintBytes(least), most == kNoMost ? "" : PrintBytes(most),
               zero_means);
}

bool DurationOption::Parse(absl::string_view text,
                           RingLogSinkOptions* o) const {
  return absl::ParseDuration(text, &field.get_mutable(*o));
}
std::string DurationOption::Print(const RingLogSinkOptions& o) const {
  return absl::FormatDuration(field.get(o));
}
bool DurationOption::Holds(const RingLogSinkOptions& o) const {
  return IsInRange(field.get(o), least, most, zero_means);
}
std::string DurationOption::Allowed() const {
  return Range(
      absl::FormatDuration(least),
      most == absl::InfiniteDuration() ? "" : absl::FormatDuration(most),
      zero_means);
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
bool ChoiceOption::Holds(const RingLogSinkOptions& o) const {
  for (const NamedValue& n : names) {
    if (n.value == get(o)) return true;
  }
  return false;
}
std::string ChoiceOption::Allowed() const {
  return absl::StrJoin(names, ", ", [](std::string* out, const NamedValue& n) {
    absl::StrAppend(out, n.name);
  });
}

}  // namespace ringlog
