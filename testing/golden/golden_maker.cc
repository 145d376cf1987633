// Makes testing/golden/1.0: files of version 1.0 of the formats, and next to
// each the content that a reader must find. With the same release of zstd, the
// bytes are the same at each run.
//
//     bazel run //testing/golden:golden_maker
//
// Never overwrites a file with different bytes. Before version 1.0 is released,
// a change of the format may delete the directory first. Files of a released
// version are never made again.

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "ringlog/testing/golden/golden_file.h"
#include "ringlog/testing/golden/golden_ring.h"
#include "ringlog/testing/golden/golden_segments.h"
#include "ringlog/testing/harness/test_files.h"
#include "zstd.h"

namespace ringlog {
namespace {

// Compresses `bytes`; a ring is mostly zeros.
std::string Compress(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const size_t size =
      ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 19);
  CHECK(!ZSTD_isError(size)) << ZSTD_getErrorName(size);
  out.resize(size);
  return out;
}

bool Put(const std::string& path, const std::string& bytes) {
  const bool exists = std::filesystem::exists(path);
  const bool is_same = exists && ReadFile(path) == bytes;
  if (!exists) WriteFile(path, bytes);
  std::printf("%s: %s\n", path.c_str(),
              !exists   ? "written"
              : is_same ? "unchanged"
                        : "exists with different bytes; left unchanged");
  return !exists || is_same;
}

bool PutGolden(const std::string& directory, const GoldenFile& file) {
  const bool is_ring = absl::EndsWith(file.name, ".ring");
  const std::string path =
      absl::StrCat(directory, "/", file.name, is_ring ? ".zst" : "");
  const bool is_put = Put(path, is_ring ? Compress(file.bytes) : file.bytes);
  return (file.expected.empty() ||
          Put(absl::StrCat(directory, "/", file.name, ".txt"),
              file.expected)) &&
         is_put;
}

bool Run(const std::string& directory) {
  std::filesystem::create_directories(directory);
  std::vector<GoldenFile> files = GoldenKilled();
  files.push_back(GoldenRing());
  files.push_back(GoldenText());
  files.push_back(GoldenJson());
  bool all = true;
  for (const GoldenFile& file : files) all &= PutGolden(directory, file);
  return all;
}

}  // namespace
}  // namespace ringlog

int main() {
  const char* const workspace = std::getenv("BUILD_WORKSPACE_DIRECTORY");
  if (workspace == nullptr) {
    std::fputs("golden_maker: find the workspace: not run by `bazel run`\n",
               stderr);
    return 2;
  }
  return ringlog::Run(absl::StrCat(workspace, "/testing/golden/1.0")) ? 0 : 1;
}
