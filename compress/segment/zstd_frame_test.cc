// Compares ParseFrameExtent() with libzstd, the oracle for the end of a frame
// and for invalid frames.

#include "ringlog/compress/segment/zstd_frame.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"
#include "zstd.h"

namespace ringlog {
namespace {

// Returns `bytes` bytes of text. zstd stores it in raw blocks unless it is
// `compressible`.
std::string MakeText(size_t bytes, bool compressible, uint64_t seed = 8878) {
  std::mt19937_64 random(seed);
  std::string text;
  while (text.size() < bytes) {
    if (compressible) {
      absl::StrAppend(&text, "line ", random() % 1000, "\n");
    } else {
      text += static_cast<char>(random());
    }
  }
  text.resize(bytes);
  return text;
}

struct FrameOptions {
  bool checksum = false;
  bool content_size = false;
  bool flushed = false;  // True: each third of the text ends a block.
};

std::string MakeFrame(const std::string& text, const FrameOptions& options) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, options.checksum);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, options.content_size);
  if (options.content_size) ZSTD_CCtx_setPledgedSrcSize(context, text.size());
  std::string frame(ZSTD_compressBound(text.size()) + 1000, '\0');
  ZSTD_outBuffer out = {frame.data(), frame.size(), 0};
  ZSTD_inBuffer in = {text.data(), 0, 0};
  for (size_t third = 1; options.flushed && third < 3; ++third) {
    in.size = text.size() * third / 3;
    EXPECT_EQ(ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush), 0u);
  }
  in.size = text.size();
  EXPECT_EQ(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end), 0u);
  ZSTD_freeCCtx(context);
  frame.resize(out.pos);
  return frame;
}

class ZstdFrameTest : public ::testing::Test {
 protected:
  ZstdFrameTest() : path_(MakeTestDirectory() + "/file") {}

  absl::StatusOr<FrameExtent> Parse(const std::string& bytes, uint64_t offset,
                                    uint64_t limit) {
    // Makes a new file each time, because ext4 writes an emptied and rewritten
    // file to the disk at once.
    unlink(path_.c_str());
    WriteFile(path_, bytes);
    absl::StatusOr<SegmentFile> file = SegmentFile::Open(path_, O_RDONLY);
    if (!file.ok()) return file.status();
    return ParseFrameExtent(*file, offset, limit);
  }

  const std::string path_;
};

TEST_F(ZstdFrameTest, FrameEndMatchesZstd) {
  for (const size_t bytes :
       std::vector<size_t>{0, 1, 100, 255, 256, 70000, 300000}) {
    for (int bits = 0; bits < 16; ++bits) {
      const FrameOptions options = {(bits & 1) != 0, (bits & 2) != 0,
                                    (bits & 4) != 0};
      const std::string frame =
          MakeFrame(MakeText(bytes, (bits & 8) != 0), options);
      const std::string file = "before" + frame + "after";
      const auto extent = Parse(file, 6, file.size());
      ASSERT_TRUE(extent.ok()) << extent.status();
      EXPECT_TRUE(extent->is_complete);
      EXPECT_EQ(extent->end,
                6 + ZSTD_findFrameCompressedSize(frame.data(), frame.size()));
      EXPECT_EQ(extent->end, 6 + frame.size());
      EXPECT_EQ(extent->has_checksum, options.checksum);
    }
  }
}

TEST_F(ZstdFrameTest, RunLengthBlocksAreParsed) {
  const std::string frame = MakeFrame(std::string(400000, 'x'), {true});
  const auto extent = Parse(frame, 0, frame.size());
  ASSERT_TRUE(extent.ok()) << extent.status();
  EXPECT_TRUE(extent->is_complete);
  EXPECT_EQ(extent->end, frame.size());
}

TEST_F(ZstdFrameTest, TruncatedFrameEndsAfterLastCompleteBlock) {
  for (const bool compressible : {false, true}) {
    const std::string frame =
        MakeFrame(MakeText(900, compressible), {true, false, true});
    WriteFile(path_, frame);
    absl::StatusOr<SegmentFile> file = SegmentFile::Open(path_, O_RDONLY);
    ASSERT_TRUE(file.ok());
    uint64_t last_end = 0;
    size_t ends = 0;
    for (uint64_t limit = 0; limit < frame.size(); ++limit) {
      const auto extent = ParseFrameExtent(*file, 0, limit);
      ASSERT_TRUE(extent.ok()) << extent.status();
      ASSERT_FALSE(extent->is_complete);
      ASSERT_LE(extent->end, limit);
      ASSERT_GE(extent->end, last_end);
      if (extent->end != last_end) ++ends;
      last_end = extent->end;
      const uint64_t after_header = limit - extent->end;
      const bool is_raw = !compressible && ends > 0 && ends < 4;
      ASSERT_EQ(extent->truncated_raw_bytes,
                is_raw && after_header > 3 ? after_header - 3 : 0)
          << limit;
    }
    // One end each of the header and of three blocks.
    EXPECT_EQ(ends, 4u);
    EXPECT_EQ(last_end, frame.size() - 4);
  }
}

TEST_F(ZstdFrameTest, InvalidFrameIsDataLoss) {
  const std::string frame = MakeFrame("text\n", {});
  for (uint64_t offset = 1; offset <= 3; ++offset) {
    EXPECT_EQ(Parse(frame + "xxxxx", offset, frame.size()).status().code(),
              absl::StatusCode::kDataLoss);
  }
  std::string bad = frame;
  bad[4] |= 8;  // The reserved bit of the descriptor.
  EXPECT_EQ(Parse(bad, 0, bad.size()).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(ZstdFrameTest, FileShorterThanLimitIsAnError) {
  const std::string frame = MakeFrame(MakeText(900, true), {});
  EXPECT_FALSE(Parse(frame.substr(0, 6), 0, frame.size()).ok());
}

// Invariants checked, for damaged headers: parsing ends, within the limit, and
// the end of a complete frame is the one that libzstd finds.
TEST_F(ZstdFrameTest, DamagedHeadersStayWithinLimit) {
  std::mt19937_64 random(TestSeed());
  const std::string frame = MakeFrame(MakeText(600, true), {true, false, true});
  for (int i = 0; i < 3000; ++i) {
    std::string bad = frame;
    for (uint64_t n = random() % 3 + 1; n > 0; --n) {
      bad[4 + random() % (bad.size() - 4)] ^= static_cast<char>(random());
    }
    const auto extent = Parse(bad, 0, bad.size());
    if (!extent.ok()) continue;
    ASSERT_LE(extent->end, bad.size());
    const size_t oracle = ZSTD_findFrameCompressedSize(bad.data(), bad.size());
    if (!ZSTD_isError(oracle)) {
      ASSERT_TRUE(extent->is_complete);
      ASSERT_EQ(extent->end, oracle);
    }
  }
}

TEST(SkippableMagicTest, SixteenMagicsAreSkippable) {
  for (uint32_t low = 0; low < 16; ++low) {
    EXPECT_TRUE(IsSkippableMagic(0x184D2A50 + low));
  }
  EXPECT_FALSE(IsSkippableMagic(0x184D2A4F));
  EXPECT_FALSE(IsSkippableMagic(0x184D2A60));
  EXPECT_FALSE(IsSkippableMagic(kZstdFrameMagic));
}

}  // namespace
}  // namespace ringlog
