#include "ringlog/tools/command/recover_in_place.h"

#include <sys/stat.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ringlog/compress/recovery/leftover_segments.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

absl::Status Replaced(const std::string& path) {
  return absl::UnavailableError(absl::StrCat(
      path, ": another process has replaced it; run the command again"));
}

// The ring of a symlink could not be deleted: its own path is not known.
absl::Status IsSymlink(const std::string& path) {
  return absl::InvalidArgumentError(absl::StrCat(
      path,
      ": a symlink; give the path of the ring itself, or use ringlog "
      "recover --out with another directory"));
}

}  // namespace

absl::StatusOr<LeftoverReport> RecoverInPlace(const std::string& path,
                                              const LeftoverRing& read,
                                              Directory* output) {
  absl::StatusOr<Directory> directory = Directory::Open(Dirname(path));
  if (!directory.ok()) return directory.status();
  const std::string name(Basename(path));
  if (FileIsGone(directory->PathOf(name))) {
    return absl::NotFoundError(
        absl::StrCat(path, ": another process has recovered it"));
  }
  if (!directory->Names(name, read.file.fd())) {
    const absl::StatusOr<struct stat> st = directory->Stat(name);
    return st.ok() && S_ISLNK(st->st_mode) ? IsSymlink(path) : Replaced(path);
  }
  // Closing the file unlocks it, so it stays open until it is deleted.
  const absl::StatusOr<ForkClosedFile> file = OpenLeftover(&*directory, name);
  if (!file.ok()) return file.status();
  const absl::StatusOr<LeftoverRing> ring = ReadLeftover(file->fd(), path);
  if (!ring.ok()) return ring.status();
  if (file->identity() != read.file.identity()) return Replaced(path);
  if (absl::Status s =
          CheckRingName(ring->ring->summary().header, path,
                        "ringlog recover --out with another directory");
      !s.ok()) {
    return s;
  }
  LeftoverReport report;
  report.ring_path = path;
  if (absl::Status s = AddToSegments(ring->ring.get(), output,
                                     SegmentWriterOptions(), &report);
      !s.ok()) {
    return PrependPath(s, path);
  }
  // Death here: the next recovery finds the records in the segments.
  if (!directory->Names(name, file->fd())) {
    return absl::AbortedError(absl::StrCat(
        path, ": its records are in ",
        report.segment_path.empty() ? output->path() : report.segment_path,
        ", but another process has deleted or replaced it"));
  }
  if (absl::Status s = directory->Delete(name); !s.ok()) return s;
  return report;
}

}  // namespace ringlog
