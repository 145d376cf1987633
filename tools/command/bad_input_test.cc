// Tests with truncated, malformed and hostile input files, and with files that
// are not logs.
//
// Invariants checked, for each file:
//  - The command prints the path and the cause on standard error.
//  - The command ends with status 1 or 2.
//  - Its memory is bounded.

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/sanitizer.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"
#include "ringlog/testing/harness/tool_process.h"
#include "zstd.h"

namespace ringlog {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// A sanitizer makes the start of each process slow.
constexpr size_t kShare = kHasSanitizer ? 5 : 1;
constexpr int64_t kMaxRssKib = 256 << 10;

// Runs a command on `path`, checks that it fails, and returns its message.
std::string ExpectRejected(const std::string& path,
                           const std::vector<std::string>& words = {"cat"},
                           ToolOptions options = {}) {
  options.stdout_path = "/dev/null";
  std::vector<std::string> arguments = words;
  arguments.push_back(path);
  const ToolRun run = RunTool("ringlog", arguments, options);
  EXPECT_THAT(run.exit_status, AnyOf(1, 2)) << path;
  EXPECT_THAT(run.err, StartsWith(absl::StrCat("ringlog: ", path, ": ")));
  EXPECT_TRUE(absl::EndsWith(run.err, "\n"));
  if (!kHasSanitizer) {
    EXPECT_LT(run.max_rss_kib, kMaxRssKib) << path;
  }
  return run.err;
}

class BadInputTest : public ::testing::Test {
 protected:
  std::string File(const std::string& name, const std::string& content) {
    std::string path = Path(name);
    WriteFile(path, content);
    return path;
  }
  std::string Path(const std::string& name) const {
    return directory_ + "/" + name;
  }

  const std::string directory_ = MakeTestDirectory();
};

TEST_F(BadInputTest, RejectsEmptyFile) {
  for (const char* name : {"a", "a.ring", "a.log.zst"}) {
    EXPECT_THAT(ExpectRejected(File(name, "")),
                HasSubstr("empty; a ring or a segment"));
    EXPECT_THAT(ExpectRejected(Path(name), {"inspect"}),
                HasSubstr("*.ring files"));
  }
}

TEST_F(BadInputTest, RejectsTextFile) {
  const std::string path = File("notes.log", "I am a text, not a ring\n");
  EXPECT_THAT(ExpectRejected(path), HasSubstr("give *.ring, *.log.zst or"));
  EXPECT_THAT(ExpectRejected(path, {"inspect"}), HasSubstr("*.ring files"));
}

TEST_F(BadInputTest, RejectsRandomBytes) {
  std::mt19937_64 random(TestSeed());
  const std::string ring(reinterpret_cast<const char*>(kRingMagic),
                         sizeof kRingMagic);
  for (const absl::string_view magic :
       {absl::string_view("none"), absl::string_view(ring),
        absl::string_view("\x28\xB5\x2F\xFD")}) {
    for (int i = 0; i < 10; ++i) {
      std::string bytes(1 + random() % 50000, '\0');
      for (char& c : bytes) c = static_cast<char>(random());
      const std::string path = File("random", absl::StrCat(magic, bytes));
      ExpectRejected(path);
      ExpectRejected(path, {"inspect"});
    }
  }
}

TEST_F(BadInputTest, ReportsTruncatedRing) {
  ScriptedProcess process(directory_);
  for (int i = 0; i < 40; ++i) process.Log(std::string(400, 'x'));
  const std::string complete = ReadFile(process.ring_path());
  for (size_t size = 0; size < complete.size(); size += 1024 * kShare) {
    const std::string path = File("cut", complete.substr(0, size));
    ExpectRejected(path);
    // If the header is intact, inspect prints it and the missing part.
    const ToolRun run = RunTool("ringlog", {"inspect", path});
    EXPECT_THAT(run.exit_status, AnyOf(1, 2));
    EXPECT_THAT(run.exit_status == 1 ? run.out : run.err,
                HasSubstr(run.exit_status == 1
                              ? absl::StrCat(size, " bytes, truncated from ")
                              : path));
  }
}

TEST_F(BadInputTest, ReportsTruncatedSegment) {
  ScriptedProcess process(directory_);
  for (int i = 0; i < 40; ++i) process.Log(absl::StrCat(i * i * 7919));
  process.Flush();
  const std::string complete = ReadFile(process.segment_path(1));
  for (size_t size = 0; size < complete.size(); size += 13 * kShare) {
    ExpectRejected(File("cut", complete.substr(0, size)));
  }
}

TEST_F(BadInputTest, NotesDirectoryWithoutLogs) {
  File("notes.txt", "x");
  const ToolRun run = RunTool("ringlog", {"cat", directory_});
  EXPECT_EQ(run.exit_status, 0);
  EXPECT_THAT(run.err, HasSubstr("*.ring, *.log.zst or"));
  EXPECT_THAT(ExpectRejected(directory_, {"inspect"}),
              HasSubstr(": a directory; inspect reads *.ring files"));
}

TEST_F(BadInputTest, ReportsMissingPath) {
  for (const char* command : {"cat", "inspect"}) {
    EXPECT_THAT(ExpectRejected(Path("missing.ring"), {command}),
                HasSubstr("No such file"));
    EXPECT_THAT(ExpectRejected(File("file", "x") + "/below", {command}),
                HasSubstr("Not a directory"));
  }
  std::filesystem::create_symlink(Path("b"), Path("a"));
  std::filesystem::create_symlink(Path("a"), Path("b"));
  EXPECT_THAT(ExpectRejected(Path("a")), HasSubstr("symbolic links"));
}

TEST_F(BadInputTest, ReportsUnreadablePath) {
  ScriptedProcess process(directory_);
  process.Log("a");
  process.Flush();
  ToolOptions options;
  options.drop_file_rights = true;
  for (const std::string& path :
       {process.ring_path(), process.segment_path(1), directory_}) {
    const auto before = std::filesystem::status(path).permissions();
    std::filesystem::permissions(path, std::filesystem::perms::none);
    EXPECT_THAT(ExpectRejected(path, {"cat"}, options),
                HasSubstr("Permission denied"));
    std::filesystem::permissions(path, before);
  }
}

TEST_F(BadInputTest, ReportsReadError) {
  // A regular file according to stat(2).
  EXPECT_THAT(ExpectRejected("/proc/self/mem"),
              HasSubstr("Input/output error"));
  ExpectRejected("/proc/self/mem", {"inspect"});
}

TEST_F(BadInputTest, DoesNotWaitForSpecialFiles) {
  ASSERT_EQ(mkfifo(Path("fifo.ring").c_str(), 0600), 0);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  const std::string previous = std::filesystem::current_path();
  std::filesystem::current_path(directory_);  // The address must be short.
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, "socket.ring");
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  std::filesystem::current_path(previous);
  for (const std::string& path :
       {Path("fifo.ring"), Path("socket.ring"), std::string("/dev/zero"),
        std::string("/dev/null")}) {
    EXPECT_THAT(ExpectRejected(path),
                HasSubstr("has to be copied to a file first"));
    EXPECT_THAT(ExpectRejected(path, {"inspect"}), HasSubstr("*.ring files"));
  }
  close(fd);
}

