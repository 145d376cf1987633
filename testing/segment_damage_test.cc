// What any damage of a segment costs: at most the frame that it is in. The
// oracle is the list of lines that were written, and libzstd's idea of where
// each frame ends.
//
// Invariants checked, of what `ringlog cat` makes of the file:
//   - no line that was not written, none twice, none out of order
//   - a damaged byte costs the lines of one frame at the most. If it costs any,
//     the exit status is not 0, and a message has the bytes, the damaged one
//     among them, and the positions
//   - a damaged byte of metadata or of the seek table costs nothing
//   - a file that ends anywhere has every line of a block that is whole
//   - what is behind the segment's end costs nothing
//
// What is not promised: that damage which costs nothing is told. zstd has bits
// that mean nothing, and the seek table is read by `ringlog verify` alone. Two
// damaged bytes cost two frames, also if they are in metadata.

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/testing/fixtures/sample_segment.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"
#include "ringlog/tools/decode/decode.h"
#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {
namespace {

using Frame = SampleSegment::Frame;

constexpr uint64_t kSampleSeed = 20261124;
constexpr size_t kFrameCount = 10;
constexpr size_t kFrameBytes = 400;
constexpr int kPairsInLongMode = 1000000;
constexpr int kPairs = 1000;

// A sanitizer makes each case ten times as long. There each run takes other
// bytes; and so it does of JSON, of which the bytes are text like others.
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
constexpr uint64_t kSanitizedStride = 7;
#else
constexpr uint64_t kSanitizedStride = 1;
#endif

class SegmentDamageTest : public ::testing::TestWithParam<LineFormat> {
 protected:
  SegmentDamageTest()
      : sample_(MakeSampleSegment(GetParam(), kFrameCount, kSampleSeed,
                                  kFrameBytes)),
        path_(absl::StrCat(
            MakeTestDirectory(),
            "/server.host.20261124-034019.1.01020300.000001.",
            GetParam() == LineFormat::kText ? "log.zst" : "jsonl.zst")),
        random_(TestSeed()) {}

  ~SegmentDamageTest() override {
    std::cout << cases_ << " cases, " << lost_ << " of them lost a frame"
              << std::endl;
  }

  // What `ringlog cat` makes of a file of `bytes`.
  void Cat(const std::string& bytes) {
    // A new file each time: ext4 puts one that was emptied on the disk at once.
    unlink(path_.c_str());
    WriteFile(path_, bytes);
    text_.clear();
    messages_.clear();
    DecodeSink sink;
    sink.on_record = [this](const DecodedRecord& record) {
      text_.append(record.lines.data(), record.lines.size());
      return true;
    };
    sink.on_lines = [this](absl::string_view lines) {
      text_.append(lines.data(), lines.size());
      return true;
    };
    sink.lines_format = GetParam();
    sink.on_damage = [this](const std::string&, absl::string_view message) {
      messages_.emplace_back(message);
    };
    sink.on_unusable = [this](const std::string&, const absl::Status& status) {
      messages_.push_back(status.ToString());
    };
    exit_status_ = Decode({path_}, sink).exit_status();
    ++cases_;
  }

  // A message has bytes, of which `at` is one.
  bool IsNamed(uint64_t at) const {
    for (const std::string& message : messages_) {
      const std::vector<absl::string_view> words =
          absl::StrSplit(absl::string_view(message), absl::ByAnyChar("[.)"),
                         absl::SkipEmpty());
      uint64_t begin = 0;
      uint64_t end = 0;
      if (message[0] == '[' && words.size() >= 2 &&
          absl::SimpleAtoi(words[0], &begin) &&
          absl::SimpleAtoi(words[1], &end) && begin <= at && at < end) {
        return true;
      }
    }
    return false;
  }

  bool IsSaid(absl::string_view words) const {
    for (const std::string& message : messages_) {
      if (absl::StrContains(message, words)) return true;
    }
    return false;
  }

  // Byte `at` of the sample, which is in frame `f`, was damaged.
  void ExpectAtMostLost(size_t f, uint64_t at) {
    const Frame& frame = sample_.frames[f];
    if (text_ == sample_.text()) return;
    ASSERT_TRUE(text_ == sample_.TextWithout(f));
    ++lost_;
    EXPECT_EQ(exit_status_, 1);
    EXPECT_TRUE(IsNamed(at)) << messages_.size();
    EXPECT_TRUE(IsSaid(absl::StrCat("the positions ", frame.first_position,
                                    " to ", frame.end_position - 1)))
        << messages_.size();
  }

