// Death at any instruction of Append() or End() costs at most the current cell,
// and no text that was appended before.

#include <signal.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/crash_area.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/harness/shared_page.h"
#include "ringlog/testing/harness/stepped_process.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr absl::crc32c_t kSeed{0x12345678};
constexpr int32_t kThread = 7;
constexpr int64_t kTime = 1795489439000000000;

struct Memory {
  alignas(kCacheLineBytes) std::array<unsigned char, 1024> bytes = {};
};

TEST(CrashAreaStepTest, DeathAtAnyInstructionKeepsText) {
  const std::string before = "*** SIGBUS received at time=1 ***\n";
  const std::string text = std::string(kCrashTextBytes, 'a') +
                           std::string(kCrashTextBytes, 'b') + "ccc\n";
  SharedPage<Memory> page;
  SteppedProcess process(SteppedProcess::Thread::kMain, [&] {
    const CrashArea area(absl::MakeSpan(page->bytes), kSeed);
    area.Append(kThread, kTime, before);
    SteppedProcess::Freeze();
    SteppedProcess::BeginSteps();
    area.Append(kThread, kTime, text);
    area.End(kThread, kTime);
    SteppedProcess::EndSteps();
  });
  if (!process.Start()) {
    ASSERT_TRUE(absl::StrContains(process.error(), "PTRACE_SEIZE"))
        << process.error();
    GTEST_SKIP() << "no ptrace(2) here";
  }
  std::vector<size_t> sizes;
  int steps = 0;
  bool is_complete = false;
  do {
    ++steps;
    const std::vector<CrashReport> reports = ReadCrashArea(
        absl::string_view(reinterpret_cast<const char*>(page->bytes.data()),
                          page->bytes.size()),
        kSeed);
    ASSERT_THAT(reports, SizeIs(1)) << "after step " << steps;
    const std::string& found = reports[0].text;
    ASSERT_TRUE(absl::StartsWith(before + text, found)) << found;
    ASSERT_TRUE(absl::StartsWith(found, before)) << found;
    ASSERT_EQ(reports[0].signal, SIGBUS);
    ASSERT_TRUE(!is_complete || reports[0].is_complete);
    is_complete = reports[0].is_complete;
    ASSERT_TRUE(!is_complete || found == before + text);
    if (sizes.empty() || sizes.back() != found.size()) {
      sizes.push_back(found.size());
    }
  } while (process.Step());
  ASSERT_EQ(process.error(), "");
  std::cout << steps << " instructions" << std::endl;
  EXPECT_THAT(sizes, ElementsAre(before.size(), before.size() + kCrashTextBytes,
                                 before.size() + 2 * kCrashTextBytes,
                                 before.size() + text.size()));
  EXPECT_TRUE(is_complete);
}

}  // namespace
}  // namespace ringlog
