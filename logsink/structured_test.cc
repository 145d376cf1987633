// Checks templates, args and context of real LOG() statements, in JSON lines.

#include <signal.h>

#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/check.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/log/log_sink_registry.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/line/parsed_record.h"
#include "ringlog/logsink/context_fields.h"
#include "ringlog/logsink/internal/entry_encoder.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/record_extension.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/testing/harness/strict_json.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

// Streams `count` values.
struct Values {
  int count;
  template <typename Sink>
  friend void AbslStringify(Sink& sink, const Values& values) {
    for (int i = 0; i < values.count; ++i) sink.Append(absl::StrCat(i));
  }
};

thread_local std::string t_trace_id;

void AddTraceId(ContextFields& fields) {
  if (!t_trace_id.empty()) fields.Add("trace_id", t_trace_id);
}

class StructuredTest : public ::testing::Test {
 protected:
  StructuredTest() {
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
    t_trace_id.clear();
    options_.directory = MakeTestDirectory();
    options_.format = LineFormat::kJson;
    options_.structured = true;
  }

  template <typename Body>
  std::vector<std::string> LinesOf(Body body) {
    auto sink = RingLogSink::Create(options_);
    EXPECT_TRUE(sink.ok()) << sink.status();
    absl::AddLogSink(sink->get());
    body();
    absl::RemoveLogSink(sink->get());
    ring_ = ReadFile((*sink)->ring_path());
    EXPECT_TRUE((*sink)->Close().ok());
    std::vector<std::string> lines = AllLines(options_.directory);
    for (const std::string& line : lines) {
      EXPECT_EQ(IsStrictJson(line), options_.format == LineFormat::kJson)
          << line;
    }
    return lines;
  }

  RingLogSinkOptions options_;
  std::string ring_;  // content of the ring file directly before Close()
};

TEST_F(StructuredTest, LineHasTemplateAndArgs) {
  const auto lines =
      LinesOf([] { LOG(INFO) << "Found " << 3 << " \"cookies\""; });
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("\"text\":\"Found 3 \\\"cookies\\\"\","
                                  "\"template\":\"Found {} \\\"cookies\\\"\","
                                  "\"args\":[\"3\"],"));
}

TEST_F(StructuredTest, OnlyBracesOfLiteralsAreDoubled) {
  const auto lines =
      LinesOf([] { LOG(INFO) << "{a} " << std::string("{b}") << "}"; });
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("\"template\":\"{{a}} {}}}\","
                                  "\"args\":[\"{b}\"]"));
}

TEST_F(StructuredTest, MessageOfLiteralsHasNoArgs) {
  const auto lines = LinesOf([] { LOG(INFO) << "ready"; });
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("\"template\":\"ready\",\"args\":[]"));
}

TEST_F(StructuredTest, UnsplittableMessageHasNoTemplate) {
  const auto lines = LinesOf([] {
    LOG(INFO) << std::string("formatted");
    // More pieces than fit in a head.
    LOG(INFO) << "values " << Values{90};
  });
  ASSERT_THAT(lines, SizeIs(2));
  for (const std::string& line : lines) {
    EXPECT_THAT(line, Not(HasSubstr("\"template\"")));
  }
}

TEST_F(StructuredTest, DocumentedNumberOfPiecesFits) {
  const auto lines = LinesOf([] { LOG(INFO) << "values " << Values{60}; });
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr("\"58\",\"59\"]"));
}

TEST_F(StructuredTest, TextLinesAreUnchanged) {
  options_.format = LineFormat::kText;
  options_.context = &AddTraceId;
  t_trace_id = "7f";
  const auto lines = LinesOf([] { LOG(INFO) << "Found " << 3; });
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], testing::EndsWith("] Found 3"));
}

TEST_F(StructuredTest, WithoutOptionLinesAreUnchanged) {
  options_.structured = false;
  const auto lines = LinesOf([] { LOG(INFO) << "Found " << 3; });
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], Not(HasSubstr("template")));
  EXPECT_THAT(lines[0], Not(HasSubstr("context")));
}

// The ring has the same fields as the segment.
TEST_F(StructuredTest, RingHasTemplateArgsAndContext) {
  options_.overflow = OverflowPolicy::kOverwriteOldest;  // no flusher
  options_.context = &AddTraceId;
  LinesOf([] {
    t_trace_id = "7f";
    LOG(INFO) << "Found " << 3 << " cookies";
  });
  const auto ring = RecoverRing(ring_, RecoverFrom::kEverything);
  ASSERT_TRUE(ring.ok()) << ring.status();
  ASSERT_THAT(ring->records, SizeIs(1));
  Record record;
  ASSERT_TRUE(
      DecodeRecord(ring->records[0].head, ring->records[0].body, &record));
  std::string line;
  AppendRecord(LineFormat::kJson, record, 1, &line);
  EXPECT_THAT(line, HasSubstr("\"template\":\"Found {} cookies\","
                              "\"args\":[\"3\"],"
                              "\"context\":{\"trace_id\":\"7f\"}"));
}

