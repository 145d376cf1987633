#include "ringlog/testing/harness/test_files.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "zstd.h"

namespace ringlog {

std::string MakeTestDirectory() {
  std::string path =
      (std::filesystem::path(::testing::TempDir()) / "ringlog.XXXXXX").string();
  EXPECT_NE(mkdtemp(path.data()), nullptr) << path;
  return path;
}

std::vector<std::string> FilesIn(const std::string& directory,
                                 const std::string& suffix) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (!entry.is_symlink() && entry.is_regular_file() &&
        absl::EndsWith(entry.path().string(), suffix)) {
      paths.push_back(entry.path().string());
    }
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  std::ostringstream content;
  content << in.rdbuf();
  return content.str();
}

void WriteFile(const std::string& path, absl::string_view content) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << content;
  EXPECT_TRUE(out.good()) << path;
}

std::string Compress(absl::string_view text) {
  std::string frame(ZSTD_compressBound(text.size()), '\0');
  const size_t bytes = ZSTD_compress(frame.data(), frame.size(), text.data(),
                                     text.size(), /*compressionLevel=*/3);
  EXPECT_FALSE(ZSTD_isError(bytes));
  frame.resize(bytes);
  return frame;
}

std::string Decompress(const std::string& path, bool* complete) {
  const std::string bytes = ReadFile(path);
  ZSTD_DCtx* const context = ZSTD_createDCtx();
  ZSTD_inBuffer in = {bytes.data(), bytes.size(), 0};
  std::string text;
  std::string buffer(ZSTD_DStreamOutSize(), '\0');
  size_t result = 0;
  while (in.pos < in.size) {
    ZSTD_outBuffer out = {buffer.data(), buffer.size(), 0};
    result = ZSTD_decompressStream(context, &out, &in);
    if (ZSTD_isError(result)) break;
    text.append(buffer, 0, out.pos);
  }
  ZSTD_freeDCtx(context);
  if (complete != nullptr) *complete = result == 0;
  return text;
}

bool IsClosed(const std::string& path) {
  bool complete = false;
  Decompress(path, &complete);
  return complete && absl::EndsWith(ReadFile(path), "\xb1\xea\x92\x8f");
}

std::string AllText(const std::string& directory) {
  std::string text;
  for (const std::string& path : FilesIn(directory, ".zst")) {
    bool complete = false;
    text += Decompress(path, &complete);
    EXPECT_TRUE(complete) << path << " is not a complete zstd file";
  }
  return text;
}

std::vector<std::string> AllLines(const std::string& directory) {
  std::string text = AllText(directory);
  if (text.empty()) return {};
  EXPECT_EQ(text.back(), '\n');
  text.pop_back();
  return absl::StrSplit(text, '\n');
}

}  // namespace ringlog
