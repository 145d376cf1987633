#include "ringlog/testing/harness/long_mode.h"

#include <cstdint>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

ABSL_FLAG(bool, long, false,
          "Run the long mode: minutes to hours instead of seconds");
ABSL_FLAG(uint64_t, count, 0,
          "Number of repetitions; 0: the test's default for its mode");

namespace ringlog {

bool IsLongMode() { return absl::GetFlag(FLAGS_long); }

uint64_t Repetitions(uint64_t usual, uint64_t in_long_mode) {
  const uint64_t count = absl::GetFlag(FLAGS_count);
  if (count != 0) return count;
  return IsLongMode() ? in_long_mode : usual;
}

}  // namespace ringlog

int main(int argc, char** argv) {
  ::testing::InitGoogleMock(&argc, argv);
  absl::ParseCommandLine(argc, argv);
  return RUN_ALL_TESTS();
}
