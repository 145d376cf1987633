// Attacks on the readers of `ringlog cat --format=json`, and on terminals, by
// segments that have valid metadata and chosen lines.
//
// Invariants checked:
//  - Each line of the output is one JSON object in valid UTF-8.
//  - Lines that are JSON objects are printed unchanged.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/testing/harness/strict_json.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kHonest[] =
    R"({"time":"2026-11-30T04:17:39.837677000Z","severity":"INFO","tid":1,)"
    R"("file":"a.cc","line":1,"text":"honest"})";

// Returns the path of a closed segment of JSON lines with this text. Each
// segment is of another ring.
std::string ForgeSegment(absl::string_view text) {
  static uint8_t rings = 0;
  const std::string path = MakeTestDirectory() + "/forged.jsonl.zst";
  SegmentIdentity identity;
  identity.ring_id = {++rings};
  identity.format = LineFormat::kJson;
  absl::StatusOr<std::unique_ptr<SegmentWriter>> writer =
      SegmentWriter::Create(path, identity, SegmentWriterOptions());
  EXPECT_TRUE(writer.ok()) << writer.status();
  SegmentWriter::Batch batch;
  batch.lines = text;
  batch.summary.end_position = 1;
  batch.summary.records[0] = 1;
  batch.summary.text_bytes = text.size();
  EXPECT_TRUE((*writer)->AddBatch(batch).ok());
  EXPECT_TRUE((*writer)->Write().ok());
  EXPECT_TRUE((*writer)->AddEnd().ok());
  EXPECT_TRUE((*writer)->Write().ok());
  return path;
}

// Returns the lines that `ringlog cat --format=json` prints for the paths.
std::vector<std::string> JsonLines(std::vector<std::string> paths) {
  paths.insert(paths.begin(), {"cat", "--format=json"});
  const ToolRun run = RunTool("ringlog", paths);
  EXPECT_EQ(run.exit_status, 0) << run.err;
  std::vector<std::string> lines = absl::StrSplit(run.out, '\n');
  EXPECT_EQ(lines.back(), "") << "the last line has no line break";
  lines.pop_back();
  for (const std::string& line : lines) {
    EXPECT_TRUE(IsStrictJson(line)) << line;
    EXPECT_EQ(line.front(), '{') << line;
  }
  return lines;
}

const std::vector<std::string>& ForgedLines() {
  static const auto* const kLines = new std::vector<std::string>{
      "not JSON",
      "",
      "[1]",
      "\"text\"",
      "{\"a\":1}{\"b\":2}",
      "}{",
      "{\"a\":\"\xFF\"}",
      "{\"a\":\"\xED\xA0\x80\"}",
      "{\"a\":\"\\ud800\"}",
      "{\"a\":\"\x1B[2J\"}",
      std::string("{\"a\":\"\0\"}", 9),
      "{\"a\":\r1}",
      "{\"a\":1}\r{\"b\":2}",
      "{\"a\":tru}",
      "{\"a\":01}",
      std::string(100, '[') + std::string(100, ']'),
      "{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}",
  };
  return *kLines;
}

TEST(ForgedLinesTest, EachLineOfASegmentIsAJsonObject) {
  for (const std::string& forged : ForgedLines()) {
    SCOPED_TRACE(forged);
    const std::string path =
        ForgeSegment(absl::StrCat(kHonest, "\n", forged, "\n", kHonest, "\n"));
    const std::vector<std::string> lines = JsonLines({path});
    ASSERT_EQ(lines.size(), 3u);
    EXPECT_EQ(lines[0], kHonest);
    // The object has the time of the previous line.
    EXPECT_THAT(lines[1], HasSubstr("\"time\":\"2026-11-30T04:17:39.8376770"));
    EXPECT_THAT(lines[1], HasSubstr("\"text\":\""));
    EXPECT_EQ(lines[2], kHonest);
  }
}

TEST(ForgedLinesTest, EachLineOfMergedSegmentsIsAJsonObject) {
  std::string text;
  for (const std::string& forged : ForgedLines()) {
    absl::StrAppend(&text, forged, "\n");
  }
  const std::string one = ForgeSegment(text);
  const std::string other = ForgeSegment(kHonest);
  EXPECT_EQ(JsonLines({one, other}).size(), ForgedLines().size() + 1);
  EXPECT_EQ(JsonLines({"--last=100", one}).size(), ForgedLines().size());
}

TEST(ForgedLinesTest, MissingLastLineBreakIsAdded) {
  EXPECT_THAT(JsonLines({ForgeSegment(kHonest)}),
              ElementsAre(HasSubstr("honest")));
  EXPECT_EQ(JsonLines({ForgeSegment("{\"a\":")}).size(), 1u);
}

}  // namespace
}  // namespace ringlog
