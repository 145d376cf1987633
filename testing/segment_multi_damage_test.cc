// Tests the cost of two and three damaged bytes in a segment. The oracle is the
// list of lines that were written, and libzstd for the end of each frame.
//
// Invariants of the output of `ringlog cat`:
//   - each damaged frame is lost or complete. A damaged metadata frame may cost
//     its frame
//   - exception: if damage makes the last frame look open, its records may be
//     printed with wrong text. These records are marked as unverified
//   - exception: damage to the first metadata frame and to the second frame may
//     cost all later frames, because the ring id is then unknown
//   - if a record is lost or marked, the exit status is 1

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/testing/fixtures/sample_segment.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/sanitizer.h"
#include "ringlog/testing/segment_damage_test_fixture.h"

namespace ringlog {
namespace {

constexpr uint64_t kPairs = kHasSanitizer ? 200 : 1000;
constexpr uint64_t kPairsInLongMode = 1000000;

class SegmentMultiDamageTest : public SegmentDamageFixture {
 protected:
  // Checks the output for a file with damage at `offsets`.
  void ExpectAtMostLost(const std::vector<uint64_t>& offsets) {
    if (text_ == sample_.text()) return;
    ++lost_;
    EXPECT_EQ(exit_status_, 1);
    std::set<size_t> damaged;
    for (const uint64_t at : offsets) damaged.insert(FrameOrMetadataAt(at));
    const bool may_lack_identity = MayLackIdentity(offsets);
    for (size_t f = 1; may_lack_identity && f < kFrameCount; ++f) {
      damaged.insert(f);
    }
    // Each of the damaged frames is lost or complete. An unverified frame is
    // the last one that is read.
    std::vector<std::string> expected = {""};
    for (size_t f = 0; f < kFrameCount; ++f) {
      if (damaged.count(f) != 0 &&
          (may_lack_identity || MayLookOpen(f, offsets)) &&
          IsMarkedUnverified(sample_.frames[f].begin)) {
        ASSERT_TRUE(std::any_of(
            expected.begin(), expected.end(),
            [this](const auto& e) { return absl::StartsWith(text_, e); }));
        return;
      }
      const size_t before = expected.size();
      for (size_t i = 0; i < before; ++i) {
        if (damaged.count(f) != 0) expected.push_back(expected[i]);
        expected[i] += sample_.frames[f].text;
      }
    }
    ASSERT_NE(std::find(expected.begin(), expected.end(), text_),
              expected.end());
  }

  // Returns true if damage at `offsets` is in the metadata of the first frame,
  // and in the second frame or its metadata. Then the headers of no frame lead
  // to an intact metadata frame, and the reader may not know the ring id.
  bool MayLackIdentity(const std::vector<uint64_t>& offsets) const {
    bool in_first = false;
    bool in_second = false;
    for (const uint64_t at : offsets) {
      in_first |= FrameOrMetadataAt(at) == 0 && IsInMetadata(at);
      in_second |= FrameOrMetadataAt(at) == 1;
    }
    return in_first && in_second;
  }

  // Returns true if damage at `offsets` is in frame `f`, in its metadata, and
  // in the metadata of every later frame. Nothing then shows that the frame had
  // an end.
  bool MayLookOpen(size_t f, const std::vector<uint64_t>& offsets) const {
    bool in_frame = false;
    std::set<size_t> in_metadata;
    for (const uint64_t at : offsets) {
      in_frame |= FrameAt(at) == f;
      if (IsInMetadata(at)) in_metadata.insert(FrameOrMetadataAt(at));
    }
    for (size_t g = f; g < kFrameCount; ++g) {
      if (in_metadata.count(g) == 0) return false;
    }
    return in_frame;
  }

  // Gives the byte at each of `offsets` a random value, and checks the output.
  void DamageAt(const std::vector<uint64_t>& offsets) {
    std::string bytes = sample_.bytes;
    std::string trace = "bytes";
    for (const uint64_t at : offsets) {
      bytes[at] = static_cast<char>(random_());
      absl::StrAppend(&trace, " ", at, "=", bytes[at] & 0xff);
    }
    SCOPED_TRACE(trace);
    ASSERT_NO_FATAL_FAILURE(Cat(bytes));
    ExpectAtMostLost(offsets);
  }

  uint64_t Between(uint64_t begin, uint64_t end) {
    return begin + random_() % (end - begin);
  }
  uint64_t Anywhere() { return Between(0, sample_.bytes.size()); }

