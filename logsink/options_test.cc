// Tests every option on both sides of each of its bounds. An allowed value is
// accepted as a value and as text. The error for another value has the option,
// the value and the allowed values.

#include "ringlog/logsink/options.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/logsink/internal/option_table.h"
#include "ringlog/ring/ring.h"

namespace ringlog {
namespace {

RingLogSinkOptions Good() {
  RingLogSinkOptions options;
  options.directory = "/logs";
  return options;
}

// The description of the allowed values, and lists of accepted and refused
// texts, separated by |.
struct Bounds {
  absl::string_view name;
  absl::string_view allowed;
  const char* good;
  const char* bad;  // nullptr for none

  static std::vector<std::string> Values(const char* list) {
    if (list == nullptr) return {};
    return absl::StrSplit(list, '|');
  }
};

constexpr Bounds kBounds[] = {
    {"directory", "a directory", "/a|a b", ""},
    {"fallback_directory", "a directory, or nothing", "/b|/a b|", nullptr},
    {"ring_directory", "a directory, or nothing", "/dev/shm|", nullptr},
    {"ring_bytes", "64KiB to 1GiB", "65536|64KiB|1GiB|1073741824|65537",
     "65535|63KiB|1073741825|2GiB|0|-1|+65536|8 "
     "MiB|8mib|8MB|KiB||0x100000|18446744073709551616|17179869184GiB"},
    {"overflow", "drop_newest, block or overwrite_oldest",
     "drop_newest|block|OVERWRITE_OLDEST", "|drop|0|kBlock"},
    {"block_deadline", "0 to 1h", "0|1ns|1h|59m60s", "-1ns|1h1ns|inf|1|"},
    {"min_severity", "INFO, WARNING, ERROR, FATAL or INFINITY",
     "INFO|warning|Error|FATAL|INFINITY", "|0|WARN|kError"},
    {"format", "text or json", "text|JSON", "|1|xml"},
    {"structured", "true or false", "true|false", "|json"},
    {"flush_interval", "1ms to 1m", "1ms|1m", "999us|61s|0"},
    {"sync", "true or false", "true|no|1|F", "|2|on"},
    {"sync_interval", "1ms to 1m", "1ms|1m", "999us|61s|0"},
    {"sync_severity", "INFO, WARNING, ERROR, FATAL or INFINITY",
     "INFO|INFINITY", "|VERBOSE"},
    {"rotation.max_segment_bytes", "4KiB or more, or 0 for no limit",
     "0|4KiB|4096|18446744073709551615|17179869183GiB",
     "4095|1|-1|18446744073709551616"},
    {"rotation.interval", "1s to 8784h, or 0 for never", "0|1s|8784h",
     "999ms|8784h1s|-1s|1"},
    {"rotation.offset", "-8784h to 8784h", "0", "-8785h|8785h|inf|x"},
    {"retention.max_files", "1 or more, or 0 for no limit",
     "0|1|1024|18446744073709551615", "-1|1KiB||18446744073709551616"},
    {"retention.max_bytes", "1 or more, or 0 for no limit",
     "0|1GiB|18446744073709551615", "-1|1TiB|"},
    {"retention.max_age", "1ns or more, or 0 for no limit", "0|1ns|168h|inf",
     "-1ns|7d|"},
    {"retention.min_free_bytes", "1 or more, or 0 for no limit", "0|1|1GiB",
     "-1|5%"},
    {"segment_mode", "0600 to 0777, and contain 0600", "0640|600|0777",
     "0440|01600|0648||0o640|-0640|rw"},
    {"recent_records", "0 to 1000000", "0|1000000", "-1|1000001|1e3"},
    {"compression_level", "1 to 19", "1|19", "0|20||1.5| 3|3 |x"},
};

TEST(OptionTableTest, BoundsCoverEveryRow) {
  std::vector<std::string> rows;
  for (const OptionRow& row : OptionTable()) rows.emplace_back(row.name);
  std::vector<std::string> tested;
  for (const Bounds& bounds : kBounds) tested.emplace_back(bounds.name);
  EXPECT_EQ(tested, rows);
}

class OptionTest : public ::testing::TestWithParam<Bounds> {
 protected:
  const OptionRow& row() const { return OptionRowOf(GetParam().name); }
};

INSTANTIATE_TEST_SUITE_P(All, OptionTest, ::testing::ValuesIn(kBounds),
                         [](const auto& tested) {
                           std::string name(tested.param.name);
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST_P(OptionTest, AllowedValueIsAcceptedAndReadBack) {
  for (const std::string& text : Bounds::Values(GetParam().good)) {
    SCOPED_TRACE(text);
    RingLogSinkOptions options = Good();
    EXPECT_TRUE(row().Set(text, "x", &options).ok());
    EXPECT_TRUE(CheckOptions(options).ok()) << CheckOptions(options);
    const std::string printed = row().Print(options);
    RingLogSinkOptions again = Good();
    EXPECT_TRUE(row().Set(printed, "x", &again).ok()) << printed;
    EXPECT_EQ(row().Print(again), printed);
  }
}

TEST_P(OptionTest, RefusedValueIsNamed) {
  for (const std::string& text : Bounds::Values(GetParam().bad)) {
    SCOPED_TRACE(text);
    RingLogSinkOptions options = Good();
    const std::string before = row().Print(options);
    const absl::Status status = row().Set(text, "flag --x", &options);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    // A hint about the syntax may follow.
    EXPECT_THAT(std::string(status.message()),
                ::testing::StartsWith(
                    absl::StrCat("flag --x is ", text.empty() ? "empty" : text,
                                 "; must be ", GetParam().allowed)));
    EXPECT_EQ(row().Print(options), before) << "the option has changed";
  }
}

TEST_P(OptionTest, RowSetsNoOtherOption) {
  RingLogSinkOptions options = Good();
  ASSERT_TRUE(
      row().Set(Bounds::Values(GetParam().good)[0], "x", &options).ok());
  for (const OptionRow& other : OptionTable()) {
    if (other.name == row().name) continue;
    EXPECT_EQ(other.Print(options), other.Print(Good())) << other.name;
  }
}

TEST_P(OptionTest, DefaultIsReadBack) {
  RingLogSinkOptions options = Good();
  EXPECT_TRUE(row().Set(row().Print(Good()), "x", &options).ok());
  EXPECT_EQ(row().Print(options), row().Print(Good()));
}

TEST_P(OptionTest, FlagAndVariableAreNamedAsOption) {
  std::string name(GetParam().name);
  std::replace(name.begin(), name.end(), '.', '_');
  std::string upper = name;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(row().FlagName(), absl::StrCat("ringlog_", name));
  EXPECT_EQ(row().VariableName(), absl::StrCat("RINGLOG_", upper));
}

// Values that only code can set.
struct BadValue {
  const char* name;
  void (*spoil)(RingLogSinkOptions*);
  const char* printed;
};
class BadValueTest : public ::testing::TestWithParam<BadValue> {};

TEST_P(BadValueTest, ErrorNamesOption) {
  RingLogSinkOptions options = Good();
  GetParam().spoil(&options);
  const absl::Status status = CheckOptions(options);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(status.message(),
            absl::StrCat("ringlog option ", GetParam().name, " is ",
                         GetParam().printed, "; must be ",
                         OptionRowOf(GetParam().name).ValidValues()));
}

INSTANTIATE_TEST_SUITE_P(
    Values, BadValueTest,
    ::testing::Values(
        BadValue{"directory", [](auto* o) { o->directory.clear(); }, "empty"},
        BadValue{"ring_bytes", [](auto* o) { o->ring_bytes = 65535; }, "65535"},
        BadValue{"ring_bytes", [](auto* o) { o->ring_bytes = 2ull << 30; },
                 "2GiB"},
        BadValue{"overflow",
                 [](auto* o) { o->overflow = static_cast<OverflowPolicy>(3); },
                 "3"},
        BadValue{"block_deadline",
                 [](auto* o) { o->block_deadline = -absl::Seconds(1); }, "-1s"},
        BadValue{"block_deadline",
                 [](auto* o) { o->block_deadline = absl::InfiniteDuration(); },
                 "inf"},
        BadValue{"min_severity",
                 [](auto* o) {
                   o->min_severity = static_cast<absl::LogSeverityAtLeast>(-1);
                 },
                 "-1"},
        BadValue{"format",
                 [](auto* o) { o->format = static_cast<LineFormat>(9); }, "9"},
        BadValue{"flush_interval",
                 [](auto* o) { o->flush_interval = absl::ZeroDuration(); },
                 "0"},
        BadValue{"flush_interval",
                 [](auto* o) { o->flush_interval = absl::Hours(1); }, "1h"},
        BadValue{"sync_interval",
                 [](auto* o) { o->sync_interval = absl::Microseconds(999); },
                 "999us"},
        BadValue{"sync_interval",
                 [](auto* o) { o->sync_interval = absl::Seconds(61); }, "1m1s"},
        BadValue{"sync_severity",
                 [](auto* o) {
                   o->sync_severity = static_cast<absl::LogSeverityAtLeast>(5);
                 },
                 "5"},
        BadValue{"rotation.max_segment_bytes",
                 [](auto* o) { o->rotation.max_segment_bytes = 4095; }, "4095"},
        BadValue{"compression_level", [](auto* o) { o->compression_level = 0; },
                 "0"},
        BadValue{"compression_level",
                 [](auto* o) { o->compression_level = 20; }, "20"}));

// Rotation by time also permits a limit in bytes.
TEST(RelationsTest, LimitInBytesNeedsRotation) {
  RingLogSinkOptions options = Good();
  options.retention.max_bytes = uint64_t{1} << 30;
  EXPECT_TRUE(CheckOptions(options).ok());
  options.rotation.max_segment_bytes = 0;
  EXPECT_FALSE(CheckOptions(options).ok());
  options.rotation.interval = absl::Hours(24);
  EXPECT_TRUE(CheckOptions(options).ok());
}

struct Relation {
  void (*set)(RingLogSinkOptions*);
  const char* message;  // of the error
};
class RelationTest : public ::testing::TestWithParam<Relation> {};

TEST_P(RelationTest, ErrorNamesOption) {
  RingLogSinkOptions options = Good();
  GetParam().set(&options);
  const absl::Status status = CheckOptions(options);
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_EQ(status.message(), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Values, RelationTest,
    ::testing::Values(
        Relation{[](auto* o) { o->rotation.offset = absl::Hours(1); },
                 "ringlog option rotation.offset is 1h; must be less than "
                 "rotation.interval in absolute value"},
        Relation{[](auto* o) {
                   o->rotation.interval = absl::Hours(24);
                   o->rotation.offset = -absl::Hours(24);
                 },
                 "ringlog option rotation.offset is -24h; must be less than "
                 "rotation.interval in absolute value"},
        Relation{[](auto* o) {
                   o->rotation.max_segment_bytes = 0;
                   o->retention.max_bytes = uint64_t{1} << 30;
                 },
                 "ringlog option retention.max_bytes is 1GiB; must be 0, "
                 "unless rotation.max_segment_bytes or rotation.interval is "
                 "set"},
        Relation{[](auto* o) {
                   o->rotation.max_segment_bytes = 4096;
                   o->ring_bytes = 65536;
                   o->retention.max_bytes = 143359;
                 },
                 "ringlog option retention.max_bytes is 143359; must be "
                 "143360 or more, for a segment and the ring, or 0 for no "
                 "limit"}));

}  // namespace
}  // namespace ringlog
