// Number of repetitions of tests with random work: a default for every change,
// and a long mode before a release.
//
//     bazel test //testing/kill:random_kill_test --test_arg=--long
//         --test_timeout=86400
//     bazel test //testing/kill:random_kill_test --test_arg=--count=20000
//         --test_timeout=7200
//
// A test that links this library uses its main() instead of gtest_main.

#ifndef RINGLOG_TESTING_HARNESS_LONG_MODE_H_
#define RINGLOG_TESTING_HARNESS_LONG_MODE_H_

#include <cstdint>

namespace ringlog {

// Returns true if the command line has --long. Requires: called from a test.
bool IsLongMode();

// Returns the number of repetitions (kills, lives, files) of a test: the value
// of --count if the command line has it, `in_long_mode` if it has --long,
// `usual` otherwise. Requires: called from a test.
uint64_t Repetitions(uint64_t usual, uint64_t in_long_mode);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_LONG_MODE_H_
