#include "ringlog/tools/command/rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/tools/command/message.h"
#include "ringlog/tools/command/output.h"
#include "ringlog/tools/decode/shared_memory_rings.h"

namespace ringlog {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(5);

// The rotation request in a live ring. Uses read and write calls instead of a
// mapping, because another process may truncate the file.
class LiveRing {
 public:
  enum class State { kRuns, kHasEnded, kHasEndedWell };

  // Opens the ring at `path`, once: all checks, and the request, are about the
  // open file, because another user may rename a file of a third user to
  // `path` at any moment. The messages of errors do not have the path.
  //   FailedPrecondition: the owner has ended, or does not support requests
  //   PermissionDenied:   the ring belongs to another user, and this process is
  //                       not root
  //   InvalidArgument:    the ring has another name in its header
  //   others:             those of Directory::Open(), open(2),
  //                       ReadFileContent() and ParseRingHeader()
  static absl::StatusOr<std::unique_ptr<LiveRing>> Open(
      const std::string& path) {
    // O_PATH, because a process may open a file in a directory that it may not
    // read.
    absl::StatusOr<Directory> directory =
        Directory::Open(Dirname(path), O_PATH);
    if (!directory.ok()) return directory.status();
    ForkClosedFile file =
        directory->OpenFile(std::string(Basename(path)), O_RDWR);
    if (file.fd() < 0) return absl::ErrnoToStatus(errno, "cannot open");
    const absl::StatusOr<RingHeader> header =
        ReadHeader(file.fd(), path, &*directory);
    if (!header.ok()) return WithoutPath(header.status(), path);
    std::unique_ptr<LiveRing> ring(new LiveRing(std::move(file), *header));
    if (ring->state() != State::kRuns) {
      return absl::FailedPreconditionError(absl::StrCat(
          "its owner, process ", header->process_id, ", has ended"));
    }
    RotationRequest request;
    if (!ring->Read(&request) || request.done == 0) {
      return absl::FailedPreconditionError(
          "its owner writes no segments, or its version does not support "
          "rotation requests");
    }
    return ring;
  }
  LiveRing(const LiveRing&) = delete;
  LiveRing& operator=(const LiveRing&) = delete;

  int64_t process_id() const { return header_.process_id; }

  // Returns the state of the owner. The owner holds the lock while it lives; a
  // process id would not identify it in another namespace. A ring is deleted
  // after the owner has closed its last segment, or after recovery. Where locks
  // do not work, the owner has no ring file.
  State state() const {
    if (IsDeleted(file_.fd())) return State::kHasEndedWell;
    const absl::StatusOr<bool> is_locked = IsLocked(file_.fd(), "ring");
    return is_locked.ok() && *is_locked ? State::kRuns : State::kHasEnded;
  }

  // Writes a request to the ring. One rotation satisfies two requests that are
  // written at the same time.
  bool Request() {
    RotationRequest request;
    if (!Read(&request)) return false;
    requested_ = std::max(request.asked, request.done);
    if (requested_ == std::numeric_limits<uint64_t>::max()) return false;
    ++requested_;
    return pwrite(file_.fd(), &requested_, sizeof requested_, offset()) ==
           static_cast<ssize_t>(sizeof requested_);
  }
  bool IsDone() const {
    RotationRequest request;
    return Read(&request) && request.done >= requested_;
  }

 private:
  LiveRing(ForkClosedFile file, const RingHeader& header)
      : file_(std::move(file)), header_(header) {}

  // Reads the header of the open ring `fd`, and checks that a request may be
  // written to it.
  static absl::StatusOr<RingHeader> ReadHeader(int fd, const std::string& path,
                                               Directory* directory) {
    const absl::StatusOr<FileContent> bytes =
        ReadFileContent(fd, path, kMaxRingFileBytes, kRingHeaderAreaBytes);
    if (!bytes.ok()) return bytes.status();
    absl::StatusOr<RingHeader> header = ParseRingHeader(bytes->view());
    if (!header.ok()) return header;
    struct stat st;
    if (fstat(fd, &st) != 0) return absl::ErrnoToStatus(errno, "cannot stat");
    if (geteuid() != 0 && st.st_uid != geteuid()) {
      // A file system may map owners.
      const absl::Status is_own = directory->CheckIsOwn(fd, Basename(path));
      if (!is_own.ok()) return is_own;
    }
    const std::string name = RingFileName(*header);
    if (Basename(path) == name) return header;
    return absl::InvalidArgumentError(
        absl::StrCat("its header has the name ", name,
                     "; a request is written only to a ring with its name"));
  }

