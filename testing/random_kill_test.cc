// A program is started in a directory, logs, and is killed with SIGKILL at a
// random moment; and again, in the same directory, so that the kills also come
// while it recovers what the kill before has left. In the end everything is
// there that it was told was logged.
//
// The oracle: counters in a page that parent and child share, and zstd's own
// decoder.

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <numeric>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/config.h"
#include "absl/base/log_severity.h"
#include "absl/log/check.h"
#include "absl/log/globals.h"
#include "absl/log/initialize.h"
#include "absl/log/log.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/leftover.h"
#include "ringlog/compress/segment_format.h"
#include "ringlog/compress/segment_writer.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/testing/long_mode.h"
#include "ringlog/testing/read_segments.h"
#include "ringlog/testing/shared_page.h"
#include "ringlog/testing/test_seed.h"

namespace ringlog {
namespace {

using ::testing::IsEmpty;

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
constexpr uint64_t kKills = 200;  // each fork copies the shadow
#else
constexpr uint64_t kKills = 2000;
#endif
constexpr uint64_t kKillsInLongMode = 100000;
constexpr uint64_t kLivesInADirectory = 10;
constexpr uint64_t kMaxThreads = 16;

// What one process knew, in a page that outlives it.
struct Life {
  std::atomic<bool> is_installing{false};
  std::atomic<bool> has_recovered{false};
  std::array<std::atomic<uint64_t>, kMaxThreads> acknowledged = {};
};
using Lives = std::array<Life, kLivesInADirectory>;

// How long it is says something about what it has to be.
std::string TextOf(uint64_t life, uint64_t thread, uint64_t number) {
  std::string text =
      absl::StrCat("life ", life, " thread ", thread, " number ", number, " ");
  const uint64_t hash = (life * 31 + thread * 17 + number) * 2654435761 % 4096;
  // A few of several slots, many of one.
  text.resize(text.size() + (hash < 400 ? hash * 5 : hash / 32), '~');
  return text;
}

[[noreturn]] void Live(const std::string& directory, uint64_t number,
                       uint64_t threads, Life* life) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
  absl::InitializeLog();
  RingLogSinkOptions options;
  options.directory = directory;
  options.ring_bytes = 64 << 10;
  options.overflow = OverflowPolicy::kBlock;
  options.block_deadline = absl::Minutes(1);
  options.flush_interval = absl::Milliseconds(1);
  options.rotation.max_segment_bytes = 4 << 10;
  life->is_installing = true;
  const auto sink = Install(options);
  CHECK(sink.ok()) << sink.status();
  CHECK(!(*sink)->ring_path().empty());
  std::vector<std::thread> running;
  running.emplace_back([life] {
    WaitForRecovery(absl::InfiniteDuration());
    life->has_recovered = true;
  });
  for (uint64_t t = 0; t < threads; ++t) {
    running.emplace_back([=] {
      for (uint64_t n = 0;; ++n) {
        LOG(INFO) << TextOf(number, t, n);
        life->acknowledged[t].store(n + 1);
      }
    });
  }
  for (;;) pause();
}

// What the kills have caught the processes at.
struct Caught {
  uint64_t before_the_first_record = 0;
  uint64_t recovery = 0;
  uint64_t half_written_record = 0;
  uint64_t open_frame = 0;
  uint64_t rotation = 0;
};

class RandomKillTest : public ::testing::Test {
 protected:
  void NewDirectory() {
    directory_ = MakeTestDirectory();
    lives_.emplace();
  }

  void LiveAndDie(uint64_t number) {
    const std::vector<std::string> leftovers = FilesIn(directory_, ".ring");
    Life* const life = &(**lives_)[number];
    const uint64_t threads = 1 + random_() % kMaxThreads;
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) Live(directory_, number, threads, life);
    // Half of them while it starts and recovers, half while it logs.
    if (random_() % 2 == 0) AwaitRecord(child, *life);
    const uint64_t most = uint64_t{1} << (8 + random_() % 8);
    std::this_thread::sleep_for(std::chrono::microseconds(random_() % most));
    kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
    if (life->is_installing && !life->has_recovered && !leftovers.empty()) {
      ++caught_.recovery;
    }
    LookAtDeath(leftovers, *life);
  }

  // Or for the end of the process, which is told later.
  static void AwaitRecord(pid_t child, const Life& life) {
    siginfo_t info = {};
    while (Acknowledged(life) == 0 && info.si_pid == 0) {
      ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info,
                       WEXITED | WNOHANG | WNOWAIT),
                0);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

  static uint64_t Acknowledged(const Life& life) {
    return std::accumulate(life.acknowledged.begin(), life.acknowledged.end(),
                           uint64_t{0});
  }

