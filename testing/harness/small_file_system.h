// A disk that a test can fill.

#ifndef RINGLOG_TESTING_HARNESS_SMALL_FILE_SYSTEM_H_
#define RINGLOG_TESTING_HARNESS_SMALL_FILE_SYSTEM_H_

#include <functional>
#include <string>

namespace ringlog {

// Runs `body` in a child, which has a file system of 8 MiB at the directory
// that it gets, and is the only one to see it. What fails in there fails the
// test; where nobody may mount, the test is skipped.
void InSmallFileSystem(const std::function<void(const std::string&)>& body);

// A file of that name takes all room that there is, until it is deleted.
void FillFileSystem(const std::string& path);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_SMALL_FILE_SYSTEM_H_
