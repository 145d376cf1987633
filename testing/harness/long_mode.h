// Tests with two sizes: what every change can afford, and what a release has to
// stand. The second is asked for by
//
//     bazel test //testing:NAME --test_arg=--long --test_timeout=7200
//
// A test that links this links its main() too, instead of gtest_main.

#ifndef RINGLOG_TESTING_HARNESS_LONG_MODE_H_
#define RINGLOG_TESTING_HARNESS_LONG_MODE_H_

namespace ringlog {

// Whether the command line has --long. Call it inside of a test.
bool IsLongMode();

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_LONG_MODE_H_
