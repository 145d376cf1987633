#include "ringlog/tools/decode/decode.h"

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
#include "ringlog/testing/harness/test_seed.h"
#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

void FlipByte(const std::string& path, uint64_t offset) {
  std::string content = ReadFile(path);
  ASSERT_LT(offset, content.size());
  content[offset] = static_cast<char>(content[offset] ^ 0x10);
  WriteFile(path, content);
}

ScriptedProcess::Options LongFrames() {
  ScriptedProcess::Options options = ScriptedProcess::DefaultOptions();
  options.frame_bytes = 1 << 20;
  return options;
}

TEST(DecodeRingTest, ReturnsCommittedRecordsOnceAndInOrder) {
  const std::string directory = MakeTestDirectory();
  ScriptedProcess process(directory);
  const std::string long_text(3000, 'x');  // several slots
  for (const std::string& text : {std::string("a"), long_text, std::string()}) {
    process.Log(text);
  }
  const Decoded decoded = DecodeAll({process.ring_path()});
  EXPECT_THAT(decoded.texts, ElementsAre("a", long_text, ""));
  EXPECT_THAT(decoded.ring_texts, SizeIs(3));
  EXPECT_EQ(decoded.result.exit_status(), 0);
}

TEST(DecodeRingTest, UnfinishedRecordIsAGap) {
  ScriptedProcess process(MakeTestDirectory());
  process.Log("before");
  process.LeaveUnfinished();
  process.Log("after");
  const Decoded decoded = DecodeAll({process.ring_path()});
  EXPECT_THAT(decoded.texts, ElementsAre("before", "after"));
  EXPECT_THAT(decoded.gaps, ElementsAre(GapCause::kUnfinished));
  EXPECT_EQ(decoded.result.exit_status(), 0) << "LOG() had not returned";
}

TEST(DecodeRingTest, DamagedRecordIsAGapOfOneRecord) {
  ScriptedProcess process(MakeTestDirectory());
  for (const char* text : {"first", "the second", "third"}) process.Log(text);
  const std::string content = ReadFile(process.ring_path());
  FlipByte(process.ring_path(), content.find("the second"));
  const Decoded decoded = DecodeAll({process.ring_path()});
  EXPECT_THAT(decoded.texts, ElementsAre("first", "third"));
  EXPECT_THAT(decoded.gaps, ElementsAre(GapCause::kChecksumMismatch));
  EXPECT_EQ(decoded.result.exit_status(), 1);
}

TEST(DecodeRingTest, DropsAreOneGapAfterTheRecords) {
  ScriptedProcess process(MakeTestDirectory());
  for (int i = 0; i < 100; ++i) process.Log(absl::StrCat(i));
  const Decoded decoded = DecodeAll({process.ring_path()});
  EXPECT_THAT(decoded.texts, SizeIs(process.ring()->capacity(Severity::kInfo)));
  EXPECT_THAT(decoded.gaps, ElementsAre(GapCause::kRingFull));
  EXPECT_EQ(decoded.result.exit_status(), 1);
}

TEST(DecodeRingTest, DropsInASegmentAreReportedOnce) {
  const std::string directory = MakeTestDirectory();
  ScriptedProcess process(directory);
  for (int i = 0; i < 100; ++i) process.Log(absl::StrCat(i));
  Gap gap;
  gap.cause = GapCause::kRingFull;
  gap.records[0] =
      process.ring()->dropped(DropCause::kRingFull, Severity::kInfo);
  process.AddGapToNextBatch(gap);
  process.Flush();
  process.Log("later");
  const Decoded decoded = DecodeAll({directory});
  EXPECT_THAT(decoded.segment_gaps, ElementsAre(GapCause::kRingFull));
  EXPECT_THAT(decoded.gaps, IsEmpty());
  EXPECT_EQ(decoded.texts.back(), "later");
  EXPECT_EQ(decoded.result.exit_status(), 1);
}