  void LookAtDeath(const std::vector<std::string>& leftovers,
                   const Life& life) {
    if (Acknowledged(life) == 0) ++caught_.before_the_first_record;
    for (const std::string& path : FilesIn(directory_, ".ring")) {
      if (std::find(leftovers.begin(), leftovers.end(), path) !=
          leftovers.end()) {
        continue;
      }
      const std::string bytes = ReadFile(path);
      const auto ring = RecoverRing(bytes, RecoverFrom::kCursor);
      ASSERT_TRUE(ring.ok()) << ring.status();
      if (ring->slots.filling > 0) ++caught_.half_written_record;
      const auto cursor = DecodeSegmentCursor(
          absl::string_view(reinterpret_cast<const char*>(ring->cursor.state),
                            sizeof ring->cursor.state));
      if (!cursor.ok() || cursor->segment_number == 0) continue;
      if (cursor->frame_offset < cursor->segment_bytes) ++caught_.open_frame;
      if (cursor->segment_bytes == 0) ++caught_.rotation;
    }
  }

  // All that the lives in the directory have logged, by life and thread.
  void ExpectAllIsThere(uint64_t lives) {
    const LeftoverSweep sweep =
        RecoverLeftovers(directory_, directory_, SegmentWriterOptions());
    ASSERT_THAT(sweep.errors, IsEmpty());
    ASSERT_THAT(FilesIn(directory_, ".ring"), IsEmpty());
    std::array<std::array<uint64_t, kMaxThreads>, kLivesInADirectory> found =
        {};
    for (const std::string& line : AllLines(directory_)) {
      if (line[0] == ' ') {  // what a gap is
        ASSERT_TRUE(absl::StrContains(line, "\"unfinished\"")) << line;
        continue;
      }
      const absl::string_view text =
          absl::string_view(line).substr(line.find("] ") + 2);
      const std::vector<absl::string_view> words = absl::StrSplit(text, ' ');
      if (words[0] == "position" || words[0] == "positions") continue;
      uint64_t life = 0;
      uint64_t thread = 0;
      ASSERT_TRUE(words.size() == 7 && absl::SimpleAtoi(words[1], &life) &&
                  absl::SimpleAtoi(words[3], &thread) && life < lives &&
                  thread < kMaxThreads)
          << line;
      // The next one of its thread: none lost, none twice, in order, unchanged.
      ASSERT_EQ(text, TextOf(life, thread, found[life][thread]));
      ++found[life][thread];
    }
    for (uint64_t life = 0; life < lives; ++life) {
      for (uint64_t thread = 0; thread < kMaxThreads; ++thread) {
        const uint64_t acknowledged = (**lives_)[life].acknowledged[thread];
        ASSERT_GE(found[life][thread], acknowledged) << life << " " << thread;
        ASSERT_LE(found[life][thread], acknowledged + 1);
        records_ += acknowledged;
      }
    }
  }

  std::mt19937_64 random_{TestSeed()};
  std::string directory_;
  std::optional<SharedPage<Lives>> lives_;
  uint64_t records_ = 0;
  Caught caught_;
};

TEST_F(RandomKillTest, LosesAndDoublesNothing) {
  const uint64_t kills = IsLongMode() ? kKillsInLongMode : kKills;
  const auto begin = std::chrono::steady_clock::now();
  for (uint64_t kill = 0; kill < kills; kill += kLivesInADirectory) {
    NewDirectory();
    for (uint64_t life = 0; life < kLivesInADirectory; ++life) {
      LiveAndDie(life);
      if (HasFatalFailure()) return;
    }
    ExpectAllIsThere(kLivesInADirectory);
    // The directory stays, to be looked at.
    ASSERT_FALSE(HasFatalFailure())
        << "before kill " << kill + kLivesInADirectory << " in " << directory_;
    std::filesystem::remove_all(directory_);
  }
  const std::chrono::duration<double> seconds =
      std::chrono::steady_clock::now() - begin;
  std::cout << kills << " kills, "
            << static_cast<double>(kills) / seconds.count() << " a second; "
            << records_
            << " records acknowledged, all of them found. Kills at: recovery "
            << caught_.recovery << ", a half-written record "
            << caught_.half_written_record << ", an open frame "
            << caught_.open_frame << ", a rotation " << caught_.rotation
            << ", before the first record " << caught_.before_the_first_record
            << std::endl;
  // Else it has not looked where it hurts. A few kills may miss some of it.
  if (kills < 2000) return;
  EXPECT_GT(caught_.recovery, 0u);
  EXPECT_GT(caught_.half_written_record, 0u);
  EXPECT_GT(caught_.open_frame, 0u);
  EXPECT_GT(caught_.rotation, 0u);
}

}  // namespace
}  // namespace ringlog
