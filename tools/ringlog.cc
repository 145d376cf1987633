// The command ringlog: reads rings and segments, and recovers leftover rings.

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstddef>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/config.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringlog/tools/command/cat.h"
#include "ringlog/tools/command/inspect.h"
#include "ringlog/tools/command/message.h"
#include "ringlog/tools/command/output.h"
#include "ringlog/tools/command/recover.h"
#include "ringlog/tools/command/rotate.h"
#include "ringlog/tools/command/verify.h"
#include "ringlog/tools/command/working_directory.h"
#include "ringlog/tools/decode/memory_guard.h"

namespace ringlog {
namespace {

constexpr int kUsageError = 2;

constexpr absl::string_view kVersion = "ringlog 0.1.0\n";

constexpr absl::string_view kHelp =
    R"(ringlog reads the logs of programs that log through ringlog's sink, also
what a crashed one has left in its ring.

  ringlog cat PATH...      prints records
  ringlog verify PATH...   checks that all is there, and says what is not
  ringlog inspect RING...  prints what a ring says of itself
  ringlog recover PATH... --out DIR
                           makes closed segments of what a crash left
  ringlog rotate PATH...   lets running programs close their segments
  ringlog help COMMAND     tells more
  ringlog --version

A PATH is a ring (*.ring), a segment (*.log.zst, *.jsonl.zst), or a directory
with such files. Nothing that is read is changed, but by a recovery in place,
and by rotate eight bytes of a ring that are there for that.

Exit status: 0 complete; 1 records are missing, or a file is damaged; 2 an
input could not be used, or the command was not understood.
)";

constexpr absl::string_view kCatHelp =
    R"(ringlog cat PATH... [--format=text|json] [--last N]

Prints the records of rings, segments and directories, each once. Those of one
process come in the order in which they were logged; several processes' are
merged by time. What is missing, and why, is told on standard error. A process
that is still running may be looked at too. A directory may be empty; it may be
missing if another path has logs.

  --format=text   I20261123 02:03:04.123456 12345 file.cc:42] text  (default)
  --format=json   one JSON object a line; a line of a segment that is none
                  becomes the text of a record
  --last N        only the last N records, at most 1000000

On a terminal, bytes that control it or hide text are shown as \xHH.

  ringlog cat /var/log/app --last 100
)";

constexpr absl::string_view kVerifyHelp =
    R"(ringlog verify PATH...

Reads all that cat would print, and compares what rings and segments say of
themselves, and of each other, with what they hold. Prints a line for each file,
one below it for each thing that was found, and one with the sums at the end:
damage with its bytes, "[begin..end): why"; positions that are missing; records
that were dropped, and why; metadata or a seek table that are not what the
frames are. A wrong seek table costs no record and is no reason for status 1.

  ringlog verify /var/log/app
)";

constexpr absl::string_view kInspectHelp =
    R"(ringlog inspect RING...