TEST(DecodeRingTest, SecondCopyOfARingIsRefused) {
  const std::string directory = MakeTestDirectory();
  ScriptedProcess process(directory);
  process.Log("once");
  const std::string copy = directory + "/copy.ring";
  std::filesystem::copy_file(process.ring_path(), copy);
  const Decoded decoded = DecodeAll({process.ring_path(), copy});
  EXPECT_THAT(decoded.texts, ElementsAre("once"));
  EXPECT_THAT(decoded.unusable,
              ElementsAre(AllOf(HasSubstr(copy + ": "),
                                HasSubstr(process.ring_path()))));
  EXPECT_EQ(decoded.result.exit_status(), 2);
}

TEST(DecodeSegmentsTest, ReturnsSegmentsInOrderOfNumber) {
  ScriptedProcess process(MakeTestDirectory());
  for (const char* text : {"1", "2", "3"}) {
    process.Log(text);
    process.Flush();
    process.EndSegment();
  }
  const Decoded decoded =
      DecodeAll({process.segment_path(3), process.segment_path(1),
                 process.segment_path(2)});
  EXPECT_THAT(decoded.texts, ElementsAre("1", "2", "3"));
  EXPECT_THAT(decoded.ring_texts, IsEmpty());
  EXPECT_EQ(decoded.result.exit_status(), 0);
}

TEST(DecodeSegmentsTest, UnclosedSegmentGivesAllRecords) {
  for (const auto& options :
       {ScriptedProcess::DefaultOptions(), LongFrames()}) {
    ScriptedProcess process(MakeTestDirectory(), options);
    process.Log("a");
    process.Flush();
    process.Log("b");
    process.Flush();
    const Decoded decoded = DecodeAll({process.segment_path(1)});
    EXPECT_THAT(decoded.texts, ElementsAre("a", "b"));
  }
}

TEST(DecodeSegmentsTest, MissingSegmentBetweenOthersIsReported) {
  ScriptedProcess process(MakeTestDirectory());
  for (const char* text : {"1", "2", "3", "4"}) {
    process.Log(text);
    process.Flush();
    process.EndSegment();
  }
  const Decoded decoded =
      DecodeAll({process.segment_path(1), process.segment_path(4)});
  EXPECT_THAT(decoded.texts, ElementsAre("1", "4"));
  EXPECT_THAT(decoded.damage,
              ElementsAre(AllOf(HasSubstr(process.segment_path(4)),
                                HasSubstr("positions 2 to 3 are missing"),
                                HasSubstr("2 segments are not here"))));
  EXPECT_EQ(decoded.result.exit_status(), 1);
  // Retention deletes the oldest segment, and a user may leave out the newest.
  EXPECT_EQ(DecodeAll({process.segment_path(2), process.segment_path(3)})
                .result.exit_status(),
            0);
}

TEST(DecodeSegmentsTest, MissingLastFramesAreReported) {
  ScriptedProcess process(MakeTestDirectory());
  process.Log("1");
  process.Flush();
  const size_t first_frame = ReadFile(process.segment_path(1)).size();
  process.Log("2");
  process.Flush();
  process.EndSegment();
  process.Log("3");
  process.Flush();
  process.EndSegment();
  std::filesystem::resize_file(process.segment_path(1), first_frame);
  const Decoded decoded =
      DecodeAll({process.segment_path(1), process.segment_path(2)});
  EXPECT_THAT(decoded.texts, ElementsAre("1", "3"));
  EXPECT_THAT(decoded.damage,
              ElementsAre(AllOf(HasSubstr(process.segment_path(2)),
                                HasSubstr("positions 2 to 2 are missing"),
                                HasSubstr("is truncated"))));
  EXPECT_EQ(decoded.result.exit_status(), 1);
  // Without a later segment, only the missing end is reported.
  const Decoded alone = DecodeAll({process.segment_path(1)});
  EXPECT_THAT(alone.damage, ElementsAre(AllOf(HasSubstr("was not closed"),
                                              HasSubstr("ring"))));
  EXPECT_EQ(alone.result.exit_status(), 1);
}

