#include "ringlog/tools/command/output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"

namespace ringlog {
namespace {

std::string Visible(absl::string_view text) {
  std::string out;
  AppendVisible(text, &out);
  return out;
}

TEST(AppendVisibleTest, KeepsText) {
  for (const char* text : {"", "plain\ttext\n", "na\xC3\xAFve \xE2\x82\xAC",
                           "\xF0\x9F\x98\x80", "\xC2\xA0"}) {
    EXPECT_EQ(Visible(text), text);
  }
}

TEST(AppendVisibleTest, EscapesControlCharacters) {
  EXPECT_EQ(Visible("\x1B[2J"), "\\x1b[2J");
  EXPECT_EQ(Visible("\r\x08\x7F"), "\\x0d\\x08\\x7f");
  EXPECT_EQ(Visible(absl::string_view("\0", 1)), "\\x00");
  EXPECT_EQ(Visible("\xC2\x9B"), "\\xc2\\x9b") << "CSI, a C1 control";
  EXPECT_EQ(Visible("\x9B"), "\\x9b");
  EXPECT_EQ(Visible("\xC0\x9B"), "\\xc0\\x9b") << "overlong";
  EXPECT_EQ(Visible("\xE0\x82\x9B"), "\\xe0\\x82\\x9b") << "overlong";
  EXPECT_EQ(Visible("\xF0\x80\x82\x9B"), "\\xf0\\x80\\x82\\x9b") << "overlong";
  EXPECT_EQ(Visible("\xE2\x82"), "\\xe2\\x82") << "truncated";
  EXPECT_EQ(Visible("\xED\xA0\x80"), "\\xed\\xa0\\x80") << "surrogate";
}

TEST(AppendVisibleTest, EscapesHiddenCharacters) {
  struct Case {
    const char* name;
    absl::string_view text;
  };
  for (const Case& c :
       {Case{"right-to-left override", "\u202E"},
        Case{"right-to-left isolate", "\u2067"},
        Case{"right-to-left mark", "\u200F"},
        Case{"Arabic letter mark", "\u061C"},
        Case{"zero width space", "\u200B"}, Case{"zero width joiner", "\u200D"},
        Case{"word joiner", "\u2060"}, Case{"byte order mark", "\uFEFF"},
        Case{"soft hyphen", "\u00AD"}, Case{"line separator", "\u2028"},
        Case{"paragraph separator", "\u2029"}, Case{"next line", "\xC2\x85"},
        Case{"variation selector", "\uFE0F"}, Case{"tag", "\U000E0041"}}) {
    std::string escaped;
    for (const char byte : c.text) {
      absl::StrAppend(&escaped, "\\x",
                      absl::Hex(static_cast<unsigned char>(byte)));
    }
    EXPECT_EQ(Visible(c.text), escaped) << c.name;
  }
  // The neighbours of these ranges are visible.
  for (const absl::string_view text :
       {"\u00A0", "\u00AC", "\u00AE", "\u2010", "\u2027", "\u202F", "\u2070",
        "\uFE10", "\uFFFC", "\uFFFD", "\U0001F600"}) {
    EXPECT_EQ(Visible(text), text);
  }
}

TEST(VisibleLineTest, EscapesLineBreaks) {
  EXPECT_EQ(VisibleLine("a\nb\x1B[2J\n"), "a\\x0ab\\x1b[2J\\x0a");
  EXPECT_EQ(VisibleLine("plain"), "plain");
}

// A pipe that is large enough for a test to write everything before it reads.
class Pipe {
 public:
  Pipe() {
    EXPECT_EQ(pipe2(fds_, O_CLOEXEC), 0);
    fcntl(fds_[1], F_SETPIPE_SZ, 1 << 20);
  }
  ~Pipe() {
    CloseReader();
    close(fds_[1]);
  }
  int writer() const { return fds_[1]; }
  void CloseReader() {
    if (fds_[0] >= 0) close(fds_[0]);
    fds_[0] = -1;
  }
  std::string Read() {
    std::string content(1 << 20, '\0');
    const ssize_t n = read(fds_[0], content.data(), content.size());
    content.resize(n < 0 ? 0 : static_cast<size_t>(n));
    return content;
  }

 private:
  int fds_[2];
};

TEST(OutputTest, WritesAllBytesInOrder) {
  Pipe pipe;
  Output output(pipe.writer(), /*is_terminal=*/false);
  const std::string large(300 << 10, 'x');  // Larger than the buffer.
  for (const std::string& piece :
       {std::string("a\x1B"), large, std::string("b")}) {
    EXPECT_TRUE(output.Append(piece));
  }
  EXPECT_TRUE(output.Flush());
  EXPECT_EQ(pipe.Read(), "a\x1B" + large + "b");
}

TEST(OutputTest, EscapesControlBytesOnTerminal) {
  Pipe pipe;
  Output output(pipe.writer(), /*is_terminal=*/true);
  output.Append("\x1B[2J\n");
  output.Flush();
  EXPECT_EQ(pipe.Read(), "\\x1b[2J\n");
}

TEST(OutputTest, StopsAtFirstError) {
  signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  pipe.CloseReader();
  Output output(pipe.writer(), /*is_terminal=*/false);
  EXPECT_TRUE(output.Append("a"));
  EXPECT_FALSE(output.Flush());
  EXPECT_EQ(output.error(), EPIPE);
  EXPECT_FALSE(output.Append("b"));
}

TEST(OutputTest, ReportsFullDevice) {
  const int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  Output output(fd, /*is_terminal=*/false);
  output.Append("a");
  EXPECT_FALSE(output.Flush());
  EXPECT_EQ(output.error(), ENOSPC);
  close(fd);
}

}  // namespace
}  // namespace ringlog
