#include "ringlog/testing/harness/test_seed.h"

#include <cstdlib>
#include <iostream>
#include <random>

#include "absl/strings/numbers.h"
#include "gtest/gtest.h"

namespace ringlog {

uint64_t TestSeed() {
  uint64_t seed = std::random_device{}();
  if (const char* const given = std::getenv("TEST_RANDOM_SEED")) {
    EXPECT_TRUE(absl::SimpleAtoi(given, &seed))
        << "read TEST_RANDOM_SEED: \"" << given << "\" is not a number";
  }
  std::cout << "TEST_RANDOM_SEED=" << seed << std::endl;
  return seed;
}

}  // namespace ringlog
