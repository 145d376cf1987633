// Tests recovery of a ring file after machine death: each page, or each sector,
// has its content of one of two moments.
//
// Invariant checked: every recovered record was logged, is at its position, is
// intact, and is recovered once. Other records may be missing.
//
// Segments are not part of this test, because no checksum covers the blocks of
// an open frame.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

constexpr int kImages = 20000;
constexpr int kImagesInLongMode = 1000000;
constexpr size_t kPageBytes = 4096;
constexpr size_t kSectorBytes = 512;

class TornPageTest : public ::testing::Test {
 protected:
  uint64_t UpTo(uint64_t most) { return random_() % (most + 1); }

  // Logs to a ring and persists its records. Keeps the bytes of the file after
  // each of `actions` actions.
  void Record(int actions) {
    RingOptions options;
    options.slot_count = 64;
    options.head_bytes = 40;
    options.body_bytes = 300;
    auto ring = Ring::Create(MakeTestDirectory() + "/a.ring", options);
    ASSERT_TRUE(ring.ok()) << ring.status();
    for (int i = 0; i < actions; ++i) {
      switch (UpTo(4)) {
        case 0:
          for (uint64_t n = UpTo(8); n > 0 && (*ring)->Take(); --n) {
          }
          break;
        case 1:
          (*ring)->PublishCursor((*ring)->take_position(),
                                 absl::StrCat("state ", i));
          (*ring)->Release();
          break;
        default:
          Append(ring->get());
          break;
      }
      moments_.push_back(ReadFile((*ring)->path()));
    }
  }

  void Append(Ring* ring) {
    const uint64_t position = ring->tail_position();
    std::string text = absl::StrCat("text ", logged_.size(), " ");
    text.resize(text.size() + UpTo(1200),
                static_cast<char>('a' + logged_.size() % 26));
    if (ring->Append(Severity::kInfo, "head", text) ==
        Ring::AppendResult::kAppended) {
      logged_[position] = std::move(text);
    }
  }

  // Returns a file in which each unit has its content of one of two moments.
  std::string Tear() {
    const size_t last = moments_.size() - 1;
    const size_t newer = UpTo(last);
    const size_t older = newer - std::min<size_t>(newer, UpTo(40));
    const size_t unit = UpTo(1) == 0 ? kPageBytes : kSectorBytes;
    std::string image = moments_[newer];
    for (size_t at = 0; at < image.size(); at += unit) {
      if (UpTo(1) == 0) image.replace(at, unit, moments_[older], at, unit);
    }
    return image;
  }

  void ExpectOnlyLoggedRecords(const std::string& image, RecoverFrom from) {
    const auto ring = RecoverRing(image, from);
    ASSERT_TRUE(ring.ok()) << ring.status();
    uint64_t next = 0;
    for (const RecoveredRecord& record : ring->records) {
      ASSERT_GE(record.position, next);
      next = record.position + record.slot_count;
      ASSERT_EQ(record.head, "head");
      const auto logged = logged_.find(record.position);
      ASSERT_NE(logged, logged_.end()) << record.position;
      ASSERT_EQ(record.body, logged->second);
      ++records_;
    }
    gaps_ += ring->gaps.size();
  }

  std::mt19937_64 random_{TestSeed()};
  std::vector<std::string> moments_;
  std::map<uint64_t, std::string> logged_;  // texts by position
  uint64_t records_ = 0;
  uint64_t gaps_ = 0;
};

TEST_F(TornPageTest, NoRecordIsWrongOrRepeated) {
  Record(2000);
  const int images = IsLongMode() ? kImagesInLongMode : kImages;
  for (int i = 0; i < images; ++i) {
    const std::string image = Tear();
    ExpectOnlyLoggedRecords(image, RecoverFrom::kEverything);
    ExpectOnlyLoggedRecords(image, RecoverFrom::kCursor);
    ASSERT_FALSE(HasFailure()) << "image " << i;
  }
  std::cout << images << " images, " << records_ << " records, " << gaps_
            << " gaps" << std::endl;
  EXPECT_GT(records_, 0u);
  EXPECT_GT(gaps_, 0u);
}

}  // namespace
}  // namespace ringlog