TEST_F(StructuredTest, TruncatedRecordHasNoTemplate) {
  MessagePieces pieces;
  ASSERT_TRUE(pieces.AddLiteral(5));
  std::string room(64, 'x');
  ExtensionWriter writer(absl::MakeSpan(room));
  ASSERT_TRUE(writer.Add(ExtensionItem::kPieces, pieces.lengths()));
  Record record;
  record.text = "text";
  record.cut_bytes = 1;
  record.extension = writer.extension();
  std::string line;
  AppendRecord(LineFormat::kJson, record, 1, &line);
  EXPECT_THAT(line, Not(HasSubstr("template")));
}

// ---- Context ----

TEST_F(StructuredTest, ContextBelongsToLoggingThread) {
  options_.structured = false;
  options_.context = &AddTraceId;
  const auto lines = LinesOf([] {
    t_trace_id = "main";
    LOG(INFO) << "0";
    std::thread([] {
      t_trace_id = "other \"\xff";
      LOG(INFO) << "1";
      t_trace_id.clear();
      LOG(INFO) << "2";
    }).join();
  });
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_THAT(lines[0], HasSubstr(",\"context\":{\"trace_id\":\"main\"},"));
  EXPECT_THAT(lines[1], HasSubstr("{\"trace_id\":\"other \\\"\xef\xbf\xbd\"}"));
  EXPECT_THAT(lines[2], Not(HasSubstr("context")));
  EXPECT_THAT(lines[0], Not(HasSubstr("template")));
}

TEST_F(StructuredTest, StackTraceHasNoTemplateOrContext) {
  EXPECT_EXIT(
      {
        options_.context = &AddTraceId;
        t_trace_id = "7f";
        auto sink = RingLogSink::Create(options_);
        absl::AddLogSink(sink->get());
        CHECK_EQ(1, 2) << "more " << 3;
      },
      testing::KilledBySignal(SIGABRT), "");
  const std::vector<std::string> segments =
      FilesIn(options_.directory, ".jsonl.zst");
  ASSERT_THAT(segments, SizeIs(1));
  bool complete;
  const std::vector<std::string> lines =
      absl::StrSplit(Decompress(segments[0], &complete), '\n');
  ASSERT_THAT(lines, SizeIs(3));
  EXPECT_THAT(lines[0], HasSubstr("\"template\":\"Check failed: {} more {}\","
                                  "\"args\":[\"1 == 2 (1 vs. 2)\",\"3\"],"
                                  "\"context\":{\"trace_id\":\"7f\"}"));
  EXPECT_THAT(lines[1], HasSubstr("\"kind\":\"stack_trace\""));
  EXPECT_THAT(lines[1], Not(HasSubstr("template")));
  EXPECT_THAT(lines[1], Not(HasSubstr("context")));
}

TEST(ContextFieldsTest, RejectsDuplicatesAndOverflow) {
  ContextFields fields;
  EXPECT_TRUE(fields.Add("a", "1"));
  EXPECT_FALSE(fields.Add("a", "2"));
  EXPECT_FALSE(fields.Add("", "x"));
  EXPECT_FALSE(fields.Add("no key", "x"));
  const size_t left = ContextFields::kMaxBytes - fields.encoded().size();
  EXPECT_FALSE(fields.Add("b", std::string(left - 3, 'x')));
  EXPECT_TRUE(fields.Add("b", std::string(left - 4, 'x')));
  EXPECT_FALSE(fields.Add("c", ""));
  EXPECT_EQ(fields.encoded().size(), ContextFields::kMaxBytes);
}

TEST_F(StructuredTest, LargestContextIsKept) {
  options_.context = [](ContextFields& fields) {
    fields.Add("k", std::string(ContextFields::kMaxBytes - 4, 'v'));
  };
  const auto lines = LinesOf([] { LOG(INFO) << "text " << 1; });
  ASSERT_THAT(lines, SizeIs(1));
  EXPECT_THAT(lines[0], HasSubstr(std::string(188, 'v') + "\"}"));
  EXPECT_THAT(lines[0], HasSubstr("\"template\""));
}

// Invariants checked, for random extensions: the line is one line of valid
// JSON, and parsing returns the text.
TEST(ExtensionLineTest, RandomExtensionMakesValidLine) {
  std::mt19937_64 random(TestSeed());
  for (int i = 0; i < 20000; ++i) {
    std::string extension;
    for (uint64_t items = 1 + random() % 3; items > 0; --items) {
      std::string content;
      for (uint64_t n = random() % 12; n > 0; --n) {
        content +=
            static_cast<char>(random() % 3 == 0 ? random() : random() % 6);
      }
      if (random() % 2 == 0) {
        content += "\x01\x01" + std::string(1, '\0') + "kv";
      }
      extension += static_cast<char>(random() % 4);
      extension += static_cast<char>(content.size());
      extension += std::string(1, '\0') + content;
    }
    const std::string text = "text\n\"\xff";
    Record record;
    record.text = text;
    record.extension = extension;
    std::string line;
    AppendRecord(LineFormat::kJson, record, 7, &line);
    ASSERT_TRUE(IsStrictJson(line)) << line;
    ParsedRecord parsed;
    ASSERT_TRUE(ParseLines(LineFormat::kJson, line, &parsed)) << line;
    ASSERT_EQ(parsed.text, text);
  }
}

}  // namespace
}  // namespace ringlog
