// Fixture of a flusher whose system calls may fail.

#ifndef RINGLOG_COMPRESS_FLUSHER_FLUSHER_FAULT_TEST_FIXTURE_H_
#define RINGLOG_COMPRESS_FLUSHER_FLUSHER_FAULT_TEST_FIXTURE_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/flusher/flusher_options.h"
#include "ringlog/compress/flusher/flusher_test_fixture.h"
#include "ringlog/ring/relaxed.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/harness/failing_calls.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {

class FlusherFaultTest : public FlusherFixture {
 protected:
  ~FlusherFaultTest() override { FailingCalls::Get().Set(nullptr); }

  // Starts a flusher and writes two records to the first segment.
  void Start(bool sync = false) {
    MakeRing(64);
    options_ = Options();
    options_.flush_interval = absl::Hours(1);
    options_.sync = sync;
    options_.sync_interval = absl::Hours(1);
    options_.on_write = on_write_;
    flusher_ = StartFlusher(ring_.get(), options_);
    Log("first");
    Log("second");
    struct stat st;
    ASSERT_EQ(stat(Segments()[0].c_str(), &st), 0);
    first_ = st.st_ino;
  }
  void Log(const std::string& text) {
    Append(text);
    ASSERT_TRUE(flusher_->Flush(kLong));
  }
  std::vector<std::string> Segments() const {
    return FilesIn(directory_, ".log.zst");
  }
  // Recovers like the next start of the program. No system call fails.
  void Recover() {
    FailingCalls::Get().Set(nullptr);
    ring_.reset();
    EXPECT_THAT(RecoverLeftovers(directory_, directory_).errors,
                ::testing::IsEmpty());
  }
  uint64_t errors() {
    return LoadRelaxed(&ring_->flusher_counters()->write_errors);
  }

  std::function<void(const absl::Status&)> on_write_;
  std::vector<absl::Status> reported_;
  FlusherOptions options_;
  std::unique_ptr<Flusher> flusher_;
  ino_t first_ = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_FLUSHER_FLUSHER_FAULT_TEST_FIXTURE_H_
