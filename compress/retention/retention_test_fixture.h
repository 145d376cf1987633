// A fixture for tests of retention with real processes.

#ifndef RINGLOG_COMPRESS_RETENTION_RETENTION_TEST_FIXTURE_H_
#define RINGLOG_COMPRESS_RETENTION_RETENTION_TEST_FIXTURE_H_

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/retention/retention.h"
#include "ringlog/compress/retention/retention_runner.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {

// The ring and the flusher of one process.
class Process {
 public:
  Process(const std::string& directory, const RetentionOptions& retention,
          const std::string& program = "program", bool with_file = true) {
    RingOptions options;
    options.slot_count = 64;
    options.program = program;
    options.host = "host";
    auto ring = with_file ? Ring::CreateIn(directory, RingFileName, options)
                          : Ring::CreateAnonymous(options);
    if (!ring.ok()) abort();
    ring_ = *std::move(ring);
    FlusherOptions flusher;
    flusher.directory = directory;
    flusher.retention = retention;
    auto started = Flusher::Start(ring_.get(), flusher);
    if (!started.ok()) abort();
    flusher_ = *std::move(started);
  }

  void Log(absl::string_view text) {
    Record record;
    record.text = text;
    LogRecord(record, ring_.get());
    if (!flusher_->Flush(kPatience)) abort();
  }
  void Rotate() {
    if (!flusher_->Rotate(kPatience).ok()) abort();
  }
  // Writes segments with one record each; leaves the last one open.
  void LogSegments(int count) {
    for (int i = 0; i < count; ++i) {
      if (i != 0) Rotate();
      Log(absl::StrCat("record ", i));
    }
  }
  // Ends the log like the end of a program.
  void End() {
    if (!flusher_->Stop().ok()) abort();
    unlink(ring_->path().c_str());
  }

 private:
  static constexpr absl::Duration kPatience = absl::Minutes(1);

  std::unique_ptr<Ring> ring_;
  std::unique_ptr<Flusher> flusher_;
};

// Runs `body` in a child process, and waits for its end.
inline void InChild(const std::function<void()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    body();
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(status == 0 || WTERMSIG(status) == SIGKILL) << status;
}

class RetentionFixture : public ::testing::Test {
 protected:
  RetentionRunner Runner() const {
    return RetentionRunner({directory_, directory_, "program"});
  }
  // Deletes the excess files.
  static void Enforce(const RetentionOptions& limits, RetentionRunner* runner) {
    EXPECT_TRUE(runner->Run({limits, kDefaultSegmentMode}, &Never));
  }
  void Enforce(const RetentionOptions& limits) const {
    RetentionRunner runner = Runner();
    Enforce(limits, &runner);
  }
  static bool Never() { return false; }

  static RetentionOptions MaxFiles(uint64_t n) {
    RetentionOptions options;
    options.max_files = n;
    return options;
  }
  static RetentionOptions MaxBytes(uint64_t n) {
    RetentionOptions options;
    options.max_bytes = n;
    return options;
  }
  // Makes closed segments of a process that has ended.
  void MakeSegments(int count) const {
    InChild([&] {
      Process process(directory_, RetentionOptions());
      process.LogSegments(count);
      process.End();
    });
  }
  // Returns the paths of the segments of `program`.
  std::vector<std::string> Segments(const std::string& program) const {
    std::vector<std::string> found;
    for (const std::string& path : FilesIn(directory_, ".log.zst")) {
      if (absl::StrContains(path, absl::StrCat("/", program, "."))) {
        found.push_back(path);
      }
    }
    return found;
  }

  const std::string directory_ = MakeTestDirectory();
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RETENTION_RETENTION_TEST_FIXTURE_H_
