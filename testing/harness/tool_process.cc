#include "ringlog/testing/harness/tool_process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "ringlog/testing/harness/cost.h"

namespace ringlog {
namespace {

// Exit status of a child that could not execute the program, as in a shell.
constexpr int kCannotStart = 127;

// Creates a file without a name, with `content`, at offset 0.
int TemporaryFile(const std::string& content) {
  const char* directory = getenv("TEST_TMPDIR");
  std::string path =
      absl::StrCat(directory == nullptr ? "/tmp" : directory, "/tool.XXXXXX");
  const int fd = mkostemp(path.data(), O_CLOEXEC);
  if (fd < 0) abort();
  unlink(path.c_str());
  if (write(fd, content.data(), content.size()) !=
      static_cast<ssize_t>(content.size())) {
    abort();
  }
  lseek(fd, 0, SEEK_SET);
  return fd;
}

// Returns the write end of a pipe without a reader.
int BrokenPipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) abort();
  close(fds[0]);
  return fds[1];
}

std::string ReadAndClose(int fd) {
  std::string content;
  char buffer[1 << 16];
  ssize_t n;
  while ((n = pread(fd, buffer, sizeof buffer,
                    static_cast<off_t>(content.size()))) > 0) {
    content.append(buffer, static_cast<size_t>(n));
  }
  close(fd);
  return content;
}

struct Streams {
  int in;
  int out;
  int err;
};

[[noreturn]] void Execute(const std::vector<char*>& argv,
                          const ToolOptions& options, Streams streams) {
  for (const std::string& variable : options.environment) {
    const size_t equals = variable.find('=');
    setenv(variable.substr(0, equals).c_str(),
           variable.substr(equals + 1).c_str(), 1);
  }
  if (!options.directory.empty() && chdir(options.directory.c_str()) != 0) {
    _exit(kCannotStart);
  }
  if (!options.stdout_path.empty()) {
    streams.out = open(options.stdout_path.c_str(), O_WRONLY);
  }
  if (options.drop_file_rights) {
    // If root executes a program, this set bounds its capabilities. A process
    // of another user has none of them and may not be permitted to drop them.
    prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE);
    prctl(PR_CAPBSET_DROP, CAP_DAC_READ_SEARCH);
  }
  dup2(streams.in, STDIN_FILENO);
  dup2(streams.out, STDOUT_FILENO);
  dup2(streams.err, STDERR_FILENO);
  signal(SIGPIPE, SIG_DFL);  // the state in which a shell starts a program
  execvp(argv[0], argv.data());
  _exit(kCannotStart);
}

}  // namespace

std::string ToolPath(const std::string& name) {
  const char* runfiles = getenv("TEST_SRCDIR");
  const char* workspace = getenv("TEST_WORKSPACE");
  if (runfiles == nullptr || workspace == nullptr) {
    return absl::StrCat("tools/", name);
  }
  return absl::StrCat(runfiles, "/", workspace, "/tools/", name);
}

ToolRun RunTool(const std::string& name,
                const std::vector<std::string>& arguments,
                const ToolOptions& options) {
  return RunProgram(ToolPath(name), arguments, options);
}

ToolRun RunProgram(const std::string& name,
                   const std::vector<std::string>& arguments,
                   const ToolOptions& options) {
  std::vector<std::string> words = {name};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int in = TemporaryFile(options.in);
  const int out = options.broken_pipe ? BrokenPipe() : TemporaryFile("");
  const int err = TemporaryFile("");
  const pid_t child = fork();
  if (child < 0) abort();
  if (child == 0) Execute(argv, options, {in, out, err});
  ToolRun run;
  siginfo_t ended;
  while (waitid(P_PID, static_cast<id_t>(child), &ended, WEXITED | WNOWAIT) !=
             0 &&
         errno == EINTR) {
  }
  run.read_bytes = BytesReadBy(child);
  int status = 0;
  rusage usage = {};
  while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  close(in);
  run.exit_status =
      WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  run.out = ReadAndClose(out);
  run.err = ReadAndClose(err);
  run.max_rss_kib = usage.ru_maxrss;
  return run;
}

}  // namespace ringlog
