#include "ringlog/compress/line/json.h"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/testing/harness/strict_json.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

// Encodes `code` in `bytes` bytes like RFC 3629, even if the result is not
// valid UTF-8.
std::string Encode(uint32_t code, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) {
    const uint32_t bits = code >> (6 * (bytes - 1 - i));
    if (i > 0) {
      out += static_cast<char>(0x80 | (bits & 0x3F));
    } else if (bytes == 1) {
      out += static_cast<char>(bits);
    } else {
      out += static_cast<char>((0xF00u >> bytes & 0xFF) | bits);
    }
  }
  return out;
}

TEST(Utf8Test, AcceptsOnlyShortestFormOfEveryCodePoint) {
  for (uint32_t code = 0; code < 0x110000; ++code) {
    const int shortest = code < 0x80      ? 1
                         : code < 0x800   ? 2
                         : code < 0x10000 ? 3
                                          : 4;
    const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
    const std::string text = Encode(code, shortest);
    ASSERT_EQ(Utf8CharacterBytes(text), is_surrogate ? 0u : text.size())
        << code;
    ASSERT_EQ(Utf8CharacterBytes(text + "\x80"),
              is_surrogate ? 0u : text.size());
    if (shortest > 1) {
      ASSERT_EQ(Utf8CharacterBytes(text.substr(0, text.size() - 1)), 0u)
          << code;
    }
    for (int bytes = shortest + 1; bytes <= 4; ++bytes) {
      ASSERT_EQ(Utf8CharacterBytes(Encode(code, bytes)), 0u) << code;
    }
  }
}

TEST(Utf8Test, RejectsLoneBytesAndCodesAboveUnicode) {
  for (uint32_t code = 0x110000; code < 0x200000; code += 77) {
    ASSERT_EQ(Utf8CharacterBytes(Encode(code, 4)), 0u) << code;
  }
  for (int byte = 0x80; byte < 0x100; ++byte) {
    EXPECT_EQ(Utf8CharacterBytes(std::string(1, static_cast<char>(byte))), 0u);
  }
}

bool RoundTrips(absl::string_view text) {
  std::string json, read;
  const bool exact = AppendJsonString(text, &json);
  JsonCursor cursor(json);
  EXPECT_TRUE(IsStrictJson(json)) << json;
  EXPECT_TRUE(cursor.ReadString(&read)) << json;
  EXPECT_TRUE(cursor.AtEnd());
  EXPECT_EQ(read == text, exact) << json;
  return exact;
}

TEST(JsonStringTest, EveryByteRoundTripsAtEveryOffset) {
  for (int byte = 0; byte < 0x100; ++byte) {
    for (size_t before = 0; before < 17; ++before) {
      std::string text(20, 'x');
      text[before] = static_cast<char>(byte);
      EXPECT_EQ(RoundTrips(text), byte < 0x80) << byte;
      // The borrow of the next byte must not hide this byte.
      text[before + 1] = '"';
      EXPECT_EQ(RoundTrips(text), byte < 0x80) << byte;
    }
  }
}

// Invariants checked: AppendJsonString makes valid JSON from random bytes, and
// the JSON decodes to the same bytes if they were valid UTF-8.
TEST(JsonStringTest, RandomBytesBecomeValidJson) {
  std::mt19937_64 random(TestSeed());
  const std::string parts[] = {"\"",           "\\",
                               "\n",           "\xc3\xa4",
                               "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                               "\xff",         "\xed\xa0\x80",
                               "plain text",   std::string(1, '\0')};
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    bool is_utf8 = true;
    for (uint64_t n = random() % 12; n > 0; --n) {
      const size_t part = random() % 10;
      is_utf8 &= part != 6 && part != 7;
      text += parts[part];
    }
    ASSERT_EQ(RoundTrips(text), is_utf8) << i;
  }
}

