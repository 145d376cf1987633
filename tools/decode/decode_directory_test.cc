// Tests the decoding of whole directories.

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/decode_all.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/tools/decode/decode.h"
#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(DecodeDirectoryTest, ReadsFileWithSeveralNamesOnce) {
  const std::string directory = MakeTestDirectory();
  ScriptedProcess process(directory);
  process.Log("a");
  process.Flush();
  process.Log("b");
  const std::string link = directory + "/link.log.zst";
  std::filesystem::create_hard_link(process.segment_path(1), link);
  std::filesystem::create_symlink(process.segment_path(1),
                                  directory + "/server.log.zst");
  const Decoded decoded = DecodeAll({directory, process.ring_path(),
                                     process.segment_path(1), link, directory});
  EXPECT_THAT(decoded.texts, ElementsAre("a", "b"));
  EXPECT_EQ(decoded.result.exit_status(), 0);
}

TEST(DecodeDirectoryTest, ProcessesAreMergedByTime) {
  const std::string directory = MakeTestDirectory();
  ScriptedProcess one(directory);
  ScriptedProcess other(directory);
  one.Log(TestRecord(1, "1"));
  other.Log(TestRecord(2, "2"));
  other.Flush();
  one.Log(TestRecord(3, "3"));
  one.Flush();
  one.Log(TestRecord(4, "4"));
  other.Log(TestRecord(5, "5"));
  EXPECT_THAT(DecodeAll({directory}).texts,
              ElementsAre("1", "2", "3", "4", "5"));
}

TEST(DecodeDirectoryTest, RecordsOfOneProcessAreOrderedByPosition) {
  const std::string directory = MakeTestDirectory();
  ScriptedProcess process(directory);
  process.Log(TestRecord(9, "the clock was set back after this"));
  process.Flush();
  process.Log(TestRecord(1, "later"));
  ScriptedProcess other(directory);
  other.Log(TestRecord(10, "last"));
  EXPECT_THAT(
      DecodeAll({directory}).texts,
      ElementsAre("the clock was set back after this", "later", "last"));
}

TEST(DecodeDirectoryTest, EmptySegmentIsNotDamage) {
  const std::string directory = MakeTestDirectory();
  ScriptedProcess process(directory);
  process.Log("a");
  process.Flush();
  process.EndSegment();
  std::filesystem::remove(process.ring_path());
  std::string next = process.segment_path(1);
  next.replace(next.rfind("000001"), 6, "000002");
  WriteFile(next, "");
  const Decoded decoded = DecodeAll({directory});
  EXPECT_THAT(decoded.texts, ElementsAre("a"));
  EXPECT_THAT(decoded.notes, ElementsAre(HasSubstr(next)));
  EXPECT_EQ(decoded.result.exit_status(), 0);
  // The result is the same if the paths are named, for example by a pattern.
  const Decoded named = DecodeAll({process.segment_path(1), next});
  EXPECT_THAT(named.texts, ElementsAre("a"));
  EXPECT_THAT(named.notes, ElementsAre(HasSubstr(next)));
  EXPECT_EQ(named.result.exit_status(), 0);
}

TEST(DecodeDirectoryTest, StopsIfSinkReturnsFalse) {
  const std::string directory = MakeTestDirectory();
  ScriptedProcess one(directory);
  ScriptedProcess other(directory);
  for (const char* text : {"a", "b", "c"}) {
    one.Log(text);
    other.Log(text);
  }
  for (const auto& paths :
       std::vector<std::vector<std::string>>{{directory}, {one.ring_path()}}) {
    int records = 0;
    DecodeSink sink;
    sink.on_record = [&](const DecodedRecord&) { return ++records < 2; };
    Decode(paths, sink);
    EXPECT_EQ(records, 2);
  }
}

}  // namespace
}  // namespace ringlog
