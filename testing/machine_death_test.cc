// Recovers rings and segments as the death of a machine may leave them: each
// page, or each sector, of a file has its content of one of two moments. Bytes
// of a segment that were synced are complete.
//
// Invariants checked, before and after the recovery:
//   - Each record was logged, is found once, and is in order.
//   - With `sync`, each record whose segment was synced is found.
//
// Oracle: the list of logged records, the moments at which they were synced,
// and libzstd. Prints its seed.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/compress/segment/skipped_region.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/fixtures/other_boot.h"
#include "ringlog/testing/fixtures/read_records.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/sanitizer.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"
#include "ringlog/tools/decode/decode.h"
#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {
namespace {

using ::testing::IsEmpty;

constexpr int kImages = kHasSanitizer ? 200 : 1000;
constexpr int kImagesInLongMode = 100000;
constexpr int kActions = 120;
constexpr size_t kPageBytes = 4096;
constexpr size_t kSectorBytes = 512;

// The content of the files at one moment, and the part of it that was synced.
struct Moment {
  std::string ring;
  std::map<std::string, std::string> segments;  // by name
  std::map<std::string, size_t> synced_bytes;   // by name
  int synced_records = 0;
};

class MachineDeathTest : public ::testing::TestWithParam<bool> {
 protected:
  uint64_t UpTo(uint64_t most) { return random_() % (most + 1); }
  static bool sync() { return GetParam(); }

  // Runs a process that logs and writes segments. Stores a Moment after each of
  // its steps.
  void Record() {
    ScriptedProcess::Options options = ScriptedProcess::DefaultOptions();
    options.ring.slot_count = 32;
    options.ring.head_bytes = 64;
    options.ring.body_bytes = 160;
    options.frame_bytes = 800;
    options.sync = sync();
    options.after_step = [this](Step step) { StoreMoment(step); };
    ScriptedProcess process(directory_, options);
    process_ = &process;
    StoreMoment(Step::kAppend);
    for (int i = 0; i < kActions; ++i) {
      for (uint64_t n = UpTo(6); n > 0; --n) Log();
      if (UpTo(2) == 0) continue;
      process.Flush();
      if (process.segment_bytes() >= 3000) process.EndSegment();
    }
    process_ = nullptr;
  }

  void Log() {
    std::string text = absl::StrCat(logged_.size(), " ");
    text.resize(text.size() + UpTo(UpTo(5) == 0 ? 1000 : 60),
                static_cast<char>('a' + logged_.size() % 26));
    if (process_->Log(text) == Ring::AppendResult::kAppended) {
      logged_.push_back(text);
    }
  }

  void StoreMoment(Step step) {
    Moment now;
    if (!moments_.empty()) {
      now.synced_bytes = moments_.back().synced_bytes;
      now.synced_records = moments_.back().synced_records;
    }
    now.ring = WithOtherBootId(ReadFile(process_->ring_path()));
    for (const std::string& path : FilesIn(directory_, ".log.zst")) {
      now.segments[std::filesystem::path(path).filename()] = ReadFile(path);
    }
    if (step == Step::kSync) {
      now.synced_records = static_cast<int>(process_->written());
      for (const auto& [name, content] : now.segments) {
        now.synced_bytes[name] = content.size();
      }
    }
    moments_.push_back(std::move(now));
  }

  // Returns `newer` with some of its units replaced by those of `older`. Units
  // after the end of `older` become zeros. The first `synced` bytes stay.
  std::string Tear(const std::string& newer, const std::string& older,
                   size_t synced) {
    const size_t unit = UpTo(1) == 0 ? kPageBytes : kSectorBytes;
    std::string image = newer;
    for (size_t at = synced / unit * unit; at < image.size(); at += unit) {
      if (UpTo(1) == 0) continue;
      for (size_t i = std::max(at, synced);
           i < std::min(at + unit, image.size()); ++i) {
        image[i] = i < older.size() ? older[i] : '\0';
      }
    }
    // A file system writes the length of a file independently of its pages.
    if (UpTo(3) == 0) image.resize(synced + UpTo(image.size() - synced));
    return image;
  }

  // Writes the files of a machine that dies at moment `at`.
  void WriteImage(size_t at, const std::string& directory) {
    const Moment& now = moments_[at];
    const Moment& before = moments_[at - std::min<size_t>(at, UpTo(60))];
    for (const auto& [name, content] : now.segments) {
      const auto synced = now.synced_bytes.find(name);
      const bool is_synced = synced != now.synced_bytes.end();
      // Without `sync`, the directory entry may be missing.
      if (!sync() && before.segments.count(name) == 0 && UpTo(1) == 0) continue;
      const auto older = before.segments.find(name);
      WriteFile(
          absl::StrCat(directory, "/", name),
          Tear(content, older == before.segments.end() ? "" : older->second,
               is_synced ? synced->second : 0));
    }
    std::string ring = now.ring;
    const size_t unit = UpTo(1) == 0 ? kPageBytes : kSectorBytes;
    for (size_t i = 0; i < ring.size(); i += unit) {
      if (UpTo(1) == 0) ring.replace(i, unit, before.ring, i, unit);
    }
    WriteFile(directory + "/" + ring_name_, ring);
  }