TEST(JsonStringTest, ReplacesEachInvalidByte) {
  std::string json;
  EXPECT_FALSE(AppendJsonString("a\xff\xe2\x82z", &json));
  EXPECT_EQ(json, "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
}

TEST(JsonCursorTest, DecodesEscapes) {
  std::string text;
  JsonCursor cursor(
      " \"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e4\\u20AC"
      "\\ud83d\\ude00\" ");
  ASSERT_TRUE(cursor.ReadString(&text));
  EXPECT_EQ(text, "\"\\/\b\f\n\r\tA\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_TRUE(cursor.AtEnd());
}

TEST(JsonCursorTest, RejectsMalformedStrings) {
  for (const absl::string_view json : {"",
                                       "x",
                                       "\"",
                                       "\"abc",
                                       "\"\\\"",
                                       "\"\\",
                                       "\"\\x\"",
                                       "\"\\u12\"",
                                       "\"\\u12g4\"",
                                       "\"\\u-123\"",
                                       "\"\\u 123\"",
                                       "\"\\u+123\"",
                                       "\"\\ud800\"",
                                       "\"\\ud800x\"",
                                       "\"\\ud800\\n\"",
                                       "\"\\ud800\\ud800\"",
                                       "\"\\udc00\"",
                                       "\"\n\"",
                                       "\"\x01\"",
                                       "\"\xff\"",
                                       "\"\xc0\x80\""}) {
    std::string text;
    JsonCursor cursor(json);
    EXPECT_FALSE(cursor.ReadString(&text)) << json;
  }
}

TEST(JsonCursorTest, ReadsIntegersWithinTheirRange) {
  int64_t i = 0;
  uint64_t u = 0;
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  EXPECT_TRUE(JsonCursor(absl::StrCat(kMin)).ReadInt64(&i));
  EXPECT_EQ(i, kMin);
  EXPECT_TRUE(JsonCursor("18446744073709551615").ReadUint64(&u));
  EXPECT_EQ(u, std::numeric_limits<uint64_t>::max());
  EXPECT_TRUE(JsonCursor(" -0").ReadInt64(&i));
  EXPECT_EQ(i, 0);
  for (const absl::string_view json :
       {"", "-", "+1", "01", "-01", "1.0", "1e3", "1E3", "x", "--1",
        "9223372036854775808", "-9223372036854775809",
        "99999999999999999999"}) {
    EXPECT_FALSE(JsonCursor(json).ReadInt64(&i)) << json;
  }
  EXPECT_FALSE(JsonCursor("-1").ReadUint64(&u));
  EXPECT_FALSE(JsonCursor("18446744073709551616").ReadUint64(&u));
}

TEST(JsonCursorTest, ReadsObjectMembersInOrder) {
  JsonCursor cursor(" { \"a\" : 1 , \"b\" : [ {} , \"]\" ] , \"c\" : 3 } ");
  std::string seen;
  ASSERT_TRUE(cursor.ReadObject([&](const std::string& key) {
    seen += key;
    int64_t value = 0;
    return key == "b" ? cursor.SkipValue() : cursor.ReadInt64(&value);
  }));
  EXPECT_EQ(seen, "abc");
  EXPECT_TRUE(cursor.AtEnd());
}

TEST(JsonCursorTest, RejectsMalformedObjects) {
  for (const absl::string_view json :
       {"", "{", "{,}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1",
        "{a:1}", "{\"a\":1 \"b\":2}", "{\"a\":[1}", "{\"a\":[1,]}", "[]"}) {
    JsonCursor cursor(json);
    EXPECT_FALSE(cursor.ReadObject([&](const std::string&) {
      return cursor.SkipValue();
    })) << json;
  }
}

TEST(JsonCursorTest, LimitsNestingDepth) {
  for (const size_t depth : std::vector<size_t>{31, 32, 1000, 1000000}) {
    const std::string json = std::string(depth, '[') + std::string(depth, ']');
    EXPECT_EQ(JsonCursor(json).SkipValue(), depth < 33) << depth;
    EXPECT_FALSE(JsonCursor(std::string(depth, '[')).SkipValue());
  }
}

}  // namespace
}  // namespace ringlog
