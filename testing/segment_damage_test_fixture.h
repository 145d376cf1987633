// A segment to damage, and the output of `ringlog cat` for it.

#ifndef RINGLOG_TESTING_SEGMENT_DAMAGE_TEST_FIXTURE_H_
#define RINGLOG_TESTING_SEGMENT_DAMAGE_TEST_FIXTURE_H_

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <iostream>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/testing/fixtures/sample_segment.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"
#include "ringlog/tools/decode/decode.h"
#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {

inline constexpr uint64_t kSampleSeed = 20261124;
inline constexpr size_t kFrameCount = 10;
inline constexpr size_t kFrameBytes = 400;

// The parameter is the format of the lines.
class SegmentDamageFixture : public ::testing::TestWithParam<LineFormat> {
 protected:
  using Frame = SampleSegment::Frame;

  SegmentDamageFixture()
      : sample_(MakeSampleSegment(GetParam(), kFrameCount, kSampleSeed,
                                  kFrameBytes)),
        path_(absl::StrCat(
            MakeTestDirectory(),
            "/server.host.20261124-034019.1.01020300.000001.",
            GetParam() == LineFormat::kText ? "log.zst" : "jsonl.zst")),
        random_(TestSeed()) {}

  ~SegmentDamageFixture() override {
    std::cout << cases_ << " cases, " << lost_ << " of them lost a frame"
              << std::endl;
  }

  // Decodes a file of `bytes` like `ringlog cat`.
  void Cat(const std::string& bytes) {
    // Makes a new file each time, because ext4 writes an emptied and rewritten
    // file to the disk at once.
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

  // Returns true if a message has a range of bytes that includes `at`.
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

  // Returns true if a message contains `words`.
  bool HasMessage(absl::string_view words) const {
    for (const std::string& message : messages_) {
      if (absl::StrContains(message, words)) return true;
    }
    return false;
  }

  // Returns true if a message marks records in bytes from `begin` on as
  // unverified.
  bool IsMarkedUnverified(uint64_t begin) const {
    for (const std::string& message : messages_) {
      if (absl::StartsWith(message, absl::StrCat("[", begin, "..")) &&
          absl::StrContains(message, "unverified")) {
        return true;
      }
    }
    return false;
  }

  // Returns the index of the frame that includes the byte at `at`; kFrameCount
  // if no frame does.
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

  const SampleSegment sample_;
  const std::string path_;
  std::mt19937_64 random_;
  uint64_t cases_ = 0;
  uint64_t lost_ = 0;
  std::string text_;
  std::vector<std::string> messages_;
  int exit_status_ = 0;
};

// The name of a test's parameter, for INSTANTIATE_TEST_SUITE_P.
inline std::string FormatName(
    const ::testing::TestParamInfo<LineFormat>& tested) {
  return tested.param == LineFormat::kText ? "Text" : "Json";
}

}  // namespace ringlog

#endif  // RINGLOG_TESTING_SEGMENT_DAMAGE_TEST_FIXTURE_H_
