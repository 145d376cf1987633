// A small file system that a test can fill.

#ifndef RINGLOG_TESTING_HARNESS_SMALL_FILE_SYSTEM_H_
#define RINGLOG_TESTING_HARNESS_SMALL_FILE_SYSTEM_H_

#include <functional>
#include <string>

namespace ringlog {

// Runs `body(directory)` in a child that has mounted a file system of 8 MiB at
// `directory`; no other process sees the mount. The test fails if `body` fails,
// and is skipped if mounting is not permitted.
void InSmallFileSystem(const std::function<void(const std::string&)>& body);

// Fills the file system with a file at `path`. Deleting the file frees the
// space.
void FillFileSystem(const std::string& path);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_SMALL_FILE_SYSTEM_H_