// Returns a zstd frame of `size` bytes `c`.
std::string Bomb(uint64_t size, char c, int window_log) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  const std::string piece(1 << 20, c);
  std::string buffer(ZSTD_CStreamOutSize(), '\0');
  std::string bomb;
  for (uint64_t done = 0; done < size; done += piece.size()) {
    const bool last = done + piece.size() >= size;
    ZSTD_inBuffer in = {piece.data(), piece.size(), 0};
    size_t left = 1;
    while (in.pos < in.size || (last && left != 0)) {
      ZSTD_outBuffer out = {buffer.data(), buffer.size(), 0};
      left = ZSTD_compressStream2(context, &out, &in,
                                  last ? ZSTD_e_end : ZSTD_e_continue);
      EXPECT_FALSE(ZSTD_isError(left));
      bomb.append(buffer, 0, out.pos);
    }
  }
  ZSTD_freeCCtx(context);
  return bomb;
}

// A bomb can be a valid zstd file with one long line, so the status may be 0.
TEST_F(BadInputTest, LimitsMemoryForBomb) {
  struct Case {
    char byte;
    uint64_t size;
    int window_log;
  };
  for (const Case& c :
       {Case{'x', uint64_t{512} << 20, 27}, Case{'\0', uint64_t{64} << 20, 27},
        Case{'\xff', uint64_t{64} << 20, 27},
        Case{'\n', uint64_t{2} << 20, 21}}) {
    const std::string path =
        File("bomb.log.zst", Bomb(c.size, c.byte, c.window_log));
    for (const char* format : {"--format=text", "--format=json"}) {
      ToolOptions options;
      options.stdout_path = "/dev/null";
      const ToolRun run = RunTool("ringlog", {"cat", format, path}, options);
      EXPECT_THAT(run.exit_status, AnyOf(0, 1, 2)) << run.err;
      if (!kHasSanitizer) {
        EXPECT_LT(run.max_rss_kib, kMaxRssKib) << c.byte << " " << format;
      }
    }
  }
}

TEST_F(BadInputTest, RejectsFrameThatNeedsTooMuchMemory) {
  using absl::string_view;
  const auto file = [&](string_view bytes) {
    return File("greedy.log.zst", std::string(bytes));
  };
  constexpr char kRawBlock[] =
      "\x09\x00\x00"
      "a";  // The last block, with one byte.
  // Windows of 2 GiB and of 3.75 TiB.
  ExpectRejected(file(absl::StrCat(string_view("\x28\xB5\x2F\xFD\x00\xA8", 6),
                                   string_view(kRawBlock, 4))));
  ExpectRejected(file(absl::StrCat(string_view("\x28\xB5\x2F\xFD\x00\xFF", 6),
                                   string_view(kRawBlock, 4))));
  // A content size of 2^40 bytes in a single-segment frame.
  ExpectRejected(file(
      absl::StrCat(string_view("\x28\xB5\x2F\xFD\xE0\0\0\0\0\0\x01\0\0", 13),
                   string_view(kRawBlock, 4))));
  // A skippable frame of 4 GiB.
  ExpectRejected(file("\x57\x2A\x4D\x18\xFF\xFF\xFF\xFF not so much"));
}

TEST_F(BadInputTest, EscapesControlBytesOfPath) {
  const std::string path = File("a\x1B[2J\nb", "x");
  const ToolRun run = RunTool("ringlog", {"cat", path});
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1);
  EXPECT_THAT(run.err, HasSubstr("a\\x1b[2J"));
}

}  // namespace
}  // namespace ringlog
