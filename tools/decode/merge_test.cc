// Decodes a ring together with the segments of its flusher, at each step of the
// flusher. Each record is found once.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/decode_all.h"
#include "ringlog/testing/fixtures/other_boot.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

void DamageCursors(const std::string& ring_path) {
  std::string content = ReadFile(ring_path);
  for (uint64_t i = 0; i < 2; ++i) {
    content[kLiveOffset + offsetof(RingLive, cursor) +
            i * sizeof(PersistCursor) + 8] ^= 0x10;
  }
  WriteFile(ring_path, content);
}

// The parameter makes either frames of one batch, each with metadata, or one
// long frame that is always open.
class MergeTest : public ::testing::TestWithParam<size_t> {
 protected:
  MergeTest()
      : directory_(MakeTestDirectory()), process_(directory_, Frames()) {}

  static ScriptedProcess::Options Frames() {
    ScriptedProcess::Options options = ScriptedProcess::DefaultOptions();
    options.frame_bytes = GetParam();
    return options;
  }

  const std::string directory_;
  ScriptedProcess process_;
};

INSTANTIATE_TEST_SUITE_P(FrameBytes, MergeTest, ::testing::Values(1, 1 << 20));

TEST_P(MergeTest, ReturnsEachRecordOnceAfterEachFlusherStep) {
  std::vector<std::string> logged;
  const auto log = [&](const std::string& text) {
    process_.Log(text);
    logged.push_back(text);
  };
  const std::vector<std::function<void()>> steps = {
      [&] { process_.TakeAndWrite(); }, [&] { process_.Publish(); },
      [&] { process_.Release(); }};
  for (int iteration = 0; iteration < 6; ++iteration) {
    log(absl::StrCat("first of iteration ", iteration));
    log(std::string(1000, 'x'));
    for (const auto& step : steps) {
      step();
      log(absl::StrCat(logged.size(), " in the ring\nand its second line"));
      const Decoded decoded = DecodeAll({directory_});
      ASSERT_EQ(decoded.texts, logged) << iteration;
      ASSERT_THAT(decoded.damage, IsEmpty());
      ASSERT_EQ(decoded.result.exit_status(), 0);
    }
    if (iteration % 2 == 1) {
      process_.EndSegment();
      ASSERT_EQ(DecodeAll({directory_}).texts, logged)
          << "after the end of the segment";
    }
  }
}

TEST_P(MergeTest, CursorDecidesBetweenSegmentAndRing) {
  process_.Log("published");
  process_.Flush();
  process_.Log("written, not published");
  process_.TakeAndWrite();
  process_.Log("not written");
  const Decoded decoded =
      DecodeAll({process_.ring_path(), process_.segment_path(1)});
  EXPECT_THAT(decoded.texts, ElementsAre("published", "written, not published",
                                         "not written"));
  EXPECT_THAT(decoded.ring_texts,
              ElementsAre("written, not published", "not written"));
}

void ZeroHeaders(const std::string& ring_path) {
  std::string content = ReadFile(ring_path);
  content.replace(0, kRingHeaderAreaBytes, kRingHeaderAreaBytes, '\0');
  WriteFile(ring_path, content);
}

TEST_P(MergeTest, RingWithoutHeadersIsMerged) {
  ScriptedProcess other(directory_, Frames());
  other.Log("other's, persisted");
  other.Flush();
  process_.Log("persisted");
  process_.Flush();
  process_.Log("written, not published");
  process_.TakeAndWrite();
  process_.Log("not written");
  for (const bool is_lost : {false, true}) {
    if (is_lost) ZeroHeaders(process_.ring_path());
    const Decoded decoded = DecodeAll({directory_});
    EXPECT_THAT(decoded.texts,
                UnorderedElementsAre("other's, persisted", "persisted",
                                     "written, not published", "not written"));
    EXPECT_THAT(decoded.ring_texts, Contains("not written"));
    EXPECT_EQ(decoded.result.exit_status(), is_lost);
    EXPECT_EQ(decoded.damage.size(), is_lost);
  }
  EXPECT_THAT(DecodeAll({directory_}).damage,
              ElementsAre(HasSubstr("the header and its copy are damaged")));
  EXPECT_THAT(DecodeAll({process_.ring_path()}).texts,
              ElementsAre("written, not published", "not written"));
}

TEST_P(MergeTest, UnpublishedSegmentDoesNotCount) {
  process_.Log("1");
  process_.Flush();
  process_.EndSegment();
  process_.Log("2");
  process_.TakeAndWrite();
  const Decoded decoded = DecodeAll({directory_});
  EXPECT_THAT(decoded.texts, ElementsAre("1", "2"));
  EXPECT_THAT(decoded.ring_texts, ElementsAre("2"));
}

TEST_P(MergeTest, TruncationAfterCursorLosesNoRecord) {
  process_.Log("1");
  process_.Flush();
  const size_t published = ReadFile(process_.segment_path(1)).size();
  process_.Log("2");
  process_.TakeAndWrite();
  std::filesystem::resize_file(process_.segment_path(1), published + 3);
  const Decoded decoded = DecodeAll({directory_});
  EXPECT_THAT(decoded.texts, ElementsAre("1", "2"));
  EXPECT_THAT(decoded.damage, IsEmpty());
  EXPECT_EQ(decoded.result.exit_status(), 0);
}

TEST_P(MergeTest, RingAloneGivesItsRecords) {
  process_.Log("released");
  process_.Flush();
  process_.Log("published");
  process_.TakeAndWrite();
  process_.Publish();
  process_.Log("not written");
  EXPECT_THAT(DecodeAll({process_.ring_path()}).texts,
              ElementsAre("published", "not written"));
}

