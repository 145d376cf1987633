// Where a randomized test begins, so that a failure can be repeated.

#ifndef RINGLOG_TESTING_HARNESS_TEST_SEED_H_
#define RINGLOG_TESTING_HARNESS_TEST_SEED_H_

#include <cstdint>

namespace ringlog {

// Prints and returns the environment variable TEST_RANDOM_SEED; without it,
// another number each time. `bazel test --test_env=TEST_RANDOM_SEED=N` repeats
// what printed N. Bazel sets it itself for --runs_per_test. A value that is no
// number fails the test.
uint64_t TestSeed();

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_TEST_SEED_H_
