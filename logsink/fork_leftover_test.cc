// Kills forked children and second sinks, while other processes of the
// directory live.
//
// Invariants checked:
//   - Each record of a killed child is in a segment once, while its parent
//     lives.
//   - Each record of a killed second sink is in a segment once, after its next
//     start.
//   - Then only the rings of living processes exist.
//   - Retention limits hold.
//
// Oracle: the texts that the test logs, and the decoder.

#include <signal.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/fork_test_fixture.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/testing/fixtures/decode_all.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/wait_until.h"

namespace ringlog {
namespace {

using ::testing::UnorderedElementsAre;
using ::testing::UnorderedElementsAreArray;

constexpr int kChildren = 20, kRecords = 10;

class ForkLeftoverTest : public ForkFixture {
 protected:
  std::unique_ptr<RingLogSink> MustCreate() {
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
    absl::StatusOr<std::unique_ptr<RingLogSink>> sink =
        RingLogSink::Create(options_);
    if (!sink.ok()) _exit(101);
    return *std::move(sink);
  }

  size_t RingCount() const { return FilesIn(directory_, ".ring").size(); }
  uint64_t Bytes() const {
    uint64_t bytes = 0;
    for (const char* suffix : {".ring", ".log.zst"}) {
      for (const std::string& path : FilesIn(directory_, suffix)) {
        std::error_code error;
        const uint64_t size = std::filesystem::file_size(path, error);
        if (!error) bytes += size;
      }
    }
    return bytes;
  }
};

// Forks children that log and are killed. Every second child has written some
// of its records to a segment.
void KillChildren(RingLogSink* sink) {
  for (int c = 0; c < kChildren; ++c) {
    const int status = AwaitChild(StartChild([&] {
      for (int i = 0; i < kRecords; ++i) {
        LOG(INFO) << "child " << c << " " << i;
        if (c % 2 == 0 && i == kRecords / 2) sink->Flush();
      }
      raise(SIGKILL);
    }));
    if (status != SIGKILL) _exit(102);
  }
}

std::vector<std::string> TextsOfChildren() {
  std::vector<std::string> texts;
  for (int c = 0; c < kChildren; ++c) {
    for (int i = 0; i < kRecords; ++i) {
      texts.push_back(absl::StrCat("child ", c, " ", i));
    }
  }
  return texts;
}

// The program does not start again. A second sink of the parent looks for
// leftovers at once, not after a minute.
TEST_F(ForkLeftoverTest, LivingParentRecoversKilledChildren) {
  std::vector<std::string> expected = TextsOfChildren();
  expected.insert(expected.end(), {"before", "after"});
  EXPECT_EQ(RunChild([&] {
              RingLogSink* const sink = MustInstall();
              LOG(INFO) << "before";
              KillChildren(sink);
              if (RingCount() != 1 + kChildren) _exit(1);
              const auto second = MustCreate();
              WaitUntil([&] { return RingCount() == 2; });
              for (const RingLogSink* living : {sink, second.get()}) {
                if (access(living->ring_path().c_str(), F_OK) != 0) _exit(2);
              }
              LOG(INFO) << "after";
              const Decoded decoded = DecodeAll({directory_});
              EXPECT_EQ(decoded.result.exit_status(), 0);
              EXPECT_THAT(decoded.texts, UnorderedElementsAreArray(expected));
              if (::testing::Test::HasFailure()) _exit(3);
            }),
            0);
  EXPECT_EQ(RingCount(), 0u);
  const Decoded decoded = DecodeAll({directory_});
  EXPECT_EQ(decoded.result.exit_status(), 0);
  EXPECT_THAT(decoded.texts, UnorderedElementsAreArray(expected));
}

TEST_F(ForkLeftoverTest, RetentionHoldsForKilledChildren) {
  // The limit permits a few rings, because retention does not delete them
  // before they are recovered.
  options_.rotation.max_segment_bytes = 4 << 10;
  options_.retention.max_bytes = 512 << 10;
  EXPECT_EQ(
      RunChild([&] {
        KillChildren(MustInstall());
        if (Bytes() <= options_.retention.max_bytes) _exit(1);
        const auto second = MustCreate();
        WaitUntil([&] { return Bytes() <= options_.retention.max_bytes; });
        if (RingCount() < 2) _exit(2);
      }),
      0);
  EXPECT_THAT(DecodeAll({directory_}).texts,
              UnorderedElementsAreArray(TextsOfChildren()));
}

// Many short-lived children would each start a recovery and obstruct each
// other.
TEST_F(ForkLeftoverTest, ChildDoesNotRecoverAtStart) {
  EXPECT_EQ(RunChild([&] {
              RingLogSink* const sink = MustInstall();
              for (int c = 0; c < 2; ++c) {
                const int status = AwaitChild(StartChild([&] {
                  LOG(INFO) << "child " << c;
                  // Starts the flusher of the child.
                  sink->Flush();
                  if (HasThread("ringlog-recover")) _exit(1);
                  // If a round was due at once, waits for it.
                  WaitForRecovery(absl::InfiniteDuration());
                  raise(SIGKILL);
                }));
                if (status != SIGKILL) _exit(2);
              }
              if (RingCount() != 3) _exit(3);
            }),
            0);
}

// Install() did not create the second sink.
TEST_F(ForkLeftoverTest, NextSinkRecoversKilledSecondSink) {
  const auto log = [](RingLogSink* sink, const char* text) {
    LOG(INFO).ToSinkOnly(sink) << text;
  };
  EXPECT_EQ(RunChild([&] {
              const auto sink = MustCreate();
              log(sink.get(), "first");
              sink->Flush();
              log(sink.get(), "second");
              raise(SIGKILL);
            }),
            SIGKILL);
  EXPECT_EQ(RingCount(), 1u);
  EXPECT_EQ(RunChild([&] {
              const auto sink = MustCreate();
              WaitUntil([&] { return RingCount() == 1; });
              log(sink.get(), "third");
              if (!sink->Close().ok()) _exit(1);
              if (RingCount() != 0) _exit(2);
            }),
            0);
  const Decoded decoded = DecodeAll({directory_});
  EXPECT_EQ(decoded.result.exit_status(), 0);
  EXPECT_THAT(decoded.texts, UnorderedElementsAre("first", "second", "third"));
}

}  // namespace
}  // namespace ringlog
