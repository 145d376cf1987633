#include "ringlog/compress/line/line_format.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/parsed_record.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"
#include "ringlog/testing/harness/strict_json.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

constexpr int64_t kTime = 1795489384123456789;  // 2026-11-24 03:03:04.123456789

Record MakeRecord(absl::string_view text) {
  Record record;
  record.time_ns = kTime;
  record.thread_id = 12345;
  record.line = 42;
  record.file = "dir/file.cc";
  record.text = text;
  return record;
}

std::string Lines(LineFormat format, const Record& record) {
  std::string lines;
  AppendRecord(format, record, 4711, &lines);
  return lines;
}

// Returns texts that a careless format would change.
std::vector<std::string> OddBytes() {
  return {
      "", "\n", "\n\n\n", "\r", "\r\n", "a\r\nb\r", "\t", "\n\t", "\t\n", " ",
      "\n ", "\n  x", "\"", "\\", "\\n", "\\\"\\", "\\u0041", "',:{}[]",
      std::string("\0", 1), std::string("a\0b\n\0\n", 6), "\x01\x1f\x7f",
      // Invalid UTF-8: lone bytes, overlong forms, a surrogate, a code above
      // U+10FFFF, truncated characters.
      "\x80", "\xff\xfe", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80",
      "\xf4\x90\x80\x80", "ok \xe2\x80", "\xf0\x9f\x98", "\xc3(\xc3\xa4",
      // Separators that some programs treat as line breaks.
      "\xe2\x80\xa8", "\xe2\x80\xa9", "\xc2\x85", "\x0b\x0c", "\xef\xbf\xbd",
      "\xef\xbb\xbf", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"};
}

// Returns texts that look like records, notes and gaps.
std::vector<std::string> Forgeries() {
  const std::string text_line = "I20261124 03:03:04.123456 1 f.cc:1] forged";
  const std::string json_line =
      "{\"time\":\"2026-11-24T03:03:04.123456789Z\",\"severity\":\"INFO\"}";
  return {
      text_line,
      "\n" + text_line,
      "\n" + text_line + "\n",
      "\r" + text_line,
      "\n\t" + text_line,
      "\n " + text_line,
      json_line,
      "\n" + json_line + "\n",
      "\"}\n" + json_line,
      "\n [5 bytes cut]",
      " [5 bytes cut]",
      "x\n [5 bytes cut]\n",
      "\n {\"cause\":\"ring_full\",\"first_position\":1,\"end_position\":1}",
      "\",\"gap\":{\"cause\":\"missing\",\"first_position\":1,"
      "\"end_position\":9},\"x\":\""};
}

std::vector<std::string> HostileTexts() {
  std::vector<std::string> texts = OddBytes();
  for (const std::string& forgery : Forgeries()) texts.push_back(forgery);
  for (const char c : {'m', '\n', '"', '\xff'}) texts.emplace_back(15000, c);
  return texts;
}

class LineFormatTest : public ::testing::TestWithParam<LineFormat> {
 protected:
  // Checks that the lines of `record` are one record, alone and between other
  // records, and that they parse to the same fields.
  void ExpectRoundTrip(const Record& record) {
    const std::string lines = Lines(GetParam(), record);
    ParsedRecord parsed;
    ASSERT_TRUE(ParseLines(GetParam(), lines, &parsed)) << lines;
    EXPECT_FALSE(parsed.is_gap);
    EXPECT_EQ(parsed.text, record.text);
    EXPECT_EQ(parsed.record.text, record.text);
    EXPECT_EQ(parsed.record.thread_id, record.thread_id);
    EXPECT_EQ(parsed.record.line, record.line);
    EXPECT_EQ(parsed.record.severity, record.severity);
    EXPECT_EQ(parsed.record.cut_bytes, record.cut_bytes);
    if (GetParam() == LineFormat::kJson) {
      EXPECT_EQ(parsed.record.time_ns, record.time_ns);
      EXPECT_EQ(parsed.record.verbosity, record.verbosity);
      EXPECT_EQ(parsed.record.kind, record.kind);
      EXPECT_EQ(parsed.position, 4711u);
      EXPECT_TRUE(IsStrictJson(lines)) << lines;
      EXPECT_EQ(lines.find('\n'), lines.size() - 1);
    } else {
      const int64_t below_micros = (record.time_ns % 1000 + 1000) % 1000;
      EXPECT_EQ(parsed.record.time_ns, record.time_ns - below_micros);
      EXPECT_EQ(parsed.position, kNoPosition);
    }
    ExpectOneRecord(lines);
  }

  void ExpectOneRecord(const std::string& lines) {
    const std::string next = Lines(GetParam(), MakeRecord("next"));
    EXPECT_EQ(FirstRecordBytes(GetParam(), lines + next, false), lines.size());
    EXPECT_EQ(FirstRecordBytes(GetParam(), lines, true), lines.size());
    EXPECT_EQ(CompleteRecordsBytes(GetParam(), lines + next + "I"),
              lines.size() + next.size());
    const std::string two_records = next + lines;
    EXPECT_EQ(FirstRecordBytes(GetParam(), two_records, true), next.size());
  }
};

INSTANTIATE_TEST_SUITE_P(Formats, LineFormatTest,
                         ::testing::Values(LineFormat::kText,
                                           LineFormat::kJson),
                         [](const auto& tested) {
                           return tested.param == LineFormat::kText ? "Text"
                                                                    : "Json";
                         });

TEST_P(LineFormatTest, HostileTextRoundTrips) {
  for (const std::string& text : HostileTexts()) {
    SCOPED_TRACE(text.substr(0, 200));
    ExpectRoundTrip(MakeRecord(text));
    Record cut = MakeRecord(text);
    cut.cut_bytes = 5;
    ExpectRoundTrip(cut);
  }
}

TEST_P(LineFormatTest, HostileFileNameForgesNoRecord) {
  for (const std::string& name : HostileTexts()) {
    SCOPED_TRACE(name.substr(0, 200));
    Record record = MakeRecord("text");
    record.file = name;
    ExpectRoundTrip(record);
    record.file = "a/]:b c] x\nI20261124";
    ExpectRoundTrip(record);
  }
}

TEST_P(LineFormatTest, ExtremeFieldValuesRoundTrip) {
  using Int32 = std::numeric_limits<int32_t>;
  using Int64 = std::numeric_limits<int64_t>;
  for (const int64_t tid :
       {Int64::min(), int64_t{-1}, int64_t{0}, Int64::max()}) {
    for (const int32_t line : {Int32::min(), -1, 0, Int32::max()}) {
      for (const int64_t time :
           {int64_t{-1}, int64_t{0}, int64_t{1}, -kTime, 4 * kTime}) {
        Record record = MakeRecord("text");
        record.thread_id = tid;
        record.line = record.verbosity = line;
        record.time_ns = time;
        record.severity = static_cast<Severity>(line & 3);
        record.kind = tid == 0 ? RecordKind::kStackTrace : RecordKind::kLog;
        record.cut_bytes = std::numeric_limits<uint32_t>::max();
        ExpectRoundTrip(record);
      }
    }
  }
}

TEST_P(LineFormatTest, GapFieldsRoundTrip) {
  for (uint8_t cause = 0; cause <= static_cast<uint8_t>(GapCause::kMissing);
       ++cause) {
    Gap gap;
    gap.cause = static_cast<GapCause>(cause);
    gap.first_position = cause;
    gap.end_position = std::numeric_limits<uint64_t>::max() - cause;
    if (cause % 2 == 0) gap.records = {1, 0, 3, 4};
    if (cause % 3 == 0) gap.first_time_ns = kTime;
    if (gap.cause == GapCause::kStuckWriter) gap.thread_id = 4711;
    if (cause % 3 != 1) gap.last_time_ns = kTime + 1;
    std::string lines;
    AppendGap(GetParam(), gap, kTime, &lines);
    ParsedRecord parsed;
    ASSERT_TRUE(ParseLines(GetParam(), lines, &parsed)) << lines;
    ASSERT_TRUE(parsed.is_gap) << lines;
    EXPECT_EQ(parsed.text, Describe(gap));
    EXPECT_EQ(parsed.gap.cause, gap.cause);
    EXPECT_EQ(parsed.gap.first_position, gap.first_position);
    EXPECT_EQ(parsed.gap.end_position, gap.end_position);
    EXPECT_EQ(parsed.gap.records, gap.records);
    EXPECT_EQ(parsed.gap.thread_id, gap.thread_id);
    EXPECT_EQ(parsed.gap.first_time_ns, gap.first_time_ns);
    EXPECT_EQ(parsed.gap.last_time_ns, gap.last_time_ns);
    ExpectOneRecord(lines);
    EXPECT_EQ(IsStrictJson(lines), GetParam() == LineFormat::kJson);
  }
}

// Invariants checked: random records round-trip, and a long text of records
// that one formatter wrote splits into the same records.
TEST_P(LineFormatTest, RandomRecordsRoundTrip) {
  std::mt19937_64 random(TestSeed());
  constexpr absl::string_view kBytes("\n\n\t \r\"\\{}[]:,IWEF0\0\xff\xc3\xa4",
                                     22);
  LineFormatter formatter(GetParam());
  std::string all;
  std::vector<std::string> each;
  for (int i = 0; i < 3000; ++i) {
    std::string text, file;
    for (uint64_t n = random() % 40; n > 0; --n) {
      text += random() % 2 == 0 ? kBytes[random() % kBytes.size()]
                                : static_cast<char>(random());
    }
    for (uint64_t n = random() % 10; n > 0; --n) {
      file += kBytes[random() % kBytes.size()];
    }
    Record record = MakeRecord(text);
    record.file = file;
    record.time_ns = kTime + static_cast<int64_t>(random() % 3000000000);
    record.cut_bytes = random() % 4 == 0 ? static_cast<uint32_t>(random()) : 0;
    record.severity = static_cast<Severity>(random() % 4);
    ASSERT_NO_FATAL_FAILURE(ExpectRoundTrip(record)) << i;
    each.push_back(Lines(GetParam(), record));
    formatter.AppendRecord(record, 4711, &all);
  }
  absl::string_view rest = all;
  for (const std::string& lines : each) {
    ASSERT_EQ(rest.substr(0, FirstRecordBytes(GetParam(), rest, true)), lines);
    rest.remove_prefix(lines.size());
  }
  EXPECT_TRUE(rest.empty());
}

// Invariants checked: a line with missing or changed bytes does not crash the
// parser; if the parser accepts the line, formatting and parsing the result
// again gives the same record.
TEST_P(LineFormatTest, DamagedLineIsParsedOrRejected) {
  std::mt19937_64 random(TestSeed());
  Record record = MakeRecord("one\ntwo \xff \\ \"");
  record.cut_bytes = 7;
  const std::string lines = Lines(GetParam(), record);
  ParsedRecord parsed;
  for (size_t bytes = 0; bytes < lines.size(); ++bytes) {
    const bool ends_at_line_break = GetParam() == LineFormat::kText &&
                                    bytes != 0 && lines[bytes - 1] == '\n';
    EXPECT_EQ(ParseLines(GetParam(), lines.substr(0, bytes), &parsed),
              ends_at_line_break)
        << bytes;
  }
  for (int i = 0; i < 20000; ++i) {
    std::string damaged = lines;
    damaged[random() % damaged.size()] = static_cast<char>(random());
    if (!ParseLines(GetParam(), damaged, &parsed) || parsed.is_gap) continue;
    const std::string again = Lines(GetParam(), parsed.record);
    ParsedRecord parsed_again;
    ASSERT_TRUE(ParseLines(GetParam(), again, &parsed_again)) << damaged;
    ASSERT_EQ(parsed_again.text, parsed.text) << damaged;
  }
}

TEST(TextLineTest, MatchesGlogFormat) {
  Record record = MakeRecord("first\nsecond");
  record.cut_bytes = 7;
  EXPECT_EQ(Lines(LineFormat::kText, record),
            "I20261124 03:03:04.123456 12345 file.cc:42] first\n"
            "\tsecond\n"
            " [7 bytes cut]\n");
}

TEST(TextLineTest, GapIsWarningFromRinglog) {
  Gap gap;
  gap.cause = GapCause::kRingFull;
  gap.first_position = gap.end_position = 9;
  gap.records = {2, 0, 0, 0};
  std::string lines;
  AppendGap(LineFormat::kText, gap, kTime, &lines);
  EXPECT_EQ(lines, absl::StrCat(
                       "W20261124 03:03:04.123456 0 ringlog:0] ", Describe(gap),
                       "\n {\"cause\":\"ring_full\",\"first_position\":9,"
                       "\"end_position\":9,\"records\":{\"INFO\":2}}\n"));
}

TEST(JsonLineTest, InvalidUtf8IsKeptInBase64) {
  const std::string lines = Lines(LineFormat::kJson, MakeRecord("a\xff"));
  EXPECT_TRUE(absl::StrContains(
      lines, "\"text\":\"a\xef\xbf\xbd\",\"text_base64\":\"Yf8=\""))
      << lines;
}

TEST(JsonLineTest, IgnoresUnknownMembers) {
  std::string line = Lines(LineFormat::kJson, MakeRecord("text"));
  line.insert(1, "\"new\":{\"a\":[1,2.5e3,null,true]},");
  ParsedRecord parsed;
  ASSERT_TRUE(ParseLines(LineFormat::kJson, line, &parsed));
  EXPECT_EQ(parsed.text, "text");
}

TEST(JsonLineTest, RejectsLineWithoutText) {
  ParsedRecord parsed;
  EXPECT_FALSE(ParseLines(LineFormat::kJson,
                          "{\"time\":\"2026-11-24T03:03:04.123456789Z\","
                          "\"severity\":\"INFO\",\"tid\":1,\"file\":\"f\","
                          "\"line\":1}\n",
                          &parsed));
}

TEST(StrictJsonTest, RejectsInvalidJson) {
  for (const absl::string_view good :
       {"{}", " [1, -0.5e+3,\"\\ud83d\\ude00\", true,null] ", "\"\xc3\xa4\""}) {
    EXPECT_TRUE(IsStrictJson(good)) << good;
  }
  for (const absl::string_view bad :
       {"", "{", "{}x", "01", "1.", "+1", "[1,]", "{\"a\":1,\"a\":2}", "\"\n\"",
        "\"\\x\"", "\"\\ud83d\"", "\"\\udc00\"", "\"\xff\"", "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"", "nul", "'a'"}) {
    EXPECT_FALSE(IsStrictJson(bad)) << bad;
  }
}

}  // namespace
}  // namespace ringlog