  const uint64_t pairs_ = Repetitions(kPairs, kPairsInLongMode);
};

// A damaged block header and damaged metadata make the last frame look open.
// The records in its other blocks are delivered, but no checksum covers them.
TEST_P(SegmentMultiDamageTest, FrameThatLooksOpenIsMarkedUnverified) {
  struct Damage {
    LineFormat format;
    uint64_t frame_byte;
    int frame_value;
    uint64_t metadata_byte;
    size_t complete_blocks;
  };
  constexpr LineFormat kText = LineFormat::kText;
  constexpr LineFormat kJson = LineFormat::kJson;
  const std::vector<Damage> found = {
      {kText, 4591, 17, 4862, 1},  {kText, 4591, 200, 4862, 1},
      {kText, 4673, 14, 4860, 2},  {kText, 4673, 200, 4860, 2},
      {kText, 4592, 1, 4822, 1},   {kText, 4592, 15, 4822, 1},
      {kJson, 4709, 200, 5112, 1}, {kJson, 4709, 20, 5112, 1},
      {kJson, 4710, 15, 5112, 1}};
  const Frame& frame = sample_.frames.back();
  for (const Damage& damage : found) {
    if (damage.format != GetParam()) continue;
    SCOPED_TRACE(damage.frame_byte);
    std::string bytes = sample_.bytes;
    bytes[damage.frame_byte] = static_cast<char>(damage.frame_value);
    bytes[damage.metadata_byte] ^= 0x5a;
    ASSERT_NO_FATAL_FAILURE(Cat(bytes));
    std::string expected = sample_.TextWithout(kFrameCount - 1);
    for (size_t i = 0; i < damage.complete_blocks; ++i) {
      expected += frame.blocks[i].text;
    }
    EXPECT_EQ(text_, expected);
    EXPECT_EQ(exit_status_, 1);
    EXPECT_TRUE(IsMarkedUnverified(frame.begin));
    EXPECT_TRUE(IsNamed(damage.frame_byte));
  }
}

// A damaged block type makes zstd decode other text. Because the frame looks
// open, no checksum detects the wrong text.
TEST_P(SegmentMultiDamageTest, WrongTextIsMarkedUnverified) {
  if (GetParam() != LineFormat::kJson) GTEST_SKIP();
  const Frame& frame = sample_.frames.back();
  std::string bytes = sample_.bytes;
  bytes[4708] = 64;
  bytes[5000] ^= 0x5a;
  ASSERT_NO_FATAL_FAILURE(Cat(bytes));
  const std::string before = sample_.TextWithout(kFrameCount - 1);
  ASSERT_TRUE(absl::StartsWith(text_, before));
  EXPECT_FALSE(absl::StartsWith(sample_.text(), text_));
  EXPECT_EQ(exit_status_, 1);
  EXPECT_TRUE(IsMarkedUnverified(frame.begin));
}

// The first frame has wrong text and no longer the flag of its checksum, and
// its metadata frame is damaged. The next frame shows that the file is a
// segment. In a segment, each frame has a checksum, so the first frame is lost.
TEST_P(SegmentMultiDamageTest, FrameWithoutChecksumIsLost) {
  const Frame& frame = sample_.frames.front();
  for (const uint64_t metadata_byte :
       {frame.end, frame.end + 4, frame.metadata_end - 1}) {
    std::string bytes = sample_.bytes;
    bytes[4] &= ~4;
    bytes[20] ^= 0x5a;
    bytes[metadata_byte] ^= 0x5a;
    ASSERT_NO_FATAL_FAILURE(Cat(bytes));
    EXPECT_EQ(text_, sample_.TextWithout(0));
    EXPECT_EQ(exit_status_, 1);
    EXPECT_TRUE(IsNamed(4));
  }
}

// After damage to the first frame's metadata and to a block header of the
// second frame, no headers lead to an intact metadata frame.
TEST_P(SegmentMultiDamageTest, ReportsLossOfIdentity) {
  if (GetParam() != LineFormat::kText) GTEST_SKIP();
  using Bytes = std::vector<std::pair<uint64_t, int>>;  // offset, value
  const std::vector<Bytes> found = {{{86, 40}, {323, 204}, {1721, 203}},
                                    {{89, 152}, {248, 222}},
                                    {{91, 54}, {248, 76}},
                                    {{177, 90}, {324, 9}, {636, 156}},
                                    {{209, 212}, {248, 231}, {679, 230}}};
  for (const Bytes& damage : found) {
    std::string bytes = sample_.bytes;
    std::vector<uint64_t> offsets;
    for (const auto& [at, value] : damage) {
      bytes[at] = static_cast<char>(value);
      offsets.push_back(at);
    }
    SCOPED_TRACE(absl::StrCat(offsets[0], " ", offsets[1]));
    ASSERT_NO_FATAL_FAILURE(Cat(bytes));
    ExpectAtMostLost(offsets);
  }
}

TEST_P(SegmentMultiDamageTest, TwoDamagedBytesCostAtMostTheirFrames) {
  for (uint64_t i = 0; i < pairs_; ++i) {
    ASSERT_NO_FATAL_FAILURE(DamageAt({Anywhere(), Anywhere()}));
  }
}

TEST_P(SegmentMultiDamageTest, ThreeDamagedBytesCostAtMostTheirFrames) {
  for (uint64_t i = 0; i < pairs_; ++i) {
    ASSERT_NO_FATAL_FAILURE(DamageAt({Anywhere(), Anywhere(), Anywhere()}));
  }
}

// A frame with a damaged block header and damaged metadata may look open.
TEST_P(SegmentMultiDamageTest, DamageInFrameAndItsMetadataCostsThatFrame) {
  for (uint64_t i = 0; i < pairs_; ++i) {
    const Frame& frame = sample_.frames[random_() % kFrameCount];
    const uint64_t at = Between(frame.begin, frame.end);
    ASSERT_NO_FATAL_FAILURE(
        DamageAt({at, Between(frame.end, frame.metadata_end)}));
    ASSERT_NO_FATAL_FAILURE(DamageAt({at, Between(frame.begin, frame.end),
                                      Between(frame.end, frame.metadata_end)}));
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, SegmentMultiDamageTest,
                         ::testing::Values(LineFormat::kText,
                                           LineFormat::kJson),
                         FormatName);

}  // namespace
}  // namespace ringlog
