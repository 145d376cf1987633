#include "ringlog/testing/harness/long_mode.h"

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

ABSL_FLAG(bool, long, false,
          "Do all of it: minutes to hours, instead of seconds");

namespace ringlog {

bool IsLongMode() { return absl::GetFlag(FLAGS_long); }

}  // namespace ringlog

int main(int argc, char** argv) {
  ::testing::InitGoogleMock(&argc, argv);
  absl::ParseCommandLine(argc, argv);
  return RUN_ALL_TESTS();
}
