#include "ringlog/compress/recovery/leftover_recovery.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <new>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/os/stderr_log.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

// In a directory for everybody another user may have made it up.
bool MayBeTrusted(const std::string& path, bool is_own_directory) {
  struct stat st;
  return is_own_directory ||
         (lstat(path.c_str(), &st) == 0 && st.st_uid == geteuid());
}

// Of the ring at `path`. What cannot be read is another user's where
// directories are shared; in a program's own directory it is an error, which
// reading it will tell.
bool MayGoTo(const std::string& path, bool is_own_directory,
             const std::string& segment_directory) {
  if (!MayBeTrusted(path, is_own_directory)) return false;
  const absl::StatusOr<RingHeader> header = ReadRingHeader(path, O_NOFOLLOW);
  return header.ok()
             ? WritesSegmentsTo(*header, is_own_directory, segment_directory)
             : is_own_directory;
}

// A ring by its name; or, unfinished, what its maker did not live to give one.
struct NamedRing {
  std::string path;
  ParsedFileName name;
  bool is_unfinished = false;
};

constexpr absl::string_view kUnfinishedSuffix = ".tmp";

std::vector<NamedRing> RingsIn(const std::string& directory,
                               absl::Status* listed = nullptr) {
  std::vector<NamedRing> rings;
  for (const std::string& name : ListDirectory(directory, listed)) {
    NamedRing ring;
    absl::string_view stem = name;
    ring.is_unfinished = absl::ConsumeSuffix(&stem, kUnfinishedSuffix);
    ring.name = ParseFileName(stem);
    if (ring.name.kind != FileKind::kRing) continue;
    ring.path = absl::StrCat(directory, "/", name);
    rings.push_back(std::move(ring));
  }
  return rings;
}

absl::Status RemoveUnfinished(const std::string& path) {
  const absl::StatusOr<ForkClosedFile> fd = OpenLeftover(path);
  if (!fd.ok()) return fd.status();
  if (unlink(path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("delete ", path));
  }
  return absl::OkStatus();
}

// By the id in its name: there may be no more to go by, and to ask for its lock
// would get in the way of a maker that lives.
bool MakerMayBeAlive(const ParsedFileName& name) {
  ProcessIdentity maker;
  maker.process_id = name.process_id;
  return MayBeAlive(maker);
}

absl::StatusOr<LeftoverReport> Recover(const std::string& ring_path,
                                       const std::string& segment_directory,
                                       const SegmentWriterOptions& options) {
  // Closing ends the lock, so it comes after the ring has gone.
  const absl::StatusOr<ForkClosedFile> fd = OpenLeftover(ring_path);
  if (!fd.ok()) return fd.status();
  const absl::StatusOr<LeftoverRing> leftover =
      ReadLeftover(fd->fd(), ring_path);
  if (!leftover.ok()) return leftover.status();
  LeftoverReport report;
  report.ring_path = ring_path;
  if (absl::Status s =
          AddToSegments(leftover->ring, segment_directory, options, &report);
      !s.ok()) {
    return PrependPath(s, ring_path);
  }
  if (unlink(ring_path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("delete ", ring_path));
  }
  return report;
}

}  // namespace

// All of a ring is read, which may be large, in a program that lives.
absl::StatusOr<LeftoverReport> RecoverLeftover(
    const std::string& ring_path, const std::string& segment_directory,
    const SegmentWriterOptions& options) {
  try {
    return Recover(ring_path, segment_directory, options);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(
        absl::StrCat(ring_path, ": no memory to recover it"));
  }
}

LeftoverSweep RecoverLeftovers(const std::string& ring_directory,
                               const std::string& segment_directory,
                               const SegmentWriterOptions& options) {
  LeftoverSweep sweep;
  absl::Status listed;
  const bool is_own_directory = ring_directory == segment_directory;
  for (const NamedRing& ring : RingsIn(ring_directory, &listed)) {
    if (ring.is_unfinished) {
      RemoveUnfinished(ring.path).IgnoreError();
      continue;
    }
    if (!MayGoTo(ring.path, is_own_directory, segment_directory)) continue;
    absl::StatusOr<LeftoverReport> report =
        RecoverLeftover(ring.path, segment_directory, options);
    if (report.ok()) {
      sweep.recovered.push_back(*std::move(report));
    } else if (!absl::IsFailedPrecondition(report.status()) &&
               !absl::IsNotFound(report.status())) {
      sweep.errors.push_back(report.status());
    }
  }
  if (!listed.ok()) sweep.errors.push_back(listed);
  return sweep;
}

std::vector<std::string> FindLeftovers(const std::string& ring_directory,
                                       const std::string& segment_directory) {
  std::vector<std::string> paths;
  const bool is_own_directory = ring_directory == segment_directory;
  for (NamedRing& ring : RingsIn(ring_directory)) {
    if (!MayBeTrusted(ring.path, is_own_directory)) continue;
    if (ring.is_unfinished) {
      if (MakerMayBeAlive(ring.name)) continue;
    } else {
      const absl::StatusOr<RingHeader> header = ReadLeftoverHeader(ring.path);
      if (!header.ok() ||
          !WritesSegmentsTo(*header, is_own_directory, segment_directory)) {
        continue;
      }
    }
    paths.push_back(std::move(ring.path));
  }
  return paths;
}

absl::Status RecoverFound(const std::string& path,
                          const std::string& segment_directory,
                          const SegmentWriterOptions& options) {
  return absl::EndsWith(path, kUnfinishedSuffix)
             ? RemoveUnfinished(path)
             : RecoverLeftover(path, segment_directory, options).status();
}

void ComplainOfLeftovers(absl::Span<const absl::Status> errors) {
  if (errors.empty()) return;
  WarnRateLimited(absl::StrCat(
      "cannot recover what a process that died has left: ",
      errors.front().message(), errors.size() > 1 ? "; " : "",
      errors.size() > 1 ? absl::StrCat("and ", errors.size() - 1, " more") : "",
      "; the files stay"));
}

}  // namespace ringlog
