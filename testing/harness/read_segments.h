// What the segments of a directory hold, by libzstd alone: an oracle that knows
// nothing of this project's reader.

#ifndef RINGLOG_TESTING_HARNESS_READ_SEGMENTS_H_
#define RINGLOG_TESTING_HARNESS_READ_SEGMENTS_H_

#include <string>
#include <vector>

namespace ringlog {

// Every directory made here is below TEST_TMPDIR, and another each time.
std::string MakeTestDirectory();

// Paths of the regular files in `directory` that end in `suffix`, sorted. A
// symlink is not one.
std::vector<std::string> FilesIn(const std::string& directory,
                                 const std::string& suffix);

std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, const std::string& content);

// As `zstd -dc`: all frames, one after the other. What can be decompressed, if
// the file is cut; then `*complete` is false.
std::string Decompress(const std::string& path, bool* complete = nullptr);

// Whether it is whole, and ends as a closed segment does, with a seek table's
// magic.
bool IsClosed(const std::string& path);

// Of all segments in `directory`, in order of their names, the text; a test
// failure if one of them is not complete.
std::string AllText(const std::string& directory);

// The text's lines, without their line breaks.
std::vector<std::string> AllLines(const std::string& directory);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_READ_SEGMENTS_H_
