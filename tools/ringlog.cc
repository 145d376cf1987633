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
    R"(ringlog reads the logs of programs that use ringlog's sink, including the
records that a crashed program left in its ring.

  ringlog cat PATH...      prints records
  ringlog verify PATH...   reports missing and damaged records
  ringlog inspect RING...  prints the header, counters and slots of a ring
  ringlog recover PATH... --out DIR
                           writes closed segments to DIR from the files that a
                           crashed program left
  ringlog rotate PATH...   asks running programs to close their segments
  ringlog help COMMAND     prints the help of a command
  ringlog --version

A PATH is a ring (*.ring), a segment (*.log.zst, *.jsonl.zst), or a directory
with such files. The inputs stay unchanged, with two exceptions: recover in
place, and rotate, which writes 8 reserved bytes of a ring.

Exit status: 0 complete; 1 records are missing, or a file is damaged; 2 an
input cannot be used, or the command line is wrong. The exit status of rotate
has another meaning; see ringlog help rotate.
)";

constexpr absl::string_view kCatHelp =
    R"(ringlog cat PATH... [--format=text|json] [--last N]

Prints the records of rings, segments and directories, each once. The records of
one process are in the order in which they were logged; the records of several
processes are merged by time. stderr reports missing records and the cause. The
process may still be running. A directory may be empty. It may be missing if
another path has logs.

  --format=text   I20261123 02:03:04.123456 12345 file.cc:42] text  (default)
  --format=json   one JSON object on each line; a line that is not a JSON object
                  becomes the text of a record
  --last N        only the last N records, at most 1000000

On a terminal, bytes that control it or hide text are shown as \xHH.

  ringlog cat /var/log/app --last 100
)";

constexpr absl::string_view kVerifyHelp =
    R"(ringlog verify PATH...

Reads all files that cat reads, and compares the metadata of each file with its
content and with the other files. Prints one line for each file; below it, one
line for each finding:

  - damaged bytes, as "[begin..end): cause"
  - missing positions
  - dropped records, and the cause
  - a metadata frame or seek table that does not match its frames

The last line has the totals. A wrong seek table costs no record, and does not
make the exit status 1.

  ringlog verify /var/log/app
)";

constexpr absl::string_view kInspectHelp =
    R"(ringlog inspect RING...

Prints the header, counters and slots of a ring: owner, whether the owner is
alive, drops by cause, persist cursor, crash report.

  ringlog inspect /var/log/app/*.ring
)";

constexpr absl::string_view kRecoverHelp =
    R"(ringlog recover PATH... --out DIR

Writes closed segments to DIR from the files that a crashed program left, on its
host or on another one. The program is not started. For each ring among the
inputs, DIR gets all segments of the ring, with the records that only the ring
has. Segments without a ring are copied. Open and damaged segments are repaired.
DIR then has the complete log of the inputs.

The segments of a ring are searched among the inputs, in the directory of the
ring, and in DIR. They are also searched in the directory that the ring names,
if that directory and the ring are yours and no other user may write to them.

DIR is created if its parent exists. It must be yours or root's, and must not be
a symlink; other users may write to it only if it is sticky.

The inputs stay unchanged. Exception: if the segments of a ring are in DIR, the
ring is recovered in place, as at the next start of the program, and then
deleted. A ring whose process may still be alive is refused.

You may kill the command and run it again. It never overwrites another file in
DIR. Prints one line for each segment; stderr reports missing and damaged
records.

  ringlog recover /mnt/crashed/var/log/app --out /tmp/app-log
)";

constexpr absl::string_view kRotateHelp =
    R"(ringlog rotate PATH... [--timeout SECONDS]

Asks running programs to close their current segments, and waits until they
have, by default ten seconds. A closed segment has all records that were logged
before the request; the next record begins another segment. A PATH is a ring, or
a directory, which stands for all rings in it whose processes are running. Sends
no signal; the program needs no code for it.

Prints one line for each ring. Exit status:

  0  all segments are closed
  1  a process has not closed its segment in time, or has ended
  2  no running process was found, or a request could not be written

  ringlog rotate /var/log/app && upload /var/log/app/*.log.zst

Segments of JSON lines are named *.jsonl.zst.
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
