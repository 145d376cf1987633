// Files of tests: directories, plain files, and the text of segments.
// Decompression uses libzstd alone and shares no code with SegmentReader, so
// that tests can use it as an oracle.

#ifndef RINGLOG_TESTING_HARNESS_TEST_FILES_H_
#define RINGLOG_TESTING_HARNESS_TEST_FILES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace ringlog {

// Creates an empty directory below TEST_TMPDIR and returns its path. Each call
// creates another directory.
std::string MakeTestDirectory();

// Returns the paths of the regular files in `directory` whose name ends in
// `suffix`, sorted. Symlinks are not regular files.
std::vector<std::string> FilesIn(const std::string& directory,
                                 const std::string& suffix);

// Returns the content of a file; the test fails if the file cannot be read.
std::string ReadFile(const std::string& path);
// Creates or replaces a file; the test fails if that is not possible.
void WriteFile(const std::string& path, absl::string_view content);

// Returns a zstd frame of `text`, as the zstd command makes it.
std::string Compress(absl::string_view text);

// Returns the text of all frames of a file, as `zstd -dc` does. If the file is
// truncated or damaged, returns the text before that place and sets `*complete`
// to false.
std::string Decompress(const std::string& path, bool* complete = nullptr);

// Returns true if all frames of the file are complete and the file ends in the
// magic of a seek table, as a closed segment does.
bool IsClosed(const std::string& path);

// Returns the text of all segments in `directory`, in the order of their names;
// the test fails if a segment is not complete.
std::string AllText(const std::string& directory);

// Returns the lines of AllText(), without line breaks.
std::vector<std::string> AllLines(const std::string& directory);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_TEST_FILES_H_
