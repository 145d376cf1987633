// A sink with a fallback directory, whose first directory a test can block.

#ifndef RINGLOG_LOGSINK_FALLBACK_TEST_FIXTURE_H_
#define RINGLOG_LOGSINK_FALLBACK_TEST_FIXTURE_H_

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {

// The fixture of the fallback tests.
class FallbackFixture : public ::testing::Test {
 protected:
  // Rings have a directory of their own, which is never blocked.
  FallbackFixture() {
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
    options_.directory = base_ + "/first";
    options_.fallback_directory = base_ + "/second";
    options_.ring_directory = base_ + "/rings";
    options_.flush_interval = absl::Milliseconds(1);
  }

  // Renames the first directory, and gives its name to a file. Does both at
  // once, because a flusher could create the directory in between.
  void Block() const {
    if (!std::filesystem::exists(options_.directory)) {
      WriteFile(options_.directory, "a file");
      return;
    }
    const std::string moved = Moved().back();
    WriteFile(moved, "a file");
    ASSERT_EQ(renameat2(AT_FDCWD, options_.directory.c_str(), AT_FDCWD,
                        moved.c_str(), RENAME_EXCHANGE),
              0);
  }
  // Deletes that file. The next segment creates an empty directory.
  void Unblock() const { std::filesystem::remove(options_.directory); }

  // Returns the directories that have segments: the renamed ones, the first
  // one, and the fallback directory.
  std::vector<std::string> Directories() const {
    std::vector<std::string> all = Moved();
    all.back() = options_.directory;
    all.push_back(options_.fallback_directory);
    const auto has_none = [](const std::string& path) {
      return !std::filesystem::is_directory(path) ||
             FilesIn(path, ".zst").empty();
    };
    all.erase(std::remove_if(all.begin(), all.end(), has_none), all.end());
    return all;
  }
  std::vector<std::string> Rings() const {
    return FilesIn(options_.ring_directory, ".ring");
  }

  void Open() {
    auto sink = RingLogSink::Create(options_);
    ASSERT_TRUE(sink.ok()) << sink.status();
    sink_ = *std::move(sink);
  }
  // Logs to sink_ only.
  void Log(absl::string_view text) {
    LOG(INFO).ToSinkOnly(sink_.get()) << text;
  }
  void WaitForFallback() {
    WaitUntil([this] { return sink_->uses_fallback(); });
  }
  void WaitForReturn() {
    WaitUntil([this] { return !sink_->uses_fallback(); });
  }
  // Waits until `records` records are written, so that a test can read them.
  void WaitUntilWritten(uint64_t records) {
    WaitUntil([this, records] {
      return sink_->counters().written_records >= records;
    });
  }

  // Returns the texts of all records in the segments of `directory`.
  static std::vector<std::string> TextsIn(const std::string& directory) {
    std::vector<std::string> texts;
    for (const std::string& path : FilesIn(directory, ".zst")) {
      // The segment may still be open.
      const std::string text = Decompress(path);
      for (absl::string_view line :
           absl::StrSplit(text, '\n', absl::SkipEmpty())) {
        texts.emplace_back(TextOfLine(line));
      }
    }
    return texts;
  }

  const std::string base_ = MakeTestDirectory();
  RingLogSinkOptions options_;
  std::unique_ptr<RingLogSink> sink_;

 private:
  // Returns the names that the first directory got so far, and the next one.
  std::vector<std::string> Moved() const {
    std::vector<std::string> moved;
    do {
      moved.push_back(absl::StrCat(base_, "/moved", moved.size()));
    } while (std::filesystem::exists(moved.back()));
    return moved;
  }
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_FALLBACK_TEST_FIXTURE_H_
