#include "ringlog/tools/command/rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/tools/command/message.h"
#include "ringlog/tools/command/output.h"

namespace ringlog {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(5);

// Two words of a running process's ring. The file is not mapped: somebody may
// shorten it.
class LiveRing {
 public:
  enum class State { kRuns, kHasEnded, kHasEndedWell };

  //   FailedPrecondition: its process does not run, or does not answer
  //   others:             those of open(2) and ReadRingHeader()
  static absl::StatusOr<std::unique_ptr<LiveRing>> Open(
      const std::string& path) {
    absl::StatusOr<RingHeader> header = ReadRingHeader(path, O_NOFOLLOW);
    // It names the path, as whoever prints the message does.
    if (!header.ok()) {
      return absl::Status(header.status().code(),
                          absl::StrReplaceAll(header.status().message(),
                                              {{absl::StrCat(path, ": "), ""},
                                               {absl::StrCat(" ", path), ""}}));
    }
    const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return absl::ErrnoToStatus(errno, "open");
    std::unique_ptr<LiveRing> ring(new LiveRing(fd, *header));
    if (ring->state() != State::kRuns) {
      return absl::FailedPreconditionError(absl::StrCat(
          "its process, ", header->process_id, ", does not run any more"));
    }
    RotationRequest request;
    if (!ring->Read(&request) || request.done == 0) {
      return absl::FailedPreconditionError(
          "its process writes no segments, or is of a version that cannot be "
          "asked");
    }
    return ring;
  }
  ~LiveRing() { close(fd_); }
  LiveRing(const LiveRing&) = delete;
  LiveRing& operator=(const LiveRing&) = delete;

  int64_t process_id() const { return header_.process_id; }

  // The lock is the process's as long as it lives, whatever its namespace, of
  // which its id says nothing outside. Of the dead we have it for a moment; a
  // recovery that begins then asks again (compress/leftover_file.h). A ring
  // goes when its process has closed its last segment, or been recovered.
  State state() const {
    struct stat st;
    if (fstat(fd_, &st) == 0 && st.st_nlink == 0) return State::kHasEndedWell;
    if (flock(fd_, LOCK_SH | LOCK_NB) != 0) return State::kRuns;
    flock(fd_, LOCK_UN);
    return State::kHasEnded;
  }

  // Whoever asks at the same time asks for the same: it is done for both.
  bool Ask() {
    RotationRequest request;
    if (!Read(&request)) return false;
    asked_ = std::max(request.asked, request.done);
    if (asked_ == std::numeric_limits<uint64_t>::max()) return false;
    ++asked_;
    return pwrite(fd_, &asked_, sizeof asked_, offset()) ==
           static_cast<ssize_t>(sizeof asked_);
  }
  bool IsDone() const {
    RotationRequest request;
    return Read(&request) && request.done >= asked_;
  }

 private:
  LiveRing(int fd, const RingHeader& header) : fd_(fd), header_(header) {}

  off_t offset() const {
    return static_cast<off_t>(header_.live_offset +
                              offsetof(RingLive, rotation));
  }
  bool Read(RotationRequest* request) const {
    return pread(fd_, request, sizeof *request, offset()) ==
           static_cast<ssize_t>(sizeof *request);
  }

  const int fd_;
  const RingHeader header_;
  uint64_t asked_ = 0;
};

struct Asked {
  std::string path;
  std::unique_ptr<LiveRing> ring;
};

// What came of it; empty: nothing yet.
std::string Answer(const Asked& asked) {
  if (asked.ring->IsDone()) return "has closed its segment";
  if (asked.ring->state() == LiveRing::State::kHasEndedWell) {
    return "has closed its last segment and ended";
  }
  return "";
}

class Rotation {
 public:
  int Run(const std::vector<std::string>& paths, absl::Duration timeout) {
    for (const std::string& path : paths) AddPath(path);
    const absl::Time deadline = absl::Now() + timeout;
    for (const Asked& asked : asked_) Await(asked, deadline);
    if (!FinishStandardOutput(&output_)) return 2;
    return exit_status_;
  }

 private:
  void AddPath(const std::string& path) {
    struct stat st;
    if (stat(path.c_str(), &st) != 0) {
      Fail(path, absl::ErrnoToStatus(errno, "open").message(), 2);
    } else if (S_ISDIR(st.st_mode)) {
      AddDirectory(path);
    } else if (absl::Status s = AddRing(path); !s.ok()) {
      Fail(path, s.message(), 2);
    }
  }

  // Rings of the dead are nothing to tell of.
  void AddDirectory(const std::string& path) {
    absl::Status status;
    const size_t before = asked_.size();
    for (const std::string& name : ListDirectory(path, &status)) {
      if (ParseFileName(name).kind != FileKind::kRing) continue;
      const std::string ring = absl::StrCat(path, "/", name);
      const absl::Status added = AddRing(ring);
      if (!added.ok() && !absl::IsFailedPrecondition(added)) {
        Fail(ring, added.message(), 2);
      }
    }
    if (!status.ok()) {
      Fail(path, status.message(), 2);
    } else if (asked_.size() == before) {
      Fail(path, "no ring of a running process", 2);
    }
  }

  absl::Status AddRing(const std::string& path) {
    absl::StatusOr<std::unique_ptr<LiveRing>> ring = LiveRing::Open(path);
    if (!ring.ok()) return ring.status();
    if (!(*ring)->Ask()) return absl::ErrnoToStatus(errno, "write to");
    asked_.push_back({path, *std::move(ring)});
    return absl::OkStatus();
  }

  void Await(const Asked& asked, absl::Time deadline) {
    for (;;) {
      // Asked before the answer is looked for: the last thing that it does may
      // be to answer.
      const bool has_ended = asked.ring->state() == LiveRing::State::kHasEnded;
      const std::string answer = Answer(asked);
      if (!answer.empty()) {
        output_.Append(absl::StrCat(asked.path, ": process ",
                                    asked.ring->process_id(), " ", answer,
                                    "\n"));
        return;
      }
      if (has_ended) {
        Fail(asked.path, "its process has ended before it had done it", 1);
        return;
      }
      if (absl::Now() >= deadline) {
        Fail(asked.path,
             absl::StrCat("process ", asked.ring->process_id(),
                          " has not done it yet; it will when it can"),
             1);
        return;
      }
      absl::SleepFor(kPollInterval);
    }
  }

  void Fail(const std::string& path, absl::string_view message, int status) {
    PrintMessage(path, message);
    exit_status_ = std::max(exit_status_, status);
  }

  Output output_{STDOUT_FILENO, isatty(STDOUT_FILENO) == 1};
  std::vector<Asked> asked_;
  int exit_status_ = 0;
};

}  // namespace

int Rotate(const std::vector<std::string>& paths, absl::Duration timeout) {
  return Rotation().Run(paths, timeout);
}

}  // namespace ringlog
