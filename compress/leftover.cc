#include "ringlog/compress/leftover.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "ringlog/compress/leftover_file.h"
#include "ringlog/compress/rotation.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/ring/unshared_file.h"

namespace ringlog {
namespace {

// Whether the segments of the ring at `path` are in `segment_directory`. What
// cannot be read is another user's where directories are shared; in a program's
// own directory it is an error, which reading it will tell.
bool GoesTo(const std::string& path, const std::string& ring_directory,
            const std::string& segment_directory) {
  const bool is_own_directory = ring_directory == segment_directory;
  // In a directory for everybody another user may have made it up.
  struct stat st;
  if (!is_own_directory &&
      (lstat(path.c_str(), &st) != 0 || st.st_uid != geteuid())) {
    return false;
  }
  const absl::StatusOr<RingHeader> header = ReadRingHeader(path, O_NOFOLLOW);
  if (!header.ok()) return is_own_directory;
  const absl::string_view recorded = SegmentDirectory(*header);
  return recorded.empty()
             ? is_own_directory
             : recorded == SegmentDirectoryField(segment_directory);
}

// A ring that its maker did not live to give a name holds nothing.
void RemoveUnfinished(const std::string& path) {
  const absl::StatusOr<UnsharedFile> fd = OpenLeftover(path);
  if (fd.ok()) unlink(path.c_str());
}

}  // namespace

absl::StatusOr<LeftoverReport> RecoverLeftover(
    const std::string& ring_path, const std::string& segment_directory,
    const SegmentWriterOptions& options) {
  // Closing ends the lock, so it comes after the ring has gone.
  const absl::StatusOr<UnsharedFile> fd = OpenLeftover(ring_path);
  if (!fd.ok()) return fd.status();
  const absl::StatusOr<LeftoverRing> leftover =
      ReadLeftover(fd->fd(), ring_path);
  if (!leftover.ok()) return leftover.status();
  LeftoverReport report;
  report.ring_path = ring_path;
  if (absl::Status s =
          AddToSegments(leftover->ring, segment_directory, options, &report);
      !s.ok()) {
    return Annotate(s, ring_path);
  }
  if (unlink(ring_path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("delete ", ring_path));
  }
  return report;
}

LeftoverSweep RecoverLeftovers(const std::string& ring_directory,
                               const std::string& segment_directory,
                               const SegmentWriterOptions& options) {
  LeftoverSweep sweep;
  absl::Status listed;
  for (const std::string& name : NamesIn(ring_directory, &listed)) {
    const std::string path = absl::StrCat(ring_directory, "/", name);
    absl::string_view stem = name;
    if (absl::ConsumeSuffix(&stem, ".tmp")) {
      if (ParseFileName(stem).kind == FileKind::kRing) RemoveUnfinished(path);
      continue;
    }
    if (ParseFileName(name).kind != FileKind::kRing ||
        !GoesTo(path, ring_directory, segment_directory)) {
      continue;
    }
    absl::StatusOr<LeftoverReport> report =
        RecoverLeftover(path, segment_directory, options);
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

}  // namespace ringlog