  // Returns the number of the record with this text.
  int NumberOf(absl::string_view text) {
    int number = -1;
    EXPECT_TRUE(absl::SimpleAtoi(text.substr(0, text.find(' ')), &number) &&
                number >= 0 && static_cast<size_t>(number) < logged_.size() &&
                text == logged_[static_cast<size_t>(number)])
        << text;
    return number;
  }

  // Returns the numbers of the records that `ringlog cat` prints.
  std::vector<int> Read(const std::string& directory) {
    std::vector<int> numbers;
    DecodeSink sink;
    sink.on_record = [&](const DecodedRecord& decoded) {
      if (decoded.gap == nullptr) {
        numbers.push_back(NumberOf(decoded.record.text));
      }
      return true;
    };
    Decode({directory}, sink);
    return numbers;
  }

  // Returns the records of a segment. Without `sync`, omits those from the
  // first frame on that the reader marks as unverified: a torn frame may look
  // open, and no checksum covers an open frame.
  static std::vector<std::string> VerifiedRecords(const std::string& path) {
    auto reader = SegmentReader::Open(path);
    if (!reader.ok()) return {};
    std::vector<std::string> records = ReadRecords(reader->get());
    if (sync()) return records;
    for (const SkippedRegion& region : (*reader)->skipped()) {
      if (!region.has_unverified_records()) continue;
      auto verified = SegmentReader::Open(path, region.unverified_begin);
      return verified.ok() ? ReadRecords(verified->get())
                           : std::vector<std::string>();
    }
    return records;
  }

  // Recovers the directory, and returns the numbers of the records in its
  // segments.
  std::vector<int> Recover(const std::string& directory) {
    const RecoveredLeftovers recovery = RecoverLeftovers(directory, directory);
    EXPECT_THAT(recovery.errors, IsEmpty());
    EXPECT_THAT(FilesIn(directory, ".ring"), IsEmpty());
    std::vector<int> numbers;
    for (const std::string& path : FilesIn(directory, ".log.zst")) {
      for (const std::string& lines : VerifiedRecords(path)) {
        if (lines[0] == 'W') continue;  // a gap
        numbers.push_back(NumberOf(TextOfLine(absl::StripSuffix(lines, "\n"))));
      }
    }
    return numbers;
  }

  void ExpectOnceAndInOrder(const std::vector<int>& numbers, size_t synced) {
    for (size_t i = 1; i < numbers.size(); ++i) {
      ASSERT_LT(numbers[i - 1], numbers[i]);
    }
    ASSERT_GE(numbers.size(), synced);
    for (size_t i = 0; i < synced; ++i) {
      ASSERT_EQ(numbers[i], static_cast<int>(i));
    }
    found_ += numbers.size();
  }

  void ExpectNoLossAt(size_t at) {
    const std::string directory = MakeTestDirectory();
    WriteImage(at, directory);
    const auto synced = static_cast<size_t>(moments_[at].synced_records);
    synced_ += synced;
    // Without `sync`, a torn block without a checksum may be among the records.
    if (sync()) ExpectOnceAndInOrder(Read(directory), synced);
    ASSERT_FALSE(HasFailure()) << directory << ", before recovery";
    ExpectOnceAndInOrder(Recover(directory), synced);
    ASSERT_FALSE(HasFailure()) << directory;
    std::filesystem::remove_all(directory);
  }

  std::mt19937_64 random_{TestSeed()};
  const std::string directory_ = MakeTestDirectory();
  ScriptedProcess* process_ = nullptr;
  std::string ring_name_;
  std::vector<Moment> moments_;
  std::vector<std::string> logged_;
  size_t synced_ = 0;
  size_t found_ = 0;
};

INSTANTIATE_TEST_SUITE_P(, MachineDeathTest, ::testing::Bool(),
                         [](const auto& mode) {
                           return std::string(mode.param ? "Synced"
                                                         : "NotSynced");
                         });

TEST_P(MachineDeathTest, LosesNoSyncedRecordAndDoublesNone) {
  Record();
  ring_name_ =
      std::filesystem::path(FilesIn(directory_, ".ring")[0]).filename();
  const int images = IsLongMode() ? kImagesInLongMode : kImages;
  for (int i = 0; i < images; ++i) {
    ExpectNoLossAt(UpTo(moments_.size() - 1));
    ASSERT_FALSE(HasFailure()) << "image " << i;
  }
  std::cout << images << " images of " << moments_.size() << " moments, "
            << synced_ << " records synced, " << found_ << " found"
            << std::endl;
  EXPECT_EQ(synced_ > 0, sync());
}

}  // namespace
}  // namespace ringlog
