// The seed of all randomness in a test.

#ifndef RINGLOG_TESTING_HARNESS_TEST_SEED_H_
#define RINGLOG_TESTING_HARNESS_TEST_SEED_H_

#include <cstdint>

namespace ringlog {

// Prints and returns the seed of a test: the environment variable
// TEST_RANDOM_SEED, or a random number if the variable is not set. `bazel test
// --test_env=TEST_RANDOM_SEED=N` repeats the run that printed N; Bazel sets the
// variable for --runs_per_test. The test fails if the value is not a number.
uint64_t TestSeed();

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_TEST_SEED_H_