TEST(DecodeSegmentsTest, OpenFrameWithoutItsRingIsUnverified) {
  ScriptedProcess process(MakeTestDirectory(), LongFrames());
  process.Log("a frame of its own");
  process.Flush();
  const std::string path = process.segment_path(1);
  const size_t begin = ReadFile(path).size();
  process.Log("open");
  process.Flush();
  const size_t end = ReadFile(path).size();
  // The ring has a checksum of the open frame.
  const Decoded with_ring = DecodeAll({path, process.ring_path()});
  EXPECT_THAT(with_ring.texts, ElementsAre("a frame of its own", "open"));
  EXPECT_THAT(with_ring.damage, IsEmpty());
  EXPECT_EQ(with_ring.result.exit_status(), 0);
  const Decoded alone = DecodeAll({path});
  EXPECT_THAT(alone.texts, ElementsAre("a frame of its own", "open"));
  EXPECT_THAT(
      alone.damage,
      ElementsAre(HasSubstr("was not closed"),
                  absl::StrCat(path, ": [", begin, "..", end,
                               "): the records in these bytes are unverified; "
                               "no checksum covers them")));
  EXPECT_EQ(alone.result.exit_status(), 1);
}

// The damaged length of a block of the second frame leads exactly to the
// cursor, over the frame's damaged metadata and the open frame. The second
// frame looks open, but the cursor proves that another frame is open.
TEST(DecodeSegmentsTest, RingDoesNotVerifyAnotherFrame) {
  ScriptedProcess::Options options = ScriptedProcess::DefaultOptions();
  options.frame_bytes = 300;
  ScriptedProcess process(MakeTestDirectory(), options);
  process.Log("a frame of its own");
  process.Flush();
  const std::string path = process.segment_path(1);
  const size_t begin = ReadFile(path).size();
  std::mt19937_64 random(TestSeed());
  for (int batch = 0; batch < 2; ++batch) {
    std::string noise(150, 'x');
    for (char& c : noise) c = static_cast<char>(128 + random() % 128);
    process.Log(noise);
    process.Flush();
  }
  const size_t metadata_end = ReadFile(path).size();
  process.Log("open");
  process.Flush();
  std::string bytes = ReadFile(path);
  const size_t block = begin + 6;
  const uint64_t header = (bytes.size() - block - 3) << 3;
  for (size_t i = 0; i < 3; ++i) {
    bytes[block + i] = static_cast<char>(header >> 8 * i);
  }
  bytes[metadata_end - 1] ^= 1;
  WriteFile(path, bytes);
  const Decoded decoded = DecodeAll({path, process.ring_path()});
  EXPECT_EQ(decoded.result.exit_status(), 1);
  EXPECT_THAT(decoded.damage,
              Contains(AllOf(HasSubstr(absl::StrCat("[", begin, "..")),
                             HasSubstr("unverified"))));
}

TEST(DecodeSegmentsTest, TruncatedFrameIsReportedWithItsBytes) {
  ScriptedProcess process(MakeTestDirectory());
  process.Log("a");
  process.Flush();
  const std::string path = process.segment_path(1);
  const std::string first = ReadFile(path);
  process.Log("b");
  process.Flush();
  WriteFile(path, ReadFile(path).substr(0, first.size() + 7));
  const Decoded decoded = DecodeAll({path});
  EXPECT_THAT(decoded.texts, ElementsAre("a"));
  EXPECT_THAT(decoded.damage,
              ElementsAre(AllOf(HasSubstr(path), HasSubstr(absl::StrCat(
                                                     "[", first.size(), "..",
                                                     first.size() + 7, ")")))));
  EXPECT_EQ(decoded.result.exit_status(), 1);
}

TEST(DecodeSegmentsTest, DamageCostsOneFrame) {
  ScriptedProcess process(MakeTestDirectory());
  process.Log("a");
  process.Flush();
  const size_t before = ReadFile(process.segment_path(1)).size();
  process.Log("b");
  process.Flush();
  process.Log("c");
  process.Flush();
  process.EndSegment();
  FlipByte(process.segment_path(1), before + 20);
  const Decoded decoded = DecodeAll({process.segment_path(1)});
  EXPECT_THAT(decoded.texts, ElementsAre("a", "c"));
  EXPECT_THAT(decoded.damage, SizeIs(1));
  EXPECT_EQ(decoded.result.exit_status(), 1);
}

