// Processes of one directory recover each other's rings while they log and
// rotate, and are killed at random moments.
//
// Invariants checked:
//   - Each acknowledged record is in the log once.
//   - A reader that decodes the directory meanwhile finds each acknowledged
//     record once.
//   - The last process recovers the rings of all others.
//
// Oracle: a page that all processes share, and libzstd. Prints its seed.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/config.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/flusher/flusher_options.h"
#include "ringlog/compress/flusher/flusher_test_fixture.h"
#include "ringlog/compress/recovery/background_recovery.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/fixtures/decode_all.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/shared_page.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

using ::testing::IsEmpty;

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
constexpr size_t kLives = 20;  // each fork copies the shadow memory
#else
constexpr size_t kLives = 60;
#endif
constexpr size_t kLivesInLongMode = 10000;
constexpr size_t kAtOnce = 6;
// On average, the test reads the directory once in this number of kills.
constexpr uint64_t kKillsPerRead = 16;
constexpr int kMaxRecords = 3000;  // of one life

using Acknowledged = std::array<std::atomic<int>, kLivesInLongMode>;

void Sleep(uint64_t microseconds) {
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
}

class MutualRecoveryTest : public FlusherFixture {
 protected:
  [[noreturn]] void Live(size_t life, uint64_t seed) {
    std::mt19937_64 random(seed);
    MakeRing(64);
    FlusherOptions options = Options();
    options.flush_interval = absl::Milliseconds(1);
    options.rotation.max_segment_bytes = 600;
    options.sync = random() % 5 == 0;
    options.sync_interval = absl::Milliseconds(1);
    BackgroundRecovery::Options recovery_options;
    recovery_options.directories = {{directory_, directory_}};
    recovery_options.interval = absl::Microseconds(200);
    BackgroundRecovery recovery(recovery_options);
    const auto flusher = StartFlusher(ring_.get(), options, &recovery);
    for (int i = 0; i < kMaxRecords; ++i) {
      Append(absl::StrCat(life, ".", i));
      (*acknowledged_)[life] = i + 1;
      if (random() % 8 == 0) Sleep(random() % 500);
      if (random() % 64 == 0) flusher->Rotate(kLong).IgnoreError();
    }
    for (;;) pause();
  }

  // Kills a process. Waits for its death in half of the cases. In the others,
  // the next process starts while this one dies.
  void KillOne(pid_t process) {
    if (process == 0) return;
    kill(process, SIGKILL);
    if (random_() % 2 == 0) waitpid(process, nullptr, 0);
  }

  std::vector<int> AcknowledgedNow() const {
    return {acknowledged_->begin(), acknowledged_->end()};
  }

  // The first lives may be killed before they log.
  bool AnyAcknowledged() const {
    return std::any_of(acknowledged_->begin(), acknowledged_->end(),
                       [](const std::atomic<int>& count) { return count > 0; });
  }

  // Waits until `life` has logged and no other ring is left. Returns false
  // after a minute.
  bool WaitForOneRing(size_t life) const {
    const absl::Time deadline = absl::Now() + absl::Minutes(1);
    while ((*acknowledged_)[life] == 0 ||
           FilesIn(directory_, ".ring").size() != 1) {
      if (absl::Now() > deadline) return false;
      Sleep(1000);
    }
    return true;
  }

  // Checks that `texts` has each acknowledged record, and no record twice.
  void ExpectOnce(const std::vector<int>& acknowledged,
                  const std::vector<std::string>& texts) {
    std::map<std::string, int> found;
    for (const std::string& text : texts) {
      // The second line of a gap begins with another character.
      if (absl::ascii_isdigit(static_cast<unsigned char>(text[0]))) {
        ++found[text];
      }
    }
    for (const auto& [text, count] : found) ASSERT_EQ(count, 1) << text;
    for (size_t life = 0; life < acknowledged.size(); ++life) {
      for (int i = 0; i < acknowledged[life]; ++i) {
        ASSERT_EQ(found.count(absl::StrCat(life, ".", i)), 1u)
            << life << "." << i;
      }
    }
  }

  // Checks the records that `ringlog cat` would print now.
  void ReadAndCheck() {
    const std::vector<int> acknowledged = AcknowledgedNow();
    const Decoded decoded = DecodeAll({directory_});
    EXPECT_THAT(decoded.damage, IsEmpty());
    EXPECT_THAT(decoded.unusable, IsEmpty());
    ExpectOnce(acknowledged, decoded.texts);
    ++reads_;
  }

  std::mt19937_64 random_{TestSeed()};
  SharedPage<Acknowledged> acknowledged_;
  uint64_t reads_ = 0;
};

TEST_F(MutualRecoveryTest, LosesAndDoublesNoRecord) {
  const size_t lives = Repetitions(kLives, kLivesInLongMode);
  ASSERT_LE(lives, kLivesInLongMode) << "--count is too large";
  std::array<pid_t, kAtOnce> processes = {};
  pid_t last = 0;
  for (size_t life = 0; life < lives; ++life) {
    pid_t* const process = &processes[random_() % kAtOnce];
    KillOne(*process);
    const uint64_t seed = random_();
    *process = fork();
    if (*process == 0) Live(life, seed);
    ASSERT_GT(*process, 0);
    last = *process;
    if (random_() % kKillsPerRead == 0 && AnyAcknowledged()) {
      ASSERT_NO_FATAL_FAILURE(ReadAndCheck()) << directory_;
    } else {
      Sleep(random_() % 40000);
    }
  }
  const size_t rings = FilesIn(directory_, ".ring").size();
  for (const pid_t process : processes) {
    if (process != 0 && process != last) kill(process, SIGKILL);
  }
  EXPECT_TRUE(WaitForOneRing(lives - 1)) << FilesIn(directory_, ".ring").size();
  kill(last, SIGKILL);
  while (waitpid(-1, nullptr, 0) > 0) {
  }
  EXPECT_THAT(RecoverLeftovers(directory_, directory_).errors, IsEmpty());
  const std::vector<std::string> texts = Texts();
  ExpectOnce(AcknowledgedNow(), texts);
  std::cout << lives << " lives, " << texts.size() << " records, "
            << FilesIn(directory_, ".log.zst").size() << " segments, " << reads_
            << " reads, " << rings << " rings before the last kills"
            << std::endl;
}

}  // namespace
}  // namespace ringlog