  // The index of the frame that `at` is in; kFrameCount if it is in none.
  size_t FrameAt(uint64_t at) const {
    for (size_t f = 0; f < kFrameCount; ++f) {
      const Frame& frame = sample_.frames[f];
      if (frame.begin <= at && at < frame.end) return f;
    }
    return kFrameCount;
  }

  size_t FrameOrMetadataAt(uint64_t at) const {
    size_t f = 0;
    while (f < kFrameCount && at >= sample_.frames[f].metadata_end) ++f;
    return f;
  }

  bool IsInMetadata(uint64_t at) const {
    return FrameAt(at) == kFrameCount &&
           at < sample_.frames.back().metadata_end;
  }

  // What the byte becomes: three things, or all.
  std::vector<char> Damaged(char byte) {
    const auto plus = [byte](uint64_t change) {
      return static_cast<char>(byte ^ static_cast<char>(change));
    };
    std::vector<char> damaged;
    if (IsLongMode()) {
      for (uint64_t change = 1; change < 256; ++change) {
        damaged.push_back(plus(change));
      }
      return damaged;
    }
    damaged = {plus(0xff), plus(uint64_t{1} << random_() % 8)};
    if (byte != 0) damaged.push_back(0);
    return damaged;
  }

  // Of the first `length` bytes, the text of blocks that are whole.
  std::string TextOfWholeBlocks(uint64_t length) const {
    std::string text;
    for (const Frame& frame : sample_.frames) {
      for (const SampleSegment::Block& block : frame.blocks) {
        if (block.end > length) return text;
        text += block.text;
      }
    }
    return text;
  }

  std::string Noise(size_t bytes) {
    std::string noise(bytes, '\0');
    for (char& c : noise) c = static_cast<char>(random_());
    return noise;
  }

  bool IsTried(uint64_t at) const {
    return IsLongMode() || (at + phase_) % stride_ == 0;
  }