TEST(DecodeSegmentsTest, CountsGapLineAsLoss) {
  for (const auto& options :
       {ScriptedProcess::DefaultOptions(), LongFrames()}) {
    ScriptedProcess process(MakeTestDirectory(), options);
    process.Log("a");
    Gap gap;
    gap.cause = GapCause::kStuckWriter;
    gap.first_position = 2;
    gap.end_position = 3;
    process.AddGapToNextBatch(gap);
    process.Flush();
    const Decoded decoded =
        DecodeAll({process.ring_path(), process.segment_path(1)});
    EXPECT_THAT(decoded.texts, ElementsAre("a"));
    EXPECT_THAT(decoded.segment_gaps, ElementsAre(GapCause::kStuckWriter));
    EXPECT_EQ(decoded.result.losses, 1);
    EXPECT_EQ(decoded.result.exit_status(), 1);
  }
}

TEST(DecodeSegmentsTest, JsonSegmentsGiveTheSameRecords) {
  ScriptedProcess::Options options = ScriptedProcess::DefaultOptions();
  options.format = LineFormat::kJson;
  const std::string directory = MakeTestDirectory();
  ScriptedProcess process(directory, options);
  const std::string odd("\"\\\n\t\0\xFF", 6);
  process.Log(odd);
  process.Flush();
  process.Log(odd);
  const Decoded decoded = DecodeAll({directory});
  EXPECT_THAT(decoded.texts, ElementsAre(odd, odd));
  EXPECT_THAT(decoded.ring_texts, ElementsAre(odd));
  EXPECT_EQ(decoded.result.exit_status(), 0);
}

TEST(DecodeSegmentsTest, BulkLinesAreTheBytesOfTheFile) {
  ScriptedProcess process(MakeTestDirectory());
  for (const char* text : {"a", "b\nwith another line", "c"}) {
    process.Log(text);
    process.Flush();
  }
  process.EndSegment();
  std::string lines;
  DecodeSink sink;
  sink.on_record = [](const DecodedRecord&) {
    ADD_FAILURE() << "the sink must get lines, not records";
    return true;
  };
  sink.on_lines = [&](absl::string_view more) {
    lines.append(more.data(), more.size());
    return true;
  };
  EXPECT_EQ(Decode({process.segment_path(1)}, sink).exit_status(), 0);
  EXPECT_EQ(lines, Decompress(process.segment_path(1)));
}

TEST(DecodeSegmentsTest, CountsGapInBulkLinesAsLoss) {
  ScriptedProcess process(MakeTestDirectory(), LongFrames());
  process.Log("a");
  process.Flush();
  Gap gap;
  gap.cause = GapCause::kStuckWriter;
  gap.end_position = 1;
  process.AddGapToNextBatch(gap);
  process.Flush();  // no metadata lists the gap, because the frame is open
  DecodeSink sink;
  sink.on_record = [](const DecodedRecord&) { return true; };
  sink.on_lines = [](absl::string_view) { return true; };
  const DecodeResult result =
      Decode({process.ring_path(), process.segment_path(1)}, sink);
  EXPECT_EQ(result.losses, 1);
}

TEST(DecodeRingTest, DamagedOpenFrameGivesNoWrongText) {
  const std::string directory = MakeTestDirectory();
  ScriptedProcess process(directory, LongFrames());
  process.Log("first");
  process.Flush();
  const uint64_t frame = std::filesystem::file_size(process.segment_path(1));
  process.Log("in the open frame");
  process.Flush();
  process.Log("in the ring");
  const std::string segment = ReadFile(process.segment_path(1));
  for (uint64_t at = frame; at < segment.size(); ++at) {
    WriteFile(process.segment_path(1), segment);
    FlipByte(process.segment_path(1), at);
    const Decoded decoded = DecodeAll({directory});
    EXPECT_THAT(decoded.texts, ElementsAre("first", "in the ring")) << at;
    EXPECT_THAT(decoded.damage,
                ElementsAre(AllOf(HasSubstr(process.segment_path(1)),
                                  HasSubstr("the positions 2 to 2"))));
  }
}

}  // namespace
}  // namespace ringlog