TEST_P(MergeTest, RingFillsTruncationBeforeCursor) {
  process_.Log("1");
  process_.Flush();
  const size_t published = ReadFile(process_.segment_path(1)).size();
  process_.Log("2");
  process_.TakeAndWrite();
  process_.Publish();  // the ring still has the record
  process_.Log("3");
  std::filesystem::resize_file(process_.segment_path(1), published + 3);
  const Decoded decoded = DecodeAll({directory_});
  EXPECT_THAT(decoded.texts, ElementsAre("1", "2", "3"));
  EXPECT_THAT(decoded.damage,
              ElementsAre(HasSubstr(absl::StrCat("[", published, ".."))));
  EXPECT_EQ(decoded.result.exit_status(), 1);
}

TEST_P(MergeTest, DamagedCursorDoublesNoRecord) {
  for (const bool released : {false, true}) {
    const std::string directory = MakeTestDirectory();
    ScriptedProcess process(directory, Frames());
    process.Log("1");
    process.Flush();
    process.Log("2");
    process.Log(std::string(2000, 'x'));
    process.TakeAndWrite();
    process.Publish();
    if (released) process.Release();
    process.Log("3");
    process.Log("4");
    DamageCursors(process.ring_path());
    const Decoded decoded = DecodeAll({directory});
    EXPECT_THAT(decoded.texts,
                ElementsAre("1", "2", std::string(2000, 'x'), "3", "4"))
        << "released: " << released;
    EXPECT_THAT(decoded.damage, Contains(HasSubstr("cursor is damaged")));
    EXPECT_EQ(decoded.result.exit_status(), 1);
  }
}

// After the death of the machine, and without an intact cursor, readers and
// recovery accept only intact frames with intact metadata.
TEST_P(MergeTest, FramesWithoutMetadataDoNotCountAfterMachineDeath) {
  process_.Log("1");
  process_.Flush();
  process_.Log("2");
  process_.Flush();
  process_.Log("3");
  process_.TakeAndWrite();
  process_.Publish();
  process_.Log("4");
  WriteFile(process_.ring_path(),
            WithOtherBootId(ReadFile(process_.ring_path())));
  DamageCursors(process_.ring_path());
  const Decoded decoded = DecodeAll({directory_});
  if (GetParam() == 1) {  // every frame has metadata
    EXPECT_THAT(decoded.texts, ElementsAre("1", "2", "3", "4"));
    EXPECT_THAT(decoded.ring_texts, ElementsAre("4"));
  } else {
    EXPECT_THAT(decoded.texts, ElementsAre("1", "3", "4"))
        << "the ring has released 2";
    EXPECT_THAT(decoded.ring_texts, ElementsAre("3", "4"));
  }
  EXPECT_THAT(decoded.damage, Contains(HasSubstr("cursor is damaged")));
  EXPECT_EQ(decoded.result.exit_status(), 1);
}

// The reader leaves out the text of the segment, like recovery, and reports
// damage.
TEST_P(MergeTest, SegmentWithoutIntactMetadataIsReported) {
  process_.Log("1");
  process_.Flush();
  process_.Log("2");
  const std::string path = process_.segment_path(1);
  std::string bytes = ReadFile(path);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);  // of the metadata
  WriteFile(path, bytes);
  WriteFile(process_.ring_path(),
            WithOtherBootId(ReadFile(process_.ring_path())));
  DamageCursors(process_.ring_path());
  const Decoded decoded = DecodeAll({directory_});
  EXPECT_THAT(decoded.texts, ElementsAre("2"));
  EXPECT_THAT(decoded.damage, Contains(HasSubstr("no frame in it is intact")));
  EXPECT_EQ(decoded.result.exit_status(), 1);
}

// Invariant: while a process logs and flushes, decoding returns its records in
// order and without a gap, including all that were logged before the decoding.
TEST(LiveRingTest, ReturnsLoggedRecordsOnce) {
  constexpr int kDecodings = 30;
  // Limits the number of records that the process logs during a decoding, so
  // that a slow decoding does not fill the disk. Each decoding opens all
  // segments, which takes 25 ms for each segment under ThreadSanitizer.
  constexpr uint64_t kRecordsForADecoding = 200;
  const std::string directory = MakeTestDirectory();
  ScriptedProcess::Options options = ScriptedProcess::DefaultOptions();
  options.frame_bytes = 2000;
  ScriptedProcess process(directory, options);
  process.Log("0");
  process.Flush();
  std::atomic<uint64_t> logged{1};
  std::atomic<uint64_t> may_log{kRecordsForADecoding};
  std::atomic<bool> stop{false};
  std::thread logger([&] {
    for (uint64_t n = 1; !stop.load(); ++n) {
      while (n >= may_log.load() && !stop.load()) std::this_thread::yield();
      process.Log(absl::StrCat(n));
      logged.store(n + 1);
      if (n % 7 == 0) process.Flush();
      if (n % 211 == 0) process.EndSegment();
    }
  });
  const absl::Cleanup join = [&] {
    stop.store(true);
    logger.join();
  };
  for (int i = 0; i < kDecodings && !::testing::Test::HasFailure(); ++i) {
    may_log.fetch_add(kRecordsForADecoding);
    const uint64_t at_least = logged.load();
    const Decoded decoded = DecodeAll({directory});
    EXPECT_GE(decoded.texts.size(), at_least);
    EXPECT_THAT(decoded.damage, IsEmpty());
    EXPECT_EQ(decoded.result.exit_status(), 0);
    for (size_t n = 0; n < decoded.texts.size(); ++n) {
      ASSERT_EQ(decoded.texts[n], absl::StrCat(n)) << "decoding " << i;
    }
  }
}

}  // namespace
}  // namespace ringlog