Prints what a ring says of itself: which process made it and whether it lives,
how its slots are used, what was dropped and why, how far it has been written
into segments, what a signal handler reported.

  ringlog inspect /var/log/app/*.ring
)";

constexpr absl::string_view kRecoverHelp =
    R"(ringlog recover PATH... --out DIR

Makes ordinary closed segments in DIR of what a crashed program left, without
starting the program again, on its host or on another one. For every ring among
the paths, DIR gets all of its segments, the earlier ones too, with the records
that only the ring has; segments without a ring are copied. What was not closed
or is damaged is repaired. So DIR alone is the whole log of what was given. A
ring's segments are looked for among the paths, beside the ring, in DIR, and
where the ring says that they are if ring and directory are yours and no other
user may write to them. DIR is made if the directory that is to have it exists.
It must be yours or root's, and no symlink; other users may write to it only if
it is sticky.

The rings and segments that are read stay as they are. Only if DIR is where a
ring's segments are, they are recovered in place, as the next start of the
program would: the ring is then deleted. A ring whose process may still be alive
is refused.

May be killed and done again. Files in DIR that are something else are never
overwritten. Prints a line for each segment; what is missing or damaged is told
on standard error.

  ringlog recover /mnt/crashed/var/log/app --out /tmp/app-log
)";

constexpr absl::string_view kRotateHelp =
    R"(ringlog rotate PATH... [--timeout SECONDS]

Asks running programs to close the segments that they write now, with all in
them that has been logged, and waits until they have: for ten seconds, if
nothing else is said. The next record begins another one. A PATH is a ring, or a
directory: all rings in it whose processes run are meant. No signal is sent; the
program need not know of it.

Prints a line for each ring. Exit status: 0 all have done it; 1 one has not, and
may do it later, or has ended; 2 there was none to ask, or it may not be.

  ringlog rotate /var/log/app && upload /var/log/app/*.log.zst
)";

int Fail(absl::string_view subject, absl::string_view message) {
  PrintMessage(subject, message);
  return kUsageError;
}

int Print(absl::string_view text) {
  Output output(STDOUT_FILENO, isatty(STDOUT_FILENO) == 1);
  output.Append(text);
  return FinishStandardOutput(&output) ? 0 : kUsageError;
}

// The arguments of a command. Flags and paths may be in any order; after "--"
// every argument is a path.
class Arguments {
 public:
  explicit Arguments(std::vector<std::string> words)
      : words_(std::move(words)) {}

  // Returns the next flag without its value, and appends the paths before it to
  // `paths`. Returns nullopt if no flag is left.
  std::optional<std::string> NextFlag() {
    while (next_ < words_.size()) {
      const std::string& word = words_[next_++];
      if (word == "--") {
        for (; next_ < words_.size(); ++next_) paths.push_back(words_[next_]);
      } else if (absl::StartsWith(word, "-") && word != "-") {
        const size_t equals = word.find('=');
        value_.reset();
        if (equals != std::string::npos) value_ = word.substr(equals + 1);
        return word.substr(0, equals);
      } else {
        paths.push_back(word);
      }
    }
    return std::nullopt;
  }

  // Returns the value of the last flag, from "--flag=value" or "--flag value",
  // or nullopt if there is none.
  std::optional<std::string> Value() {
    if (!value_.has_value() && next_ < words_.size()) value_ = words_[next_++];
    return value_;
  }

  std::vector<std::string> paths;

 private:
  const std::vector<std::string> words_;
  size_t next_ = 0;
  std::optional<std::string> value_;
};

int UnknownFlag(absl::string_view flag, absl::string_view command) {
  return Fail(flag, absl::StrCat("no such flag; see ringlog help ", command));
}

int RunCat(std::vector<std::string> words) {
  Arguments arguments(std::move(words));
  CatOptions options;
  while (std::optional<std::string> flag = arguments.NextFlag()) {
    if (*flag == "--help" || *flag == "-h") return Print(kCatHelp);
    if (*flag != "--format" && *flag != "--last") {
      return UnknownFlag(*flag, "cat");
    }
    const std::string value = arguments.Value().value_or("");
    if (*flag == "--format") {
      if (value != "text" && value != "json") {
        return Fail("--format", absl::StrCat("invalid value \"", value,
                                             "\"; must be text or json"));
      }
      options.format = value == "json" ? LineFormat::kJson : LineFormat::kText;
    } else if (!absl::SimpleAtoi(value, &options.last) || options.last == 0 ||
               options.last > kMaxLast) {
      return Fail("--last",
                  absl::StrCat("invalid value \"", value,
                               "\"; must be a number from 1 to ", kMaxLast));
    }
  }
  if (arguments.paths.empty()) {
    return Fail("cat", "no path given; see ringlog help cat");
  }
  return Cat(arguments.paths, options);
}

int RunVerify(std::vector<std::string> words) {
  Arguments arguments(std::move(words));
  while (std::optional<std::string> flag = arguments.NextFlag()) {
    if (*flag == "--help" || *flag == "-h") return Print(kVerifyHelp);
    return UnknownFlag(*flag, "verify");
  }
  if (arguments.paths.empty()) {
    return Fail("verify", "no path given; see ringlog help verify");
  }
  return Verify(arguments.paths);
}

int RunInspect(std::vector<std::string> words) {
  Arguments arguments(std::move(words));
  while (std::optional<std::string> flag = arguments.NextFlag()) {
    if (*flag == "--help" || *flag == "-h") return Print(kInspectHelp);
    return UnknownFlag(*flag, "inspect");
  }
  if (arguments.paths.empty()) {
    return Fail("inspect", "no ring given; see ringlog help inspect");
  }
  return Inspect(arguments.paths);
}

int RunRecover(std::vector<std::string> words) {
  Arguments arguments(std::move(words));
  std::string output;
  while (std::optional<std::string> flag = arguments.NextFlag()) {
    if (*flag == "--help" || *flag == "-h") return Print(kRecoverHelp);
    if (*flag != "--out") return UnknownFlag(*flag, "recover");
    output = arguments.Value().value_or("");
    if (output.empty()) return Fail("--out", "must be a directory");
  }
  if (arguments.paths.empty() || output.empty()) {
    return Fail("recover",
                absl::StrCat("no ", arguments.paths.empty() ? "path" : "--out",
                             " given; see ringlog help recover"));
  }
  return Recover(arguments.paths, output);
}

int RunRotate(std::vector<std::string> words) {
  Arguments arguments(std::move(words));
  int seconds = 10;
  while (std::optional<std::string> flag = arguments.NextFlag()) {
    if (*flag == "--help" || *flag == "-h") return Print(kRotateHelp);
    if (*flag != "--timeout") return UnknownFlag(*flag, "rotate");
    const std::string value = arguments.Value().value_or("");
    if (!absl::SimpleAtoi(value, &seconds) || seconds < 0) {
      return Fail("--timeout", absl::StrCat("invalid value \"", value,
                                            "\"; must be a number of seconds"));
    }
  }
  if (arguments.paths.empty()) {
    return Fail("rotate", "no path given; see ringlog help rotate");
  }
  return Rotate(arguments.paths, absl::Seconds(seconds));
}

int RunHelp(const std::vector<std::string>& words) {
  if (words.empty()) return Print(kHelp);
  if (words[0] == "cat") return Print(kCatHelp);
  if (words[0] == "verify") return Print(kVerifyHelp);
  if (words[0] == "inspect") return Print(kInspectHelp);
  if (words[0] == "recover") return Print(kRecoverHelp);
  if (words[0] == "rotate") return Print(kRotateHelp);
  return Fail(words[0],
              "no such command; the commands are cat, verify, inspect, recover "
              "and rotate");
}

int Run(std::vector<std::string> words) {
  if (words.empty()) {
    return Fail("usage",
                "ringlog cat PATH..., verify PATH..., inspect RING..., "
                "recover PATH... --out DIR or rotate PATH...; see ringlog "
                "--help");
  }
  const std::string command = words[0];
  words.erase(words.begin());
  if (command == "cat") return RunCat(std::move(words));
  if (command == "verify") return RunVerify(std::move(words));
  if (command == "inspect") return RunInspect(std::move(words));
  if (command == "recover") return RunRecover(std::move(words));
  if (command == "rotate") return RunRotate(std::move(words));
  if (command == "help" || command == "--help" || command == "-h") {
    return RunHelp(words);
  }
  if (command == "--version") return Print(kVersion);
  return Fail(command, "no such command; see ringlog --help");
}

// Opens /dev/null for each standard stream that the caller has closed.
// Otherwise the first opened files would get those descriptors, and output
// would be written to them.
void OpenStandardStreams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
      (void)open("/dev/null", O_RDWR);
    }
  }
}

#ifndef ABSL_HAVE_EXCEPTIONS
// Ends the program. WithinMemory() goes on instead if there are exceptions.
[[noreturn]] void EndWithoutMemory() {
  constexpr absl::string_view kMessage = "ringlog: not enough memory\n";
  (void)!write(STDERR_FILENO, kMessage.data(), kMessage.size());
  _exit(kUsageError);
}
#endif

}  // namespace
}  // namespace ringlog

int main(int argc, char** argv) {
  // A closed pipe is detected by write(2).
  signal(SIGPIPE, SIG_IGN);
  ringlog::OpenStandardStreams();
#ifndef ABSL_HAVE_EXCEPTIONS
  std::set_new_handler(&ringlog::EndWithoutMemory);
#endif
  if (absl::Status s = ringlog::EnterWorkingDirectory(); !s.ok()) {
    return ringlog::Fail("BUILD_WORKING_DIRECTORY", s.message());
  }
  int exit_status = 2;
  const absl::Status memory = ringlog::WithinMemory([&] {
    exit_status = ringlog::Run(std::vector<std::string>(argv + 1, argv + argc));
  });
  if (memory.ok()) return exit_status;
  return ringlog::Fail("memory", "not enough; give fewer files");
}
