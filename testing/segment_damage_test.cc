// Tests the cost of any damage to a segment: at most the damaged frame.
// The oracle is the list of lines that were written, and libzstd for the end of
// each frame.
//
// Invariants of the output of `ringlog cat`:
//   - every printed line was written, and is printed once and in order
//   - a damaged byte costs at most the lines of one frame. If a line is lost,
//     the exit status is 1, and a message has the positions and a range of
//     bytes that includes the damaged byte
//   - a damaged byte of a metadata frame or of the seek table costs no line
//   - a file truncated anywhere has every line of its complete blocks
//   - records of a frame without an end are marked as unverified, and the exit
//     status is 1
//   - bytes after the end of the segment cost no line
//
// Not promised:
//   - a report of damage that costs no line. zstd ignores some bits, and only
//     `ringlog verify` reads the seek table
//   - that two damaged bytes cost only one frame, even in metadata frames

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/config.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/testing/fixtures/sample_segment.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"
#include "ringlog/testing/segment_damage_test_fixture.h"
#include "ringlog/tools/decode/decode.h"
#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {
namespace {

// With a sanitizer, each case takes ten times as long. Therefore a run with a
// sanitizer tries only a random share of the bytes. A run without a sanitizer
// does so only for the JSON segment.
#ifdef ABSL_HAVE_ADDRESS_SANITIZER
constexpr uint64_t kSanitizedStride = 7;
#else
constexpr uint64_t kSanitizedStride = 1;
#endif

class SegmentDamageTest : public SegmentDamageFixture {
 protected:
  // Checks the output for a file whose byte at `at`, in frame `f`, is damaged.
  void ExpectAtMostLost(size_t f, uint64_t at) {
    const Frame& frame = sample_.frames[f];
    if (text_ == sample_.text()) return;
    ASSERT_TRUE(text_ == sample_.TextWithout(f));
    ++lost_;
    EXPECT_EQ(exit_status_, 1);
    EXPECT_TRUE(IsNamed(at)) << messages_.size();
    EXPECT_TRUE(HasMessage(absl::StrCat("the positions ", frame.first_position,
                                        " to ", frame.end_position - 1)))
        << messages_.size();
  }

  // Returns the values to try for a damaged byte: three, or all in long mode.
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

  // Returns the text of the complete blocks in the first `length` bytes.
  std::string TextOfCompleteBlocks(uint64_t length) const {
    std::string text;
    for (const Frame& frame : sample_.frames) {
      for (const SampleSegment::Block& block : frame.blocks) {
        if (block.end > length) return text;
        text += block.text;
      }
    }
    return text;
  }

  // Checks that the records of the frame that `length` truncates are marked as
  // unverified, and no others.
  void ExpectOpenFrameMarked(uint64_t length) const {
    const size_t f = FrameAt(length);
    const bool has_records =
        f < kFrameCount && sample_.frames[f].blocks[0].end <= length;
    ASSERT_EQ(HasMessage("unverified"), has_records);
    if (has_records) {
      ASSERT_TRUE(IsMarkedUnverified(sample_.frames[f].begin));
    }
  }

  std::string Noise(size_t bytes) {
    std::string noise(bytes, '\0');
    for (char& c : noise) c = static_cast<char>(random_());
    return noise;
  }

  bool IsTried(uint64_t at) const {
    return IsLongMode() || (at + phase_) % stride_ == 0;
  }

  const uint64_t stride_ =
      kSanitizedStride * (GetParam() == LineFormat::kText ? 1 : 7);
  const uint64_t phase_ = random_() % stride_;
};

TEST_P(SegmentDamageTest, PrintsIntactSegmentWithoutMessage) {
  ASSERT_NO_FATAL_FAILURE(Cat(sample_.bytes));
  EXPECT_EQ(text_, sample_.text());
  EXPECT_EQ(exit_status_, 0);
  EXPECT_TRUE(messages_.empty()) << messages_[0];
}

TEST_P(SegmentDamageTest, DamagedByteCostsAtMostItsFrame) {
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

TEST_P(SegmentDamageTest, TruncatedSegmentKeepsItsCompleteBlocks) {
  const uint64_t size = sample_.bytes.size();
  for (uint64_t length = 0; length <= size; ++length) {
    if (length > 0 && length < size && !IsTried(length)) continue;
    SCOPED_TRACE(absl::StrCat("truncated at ", length));
    ASSERT_NO_FATAL_FAILURE(Cat(sample_.bytes.substr(0, length)));
    ASSERT_TRUE(text_ == TextOfCompleteBlocks(length));
    ExpectOpenFrameMarked(length);
    // An empty file may never have had content.
    ASSERT_EQ(exit_status_, length > 0 && length < size ? 1 : 0);
  }
}

TEST_P(SegmentDamageTest, BytesAfterTheEndCostNoLine) {
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

// A file system may have allocated blocks that it has not written yet.
TEST_P(SegmentDamageTest, ZeroedTailCostsOnlyItsFrames) {
  for (size_t zeros = 1; zeros < sample_.bytes.size(); ++zeros) {
    if (!IsTried(zeros)) continue;
    uint64_t length = sample_.bytes.size() - zeros;
    // Bytes that were zeros before are not damaged.
    while (sample_.bytes[length] == '\0') ++length;
    SCOPED_TRACE(absl::StrCat("zeros from ", length));
    ASSERT_NO_FATAL_FAILURE(
        Cat(sample_.bytes.substr(0, sample_.bytes.size() - zeros) +
            std::string(zeros, '\0')));
    ASSERT_TRUE(text_ == TextOfCompleteBlocks(length));
    // Zeros in the seek table cost no line.
    ASSERT_TRUE(text_ == sample_.text() || exit_status_ != 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, SegmentDamageTest,
                         ::testing::Values(LineFormat::kText,
                                           LineFormat::kJson),
                         FormatName);

}  // namespace
}  // namespace ringlog