  // Removes the path, because the caller prints it too.
  static absl::Status WithoutPath(const absl::Status& status,
                                  const std::string& path) {
    return absl::Status(
        status.code(),
        absl::StrReplaceAll(status.message(), {{absl::StrCat(path, ": "), ""},
                                               {absl::StrCat(" ", path), ""}}));
  }

  off_t offset() const {
    return static_cast<off_t>(header_.live_offset +
                              offsetof(RingLive, rotation));
  }
  bool Read(RotationRequest* request) const {
    return pread(file_.fd(), request, sizeof *request, offset()) ==
           static_cast<ssize_t>(sizeof *request);
  }

  const ForkClosedFile file_;
  const RingHeader header_;
  uint64_t requested_ = 0;
};

// A request that was written to a ring.
struct PendingRequest {
  std::string path;
  std::unique_ptr<LiveRing> ring;
};

// Returns the outcome of a request, or an empty string while it is pending.
std::string Outcome(const PendingRequest& pending) {
  if (pending.ring->IsDone()) return "has closed its segment";
  if (pending.ring->state() == LiveRing::State::kHasEndedWell) {
    return "has closed its last segment and ended";
  }
  return "";
}

// Returns the users whose processes may log into a directory without locks: the
// one of this command, and the owner of the directory.
std::set<uid_t> UsersOf(const std::string& directory) {
  std::set<uid_t> users = {geteuid()};
  struct stat st;
  if (stat(directory.c_str(), &st) == 0) users.insert(st.st_uid);
  return users;
}

class Rotation {
 public:
  int Run(const std::vector<std::string>& paths, absl::Duration timeout) {
    for (const std::string& path : paths) AddPath(path);
    const absl::Time deadline = absl::Now() + timeout;
    for (const PendingRequest& pending : requests_) Await(pending, deadline);
    if (!FinishStandardOutput(&output_)) return 2;
    return exit_status_;
  }

 private:
  void AddPath(const std::string& path) {
    struct stat st;
    if (stat(path.c_str(), &st) != 0) {
      Fail(path, absl::ErrnoToStatus(errno, "cannot open").message(), 2);
    } else if (S_ISDIR(st.st_mode)) {
      AddDirectory(path);
    } else if (absl::Status s = AddRing(path); !s.ok()) {
      Fail(path, s.message(), 2);
    }
  }

  // Requests a rotation for each ring in the directory. Ignores rings whose
  // owner has ended.
  void AddDirectory(const std::string& path) {
    absl::Status status;
    const size_t before = requests_.size();
    std::vector<std::string> rings = SharedMemoryRings(path, UsersOf(path));
    for (const std::string& name : ListDirectory(path, &status)) {
      if (ParseFileName(name).kind == FileKind::kRing) {
        rings.push_back(absl::StrCat(path, "/", name));
      }
    }
    for (const std::string& ring : rings) {
      const absl::Status added = AddRing(ring);
      if (!added.ok() && !absl::IsFailedPrecondition(added)) {
        Fail(ring, added.message(), 2);
      }
    }
    if (!status.ok()) {
      Fail(path, status.message(), 2);
    } else if (requests_.size() == before) {
      Fail(path, "no ring of a running process", 2);
    }
  }

  absl::Status AddRing(const std::string& path) {
    absl::StatusOr<std::unique_ptr<LiveRing>> ring = LiveRing::Open(path);
    if (!ring.ok()) return ring.status();
    if (!(*ring)->Request()) return absl::ErrnoToStatus(errno, "cannot write");
    requests_.push_back({path, *std::move(ring)});
    return absl::OkStatus();
  }

  void Await(const PendingRequest& pending, absl::Time deadline) {
    for (;;) {
      // Reads the state before the outcome, because the owner may end directly
      // after it has rotated.
      const bool has_ended =
          pending.ring->state() == LiveRing::State::kHasEnded;
      const std::string outcome = Outcome(pending);
      if (!outcome.empty()) {
        output_.Append(absl::StrCat(VisibleLine(pending.path), ": process ",
                                    pending.ring->process_id(), " ", outcome,
                                    "\n"));
        return;
      }
      if (has_ended) {
        Fail(pending.path,
             absl::StrCat("process ", pending.ring->process_id(),
                          " ended before it closed its segment"),
             1);
        return;
      }
      if (absl::Now() >= deadline) {
        Fail(pending.path,
             absl::StrCat("process ", pending.ring->process_id(),
                          " has not closed its segment yet; it will do so "
                          "when it can"),
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
  std::vector<PendingRequest> requests_;
  int exit_status_ = 0;
};

}  // namespace

int Rotate(const std::vector<std::string>& paths, absl::Duration timeout) {
  return Rotation().Run(paths, timeout);
}

}  // namespace ringlog
