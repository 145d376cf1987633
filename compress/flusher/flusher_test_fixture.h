// Fixture of a ring with a flusher.

#ifndef RINGLOG_COMPRESS_FLUSHER_FLUSHER_TEST_FIXTURE_H_
#define RINGLOG_COMPRESS_FLUSHER_FLUSHER_TEST_FIXTURE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/recovery/background_recovery.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {

// Timeout that only a failing test reaches.
inline constexpr absl::Duration kLong = absl::Seconds(60);

class FlusherFixture : public ::testing::Test {
 protected:
  void MakeRing(uint64_t slot_count,
                OverflowPolicy overflow = OverflowPolicy::kBlock) {
    RingOptions options;
    options.slot_count = slot_count;
    options.overflow = overflow;
    options.block_deadline = kLong;
    options.program = "program";
    options.host = "host";
    options.first_position = (uint64_t{1} << 32) - 7;
    auto ring = Ring::CreateIn(directory_, RingFileName, options);
    ASSERT_TRUE(ring.ok()) << ring.status();
    ring_ = *std::move(ring);
  }

  FlusherOptions Options() {
    FlusherOptions options;
    options.directory = directory_;
    options.flush_interval = absl::Milliseconds(20);
    return options;
  }

  static std::unique_ptr<Flusher> StartFlusher(
      Ring* ring, const FlusherOptions& options,
      BackgroundRecovery* recovery = nullptr) {
    auto flusher = Flusher::Start(ring, options, recovery);
    EXPECT_TRUE(flusher.ok()) << flusher.status();
    return *std::move(flusher);
  }

  void Append(absl::string_view text, int64_t thread_id = 1) {
    Record record;
    record.time_ns = kTestTimeNs + 123456789;
    record.thread_id = thread_id;
    record.file = "dir/file.cc";
    record.line = 42;
    record.text = text;
    LogRecord(record, ring_.get());
  }

  // Returns the texts of the records, which must have one line each.
  std::vector<std::string> Texts() { return TextsIn(directory_); }

  const std::string directory_ = MakeTestDirectory();
  std::unique_ptr<Ring> ring_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_FLUSHER_TEST_FIXTURE_H_
