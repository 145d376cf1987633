#include "ringlog/compress/recovery/leftover_recovery.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>

#include "absl/base/config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/file_source.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/os/stderr_log.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

constexpr absl::string_view kUnfinishedSuffix = ".tmp";

// A file that is named like a ring.
struct NamedRing {
  std::string file_name;
  ParsedFileName name;
  bool is_unfinished = false;
};

// Also deletes the temporary files that killed recoveries left.
absl::StatusOr<std::vector<NamedRing>> RingsIn(Directory* directory) {
  const absl::StatusOr<std::vector<std::string>> names = directory->List();
  if (!names.ok()) return names.status();
  std::vector<NamedRing> rings;
  for (const std::string& name : *names) {
    directory->DeleteIfStale(name);
    NamedRing ring;
    absl::string_view stem = name;
    ring.is_unfinished = absl::ConsumeSuffix(&stem, kUnfinishedSuffix);
    ring.name = ParseFileName(stem);
    if (ring.name.kind != FileKind::kRing) continue;
    ring.file_name = name;
    rings.push_back(std::move(ring));
  }
  return rings;
}

// Goes by the process id in the name, because an unfinished file may not have
// any other trace of its process, and because a request for its lock disturbs a
// living process. A file with the id of the calling process is an exception:
// after the restart of a container it is from the former process of this id.
bool MakerMayBeAlive(const ParsedFileName& name) {
  ProcessIdentity maker;
  maker.process_id = name.process_id;
  return name.process_id != getpid() && MayBeAlive(maker);
}

bool IsOwn(Directory* directory, const std::string& name) {
  const ForkClosedFile file = directory->OpenFile(name, O_RDONLY);
  return file.fd() >= 0 && directory->CheckIsOwn(file.fd(), name).ok();
}

bool IsLeftoverOf(const std::string& segment_directory, const NamedRing& ring,
                  bool is_segment_directory, Directory* directory) {
  if (ring.is_unfinished) {
    return !MakerMayBeAlive(ring.name) &&
           (is_segment_directory || IsOwn(directory, ring.file_name));
  }
  const absl::StatusOr<RingHeader> header =
      ReadLeftoverHeader(directory, ring.file_name);
  if (header.ok()) {
    return WritesSegmentsTo(*header, is_segment_directory, segment_directory);
  }
  // In a directory of its own, an unreadable ring is usually another user's.
  return is_segment_directory && !absl::IsFailedPrecondition(header.status()) &&
         !absl::IsNotFound(header.status());
}

// Checks the ring `fd` that its maker did not finish. Its slots are zero,
// because a ring is renamed before its first record. A file with other bytes
// there is another one, for example a copy of a ring, and must stay.
absl::Status CheckUnfinished(int fd, const std::string& path) {
  const absl::StatusOr<std::unique_ptr<FileSource>> source =
      FileSource::Make(fd, path, kMaxRingFileBytes);
  if (!source.ok()) return source.status();
  uint64_t at = (*source)->EndOfHole(std::min(kSlotsOffset, (*source)->size()));
  while (at < (*source)->size()) {
    const absl::StatusOr<absl::string_view> bytes = (*source)->Read(at, 1);
    if (!bytes.ok()) return bytes.status();
    if (bytes->find_first_not_of('\0') != absl::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": has records, and an unfinished ring (",
                       kUnfinishedSuffix, ") has none"));
    }
    at = (*source)->EndOfHole(at + bytes->size());
  }
  return absl::OkStatus();
}

// A ring under another name may be a copy, and the process of the original may
// be alive: the lock of the copy shows nothing about it.
absl::Status CheckName(const RingHeader& header, const std::string& path) {
  const std::string name = RingFileName(header);
  if (Basename(path) == name) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": its header has the name ", name,
      "; if it is no copy of another ring, give it this name, or use ringlog "
      "recover --out"));
}

// Moves the records of the open and locked ring `fd` into segments.
absl::Status MoveRecords(int fd, const std::string& path,
                         const std::string& segment_directory,
                         const SegmentWriterOptions& options,
                         LeftoverReport* report) {
  const absl::StatusOr<LeftoverRing> leftover = ReadLeftover(fd, path);
  if (!leftover.ok()) return leftover.status();
  if (absl::Status s = CheckName(leftover->ring->summary().header, path);
      !s.ok()) {
    return s;
  }
  absl::StatusOr<Directory> directory = Directory::Open(segment_directory);
  absl::Status status = directory.status();
  if (status.ok()) {
    status = AddToSegments(leftover->ring.get(), &*directory, options, report);
  }
  return status.ok() ? status : PrependPath(status, path);
}

absl::StatusOr<LeftoverReport> Recover(const std::string& path,
                                       const std::string& segment_directory,
                                       const SegmentWriterOptions& options) {
  absl::StatusOr<Directory> directory = Directory::Open(Dirname(path));
  if (!directory.ok()) return directory.status();
  const std::string name(Basename(path));
  // Closing the file unlocks it, so it stays open until it is deleted.
  const absl::StatusOr<ForkClosedFile> file = OpenLeftover(&*directory, name);
  if (!file.ok()) return file.status();
  LeftoverReport report;
  report.ring_path = path;
  const absl::Status status =
      absl::EndsWith(path, kUnfinishedSuffix)
          ? CheckUnfinished(file->fd(), path)
          : MoveRecords(file->fd(), path, segment_directory, options, &report);
  if (!status.ok()) return status;
  if (absl::Status s = directory->Delete(name); !s.ok()) return s;
  return report;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> FindLeftovers(
    const std::string& directory, const std::string& segment_directory) {
  const bool is_segment_directory = directory == segment_directory;
  absl::StatusOr<Directory> opened = Directory::Open(directory);
  if (absl::IsNotFound(opened.status())) return std::vector<std::string>();
  if (!opened.ok()) return opened.status();
  const absl::StatusOr<std::vector<NamedRing>> rings = RingsIn(&*opened);
  if (!rings.ok()) return rings.status();
  std::vector<std::string> paths;
  for (const NamedRing& ring : *rings) {
    if (IsLeftoverOf(segment_directory, ring, is_segment_directory, &*opened)) {
      paths.push_back(opened->PathOf(ring.file_name));
    }
  }
  return paths;
}

absl::StatusOr<LeftoverReport> RecoverLeftover(
    const std::string& path, const std::string& segment_directory,
    const SegmentWriterOptions& options) {
#ifdef ABSL_HAVE_EXCEPTIONS
  // The program must not end because of a recovery.
  try {
    return Recover(path, segment_directory, options);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(
        absl::StrCat(path, ": no memory to recover it"));
  }
#else
  return Recover(path, segment_directory, options);
#endif
}

void WarnOfLeftovers(absl::Span<const absl::Status> errors) {
  if (errors.empty()) return;
  const std::string others =
      errors.size() == 1 ? ""
                         : absl::StrCat("; and ", errors.size() - 1, " more");
  WarnRateLimited(
      absl::StrCat("cannot recover leftover rings: ", errors.front().message(),
                   others, "; the files stay"));
}

}  // namespace ringlog
