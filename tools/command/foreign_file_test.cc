// Tests of `ringlog cat` with zstd files of other programs: each line is a
// record, and the output has the requested format.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/testing/harness/strict_json.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"
#include "zstd.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;

constexpr size_t kLongTextBytes = 9'000'000;
constexpr int64_t kMaxRssKib = 100 << 10;

class ForeignFileTest : public ::testing::Test {
 protected:
  // Writes a file like `zstd` and returns its path.
  std::string File(const std::string& name, absl::string_view text) {
    std::string path = absl::StrCat(directory_, "/", name);
    WriteFile(path, Compress(text));
    return path;
  }

  // Writes a file like `zstd --long=27`: the text fills the window.
  std::string LongWindowFile(const std::string& name) {
    std::string text(kLongTextBytes, 'x');
    for (size_t i = 999; i < text.size(); i += 1000) text[i] = '\n';
    std::string frame(ZSTD_compressBound(text.size()), '\0');
    ZSTD_CCtx* const context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 27);
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    ZSTD_outBuffer out = {frame.data(), frame.size(), 0};
    ZSTD_inBuffer in = {text.data(), 1, 0};
    EXPECT_FALSE(ZSTD_isError(
        ZSTD_compressStream2(context, &out, &in, ZSTD_e_continue)));
    in.size = text.size();
    EXPECT_EQ(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end), 0u);
    ZSTD_freeCCtx(context);
    frame.resize(out.pos);
    std::string path = absl::StrCat(directory_, "/", name);
    WriteFile(path, frame);
    return path;
  }

  // Returns the lines that the command prints for a file of `text`.
  std::vector<std::string> Lines(const std::string& format,
                                 absl::string_view text) {
    const ToolRun run =
        RunTool("ringlog", {"cat", "--format=" + format, File("file", text)});
    EXPECT_EQ(run.exit_status, 0) << run.err;
    std::vector<std::string> lines = absl::StrSplit(run.out, '\n');
    EXPECT_EQ(lines.back(), "") << "the last line has no line break";
    lines.pop_back();
    return lines;
  }

  const std::string directory_ = MakeTestDirectory();
};

TEST_F(ForeignFileTest, AddsMissingLastLineBreak) {
  const std::string one = File("one", "first\none");
  const std::string two = File("two", "two");
  const ToolRun run = RunTool("ringlog", {"cat", one, two});
  EXPECT_EQ(run.exit_status, 0) << run.err;
  EXPECT_EQ(run.out, "first\none\ntwo\n");
  EXPECT_EQ(RunTool("ringlog", {"cat", "--last=2", one, two}).out,
            "one\ntwo\n");
}

// The reader of a frame with a window of 128 MiB needs this memory before the
// first line.
TEST_F(ForeignFileTest, ReadsLargeWindowOnlyIfFileIsAlone) {
  std::vector<std::string> words = {"cat"};
  for (int i = 0; i < 20; ++i) {
    words.push_back(LongWindowFile(absl::StrCat("long", i, ".log.zst")));
  }
  const ToolRun all = RunTool("ringlog", words);
  EXPECT_EQ(all.exit_status, 1);
  EXPECT_THAT(all.err, HasSubstr("too much memory"));
  EXPECT_LT(all.max_rss_kib, kMaxRssKib);
  const ToolRun one = RunTool("ringlog", {"cat", words[1]});
  EXPECT_EQ(one.exit_status, 0) << one.err;
  EXPECT_EQ(one.out.size(), kLongTextBytes);
}

TEST_F(ForeignFileTest, PrintsJsonObjectsUnchanged) {
  const std::vector<std::string> objects = {
      R"({"a":1})", R"( { "b" : [true, null, -0.5e+3, "\u00e9"] } )", "{}"};
  for (const char* last : {"\n", ""}) {
    EXPECT_EQ(Lines("json", absl::StrCat(objects[0], "\n", objects[1], "\n",
                                         objects[2], last)),
              objects);
  }
}

TEST_F(ForeignFileTest, WrapsOtherLinesInJsonObject) {
  for (const char* line :
       {"{not json", "{\"a\":tru}", "{\"a\":01}", "{\"a\":1.}", "{\"a\":1e}",
        "{\"a\":-}", "{\"a\":1}}", "{\"a\":\"\xFF\"}", "{\"a\":1} {}", "[1]",
        "plain text", "1"}) {
    const std::vector<std::string> lines =
        Lines("json", absl::StrCat("{\"first\":1}\n", line, "\n{}"));
    ASSERT_EQ(lines.size(), 3u) << line;
    EXPECT_EQ(lines[0], "{\"first\":1}");
    EXPECT_EQ(lines[2], "{}");
    EXPECT_TRUE(IsStrictJson(lines[1])) << lines[1];
    EXPECT_THAT(lines[1], HasSubstr("\"text\":\""));
  }
}

}  // namespace
}  // namespace ringlog