  const SampleSegment sample_;
  const std::string path_;
  std::mt19937_64 random_;
  const uint64_t stride_ =
      kSanitizedStride * (GetParam() == LineFormat::kText ? 1 : 7);
  const uint64_t phase_ = random_() % stride_;
  uint64_t cases_ = 0;
  uint64_t lost_ = 0;
  std::string text_;
  std::vector<std::string> messages_;
  int exit_status_ = 0;
};

TEST_P(SegmentDamageTest, WholeSegmentIsCompleteAndNothingIsSaid) {
  ASSERT_NO_FATAL_FAILURE(Cat(sample_.bytes));
  EXPECT_EQ(text_, sample_.text());
  EXPECT_EQ(exit_status_, 0);
  EXPECT_TRUE(messages_.empty()) << messages_[0];
}

TEST_P(SegmentDamageTest, DamagedByteCostsAtMostItsFrameAndIsNamed) {
  for (uint64_t at = 0; at < sample_.bytes.size(); ++at) {
    if (!IsTried(at)) continue;
    const size_t f = FrameAt(at);
    for (const char damaged : Damaged(sample_.bytes[at])) {
      SCOPED_TRACE(absl::StrCat("byte ", at, " is ", damaged & 0xff));
      std::string bytes = sample_.bytes;
      bytes[at] = damaged;
      ASSERT_NO_FATAL_FAILURE(Cat(bytes));
      if (f < kFrameCount) {
        ASSERT_NO_FATAL_FAILURE(ExpectAtMostLost(f, at));
      } else {
        ASSERT_TRUE(text_ == sample_.text());
      }
      if (IsInMetadata(at)) {
        EXPECT_EQ(exit_status_, 1);
        EXPECT_TRUE(IsNamed(at));
      }
      ASSERT_FALSE(HasFailure());
    }
  }
  EXPECT_GT(lost_, 0u);
}

TEST_P(SegmentDamageTest, EveryLengthHasAllThatIsInWholeBlocks) {
  const uint64_t whole = sample_.bytes.size();
  for (uint64_t length = 0; length <= whole; ++length) {
    if (length > 0 && length < whole && !IsTried(length)) continue;
    SCOPED_TRACE(absl::StrCat("cut at ", length));
    ASSERT_NO_FATAL_FAILURE(Cat(sample_.bytes.substr(0, length)));
    ASSERT_TRUE(text_ == TextOfWholeBlocks(length));
    // Nothing tells that an empty file has had content.
    ASSERT_EQ(exit_status_, length > 0 && length < whole ? 1 : 0);
  }
}

TEST_P(SegmentDamageTest, WhatIsBehindTheEndCostsNothing) {
  for (size_t bytes = 1; bytes <= sample_.bytes.size(); ++bytes) {
    if (!IsTried(bytes)) continue;
    SCOPED_TRACE(absl::StrCat("the last ", bytes, " bytes twice"));
    ASSERT_NO_FATAL_FAILURE(Cat(absl::StrCat(
        sample_.bytes, absl::string_view(sample_.bytes)
                           .substr(sample_.bytes.size() - bytes))));
    ASSERT_TRUE(text_ == sample_.text());
  }
  for (size_t bytes = 1; bytes <= 4096; bytes += IsLongMode() ? 1 : 15) {
    ASSERT_NO_FATAL_FAILURE(Cat(sample_.bytes + std::string(bytes, '\0')));
    ASSERT_TRUE(text_ == sample_.text()) << bytes << " zeros";
    EXPECT_EQ(exit_status_, 1);
    EXPECT_TRUE(IsNamed(sample_.bytes.size()));
  }
  for (int i = 0; i < (IsLongMode() ? 100000 : 300); ++i) {
    ASSERT_NO_FATAL_FAILURE(Cat(sample_.bytes + Noise(1000)));
    ASSERT_TRUE(text_ == sample_.text());
    EXPECT_EQ(exit_status_, 1);
    EXPECT_TRUE(IsNamed(sample_.bytes.size()));
  }
}

// As a file system leaves it that had made room, but had not written yet.
TEST_P(SegmentDamageTest, ZeroedTailCostsOnlyWhatIsInIt) {
  for (size_t zeros = 1; zeros < sample_.bytes.size(); ++zeros) {
    if (!IsTried(zeros)) continue;
    uint64_t length = sample_.bytes.size() - zeros;
    while (sample_.bytes[length] == '\0') ++length;  // They were zeros before.
    SCOPED_TRACE(absl::StrCat("zeros from ", length));
    ASSERT_NO_FATAL_FAILURE(
        Cat(sample_.bytes.substr(0, sample_.bytes.size() - zeros) +
            std::string(zeros, '\0')));
    ASSERT_TRUE(text_ == TextOfWholeBlocks(length));
    // In the seek table nothing is lost.
    ASSERT_TRUE(text_ == sample_.text() || exit_status_ != 0);
  }
}

// A frame between two damaged metadata has nothing to be found by.
TEST_P(SegmentDamageTest, TwoDamagedBytesCostAtMostTheirFrames) {
  for (int i = 0; i < (IsLongMode() ? kPairsInLongMode : kPairs); ++i) {
    std::string bytes = sample_.bytes;
    const uint64_t one = random_() % bytes.size();
    const uint64_t other = random_() % bytes.size();
    bytes[one] = static_cast<char>(random_());
    bytes[other] = static_cast<char>(random_());
    SCOPED_TRACE(absl::StrCat("bytes ", one, " and ", other));
    ASSERT_NO_FATAL_FAILURE(Cat(bytes));
    if (text_ == sample_.text()) continue;
    ++lost_;
    EXPECT_EQ(exit_status_, 1);
    const size_t f = FrameOrMetadataAt(one);
    const size_t g = FrameOrMetadataAt(other);
    SampleSegment rest = sample_;
    if (f < kFrameCount) rest.frames[f].text.clear();
    ASSERT_TRUE(text_ == sample_.TextWithout(f) ||
                text_ == sample_.TextWithout(g) ||
                text_ == rest.TextWithout(g));
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, SegmentDamageTest,
                         ::testing::Values(LineFormat::kText,
                                           LineFormat::kJson),
                         [](const auto& tested) {
                           return tested.param == LineFormat::kText ? "Text"
                                                                    : "Json";
                         });

}  // namespace
}  // namespace ringlog
