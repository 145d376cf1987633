#include "ringlog/compress/recovery/leftover_recovery.h"

#include <sys/stat.h>
#include <unistd.h>

#include <new>
#include <utility>

#include "absl/base/config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/segment/file_name.h"
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
  std::string path;
  ParsedFileName name;
  bool is_unfinished = false;
};

std::vector<NamedRing> RingsIn(const std::string& directory,
                               absl::Status* status) {
  std::vector<NamedRing> rings;
  for (const std::string& name : ListDirectory(directory, status)) {
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

// Returns false if another user may have forged the file: several users may
// write to a directory that is only for rings.
bool MayBeTrusted(const std::string& path, bool is_segment_directory) {
  struct stat st;
  return is_segment_directory ||
         (lstat(path.c_str(), &st) == 0 && st.st_uid == geteuid());
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

bool IsLeftoverOf(const std::string& segment_directory, const NamedRing& ring,
                  bool is_segment_directory) {
  if (!MayBeTrusted(ring.path, is_segment_directory)) return false;
  if (ring.is_unfinished) return !MakerMayBeAlive(ring.name);
  const absl::StatusOr<RingHeader> header = ReadLeftoverHeader(ring.path);
  if (header.ok()) {
    return WritesSegmentsTo(*header, is_segment_directory, segment_directory);
  }
  // In a directory of its own, an unreadable ring is usually another user's.
  return is_segment_directory && !absl::IsFailedPrecondition(header.status()) &&
         !absl::IsNotFound(header.status());
}

// Deletes the ring `fd` that its maker did not finish. Its slots are zero,
// because a ring is renamed before its first record. A file with other bytes
// there is another one, for example a copy of a ring, and stays.
absl::Status DeleteUnfinished(int fd, const std::string& path) {
  const absl::StatusOr<FileContent> bytes =
      ReadFileContent(fd, path, kMaxRingFileBytes, kMaxRingFileBytes);
  if (!bytes.ok()) return bytes.status();
  if (bytes->view().find_first_not_of('\0', kSlotsOffset) !=
      absl::string_view::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": has records, and an unfinished ring (",
                     kUnfinishedSuffix, ") has none"));
  }
  return DeleteFile(path);
}

absl::StatusOr<LeftoverReport> Recover(const std::string& path,
                                       const std::string& segment_directory,
                                       const SegmentWriterOptions& options) {
  // Closing the file unlocks it, so it stays open until it is deleted.
  const absl::StatusOr<ForkClosedFile> fd = OpenLeftover(path);
  if (!fd.ok()) return fd.status();
  LeftoverReport report;
  report.ring_path = path;
  if (absl::EndsWith(path, kUnfinishedSuffix)) {
    if (absl::Status s = DeleteUnfinished(fd->fd(), path); !s.ok()) return s;
    return report;
  }
  const absl::StatusOr<LeftoverRing> leftover = ReadLeftover(fd->fd(), path);
  if (!leftover.ok()) return leftover.status();
  if (absl::Status s =
          AddToSegments(leftover->ring, segment_directory, options, &report);
      !s.ok()) {
    return PrependPath(s, path);
  }
  if (absl::Status s = DeleteFile(path); !s.ok()) return s;
  return report;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> FindLeftovers(
    const std::string& directory, const std::string& segment_directory) {
  const bool is_segment_directory = directory == segment_directory;
  std::vector<std::string> paths;
  absl::Status status;
  for (NamedRing& ring : RingsIn(directory, &status)) {
    if (IsLeftoverOf(segment_directory, ring, is_segment_directory)) {
      paths.push_back(std::move(ring.path));
    }
  }
  if (!status.ok()) return status;
  return paths;
}

absl::StatusOr<LeftoverReport> RecoverLeftover(
    const std::string& path, const std::string& segment_directory,
    const SegmentWriterOptions& options) {
#ifdef ABSL_HAVE_EXCEPTIONS
  // A ring may be large. The program must not end because of a recovery.
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
