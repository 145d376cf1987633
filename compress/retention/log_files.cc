#include "ringlog/compress/retention/log_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/segment/identify_segment.h"
#include "ringlog/compress/segment/seek_table.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"

namespace ringlog {
namespace {

// Returns the owner of this process's files in `directory`.
absl::StatusOr<uid_t> OwnerIn(Directory* directory) {
  absl::StatusOr<uid_t> owner = directory->OwnOwner();
  if (owner.ok() || absl::IsUnavailable(owner.status())) return owner;
  // The disk may be too full for a new file, and needs retention then. In a
  // user namespace that shows this id for other users, the error is
  // Unavailable.
  return geteuid();
}

// Returns the bytes of a file on the disk. A file system that does not count
// blocks reports none.
uint64_t BytesOnDisk(const struct stat& st) {
  constexpr uint64_t kBlockBytes = 512;
  return st.st_blocks > 0 ? static_cast<uint64_t>(st.st_blocks) * kBlockBytes
                          : static_cast<uint64_t>(st.st_size);
}

// Returns the header of the ring `fd`. Errors are those of ReadFileContent()
// and ParseRingHeader().
absl::StatusOr<RingHeader> HeaderOf(int fd, const std::string& path) {
  const absl::StatusOr<FileContent> bytes =
      ReadFileContent(fd, path, kMaxRingFileBytes, kLiveOffset);
  if (!bytes.ok()) return bytes.status();
  return ParseRingHeader(bytes->view());
}

// Returns the id of the ring that the segment `file` is of, if its content
// agrees with these parts of its name.
std::optional<RingId> RingOfSegment(const SegmentFile& file,
                                    uint32_t ring_id_prefix,
                                    uint64_t segment_number) {
  const std::optional<FrameMetadata> metadata =
      IdentifySegment(file, file.opened_bytes());
  if (!metadata.has_value() ||
      RingIdPrefix(metadata->identity.ring_id) != ring_id_prefix ||
      metadata->identity.number != segment_number) {
    return std::nullopt;
  }
  return metadata->identity.ring_id;
}

absl::Status InUse(const LogFile& file) {
  return absl::FailedPreconditionError(absl::StrCat(file.path, ": in use"));
}

absl::Status Replaced(const LogFile& file) {
  return absl::FailedPreconditionError(
      absl::StrCat(file.path, ": not the file that was listed"));
}

}  // namespace

LogFiles::LogFiles(const LogDirectories& directories)
    : program_(directories.program) {
  segments_.path = directories.segments;
  segments_.has_segments = true;
  rings_.path = directories.rings;
}

LogFiles::Listing LogFiles::List(mode_t segment_mode,
                                 absl::FunctionRef<bool()> must_stop) {
  segment_mode_ = segment_mode;
  Listing listing;
  listing.status = Open(&segments_);
  if (listing.status.ok()) ReadNames(&segments_, &listing);
  listing.owner = segments_.owner;
  if (!rings_.path.empty() && rings_.path != segments_.path) {
    const absl::Status status = Open(&rings_);
    if (status.ok() && rings_.identity != segments_.identity) {
      ReadNames(&rings_, &listing);
    }
    listing.status.Update(status);
  }
  bool has_identified = false;
  const auto may_identify = [&] {
    const bool must = must_stop();
    return !std::exchange(has_identified, true) || !must;
  };
  listing.is_complete = IdentifyAll(&segments_, may_identify) &&
                        IdentifyAll(&rings_, may_identify);
  if (!listing.is_complete) return listing;
  last_segments_.clear();
  Collect(&segments_, &listing);
  Collect(&rings_, &listing);
  for (const LogFile& file : listing.files) {
    if (file.kind != FileKind::kSegment) continue;
    uint64_t& last = last_segments_[file.ring_id];
    last = std::max(last, file.segment_number);
  }
  return listing;
}

// Returns true if `place` is open and `named` is its directory. The program may
// have closed the descriptor, and opened another directory under its number.
bool LogFiles::IsOpen(const Place& place, const struct stat& named) {
  if (!place.directory.has_value()) return false;
  const absl::StatusOr<struct stat> open = place.directory->Stat(".");
  return open.ok() && FileIdentity::Of(*open) == FileIdentity::Of(named);
}

// Opens the directory, unless the open one still has the path.
absl::Status LogFiles::Open(Place* place) {
  place->files.clear();
  struct stat named;
  if (stat(place->path.c_str(), &named) != 0) {
    const int error = errno;
    place->directory.reset();
    if (error == ENOENT) return absl::OkStatus();
    return FileStatus(error, absl::StrCat("stat ", place->path));
  }
  if (!IsOpen(*place, named)) {
    place->known.clear();
    place->directory.reset();
    absl::StatusOr<Directory> opened = Directory::Open(place->path);
    if (absl::IsNotFound(opened.status())) return absl::OkStatus();
    if (!opened.ok()) return opened.status();
    const absl::StatusOr<struct stat> st = opened->Stat(".");
    if (!st.ok()) return st.status();
    place->directory = *std::move(opened);
    place->identity = FileIdentity::Of(*st);
  }
  const absl::StatusOr<uid_t> owner = OwnerIn(&*place->directory);
  if (!owner.ok()) return owner.status();
  place->owner = *owner;
  return absl::OkStatus();
}

// Goes by the rule of Directory::CheckIsOwn(). On a file system that lets other
// users write to each file, a mode does not show a forged file: there is no own
// file, unless `segment_mode_` permits that.
bool LogFiles::IsOwn(const Place& place, FileKind kind,
                     const struct stat& st) const {
  mode_t foreign_bits = S_IWGRP | S_IWOTH;
  if (kind == FileKind::kSegment) foreign_bits &= ~segment_mode_;
  return S_ISREG(st.st_mode) && st.st_uid == place.owner && st.st_nlink == 1 &&
         (st.st_mode & foreign_bits) == 0;
}

// Finds the own files in the directory, and adds the others to `listing`.
void LogFiles::ReadNames(Place* place, Listing* listing) const {
  if (!place->directory.has_value()) return;
  const auto read_file = [&](const std::string& name) {
    const ParsedFileName parsed = ParseFileName(name);
    if (parsed.kind == FileKind::kOther || parsed.program != program_ ||
        (parsed.kind == FileKind::kSegment && !place->has_segments)) {
      return false;
    }
    const absl::StatusOr<struct stat> st = place->directory->Stat(name);
    if (!st.ok() || !S_ISREG(st->st_mode)) return false;
    if (IsOwn(*place, parsed.kind, *st)) {
      place->files.push_back({name, *st});
    } else if (place->has_segments) {
      listing->AddForeign(Describe(*place, name, parsed, *st));
    }
    return false;
  };
  const absl::Status status = place->directory->List(read_file).status();
  listing->status.Update(status);
  if (!status.ok()) {
    place->files.clear();
    return;
  }
  const auto by_name = [](const OwnFile& a, const OwnFile& b) {
    return a.name < b.name;
  };
  std::sort(place->files.begin(), place->files.end(), by_name);
  for (auto it = place->known.begin(); it != place->known.end();) {
    const bool exists =
        std::binary_search(place->files.begin(), place->files.end(),
                           OwnFile{it->first, {}}, by_name);
    it = exists ? std::next(it) : place->known.erase(it);
  }
}

// Identifies the files that are not known. Returns false if it ended early.
bool LogFiles::IdentifyAll(Place* place,
                           absl::FunctionRef<bool()> may_identify) const {
  const size_t count = place->files.size();
  const auto next = std::find_if(
      place->files.begin(), place->files.end(),
      [&](const OwnFile& file) { return file.name >= place->next_name; });
  const auto begin = static_cast<size_t>(next - place->files.begin());
  for (size_t i = 0; i < count; ++i) {
    const OwnFile& file = place->files[(begin + i) % count];
    Known& known = place->known[file.name];
    if (known.IsOf(file.st)) continue;
    if (!may_identify()) {
      place->next_name = file.name;
      return false;
    }
    known = Identify(*place, file.name, ParseFileName(file.name), file.st);
  }
  place->next_name.clear();
  return true;
}

// Adds the program's files in the directory to `listing`.
void LogFiles::Collect(Place* place, Listing* listing) const {
  for (const OwnFile& own : place->files) {
    const Known& known = place->known[own.name];
    if (!known.is_ours) continue;
    LogFile file = Describe(*place, own.name, ParseFileName(own.name), own.st);
    file.ring_id = known.ring_id;
    file.stays = file.kind == FileKind::kRing && MayBeAlive(known.process);
    listing->files.push_back(std::move(file));
  }
  place->files.clear();
}

void LogFiles::Listing::AddForeign(LogFile file) {
  // Other users must not make this process use up its memory.
  constexpr size_t kMaxForeign = 4096;
  ++foreign_count;
  if (foreign.size() < kMaxForeign) foreign.push_back(std::move(file));
}

// A segment that has grown may have an intact first frame now.
bool LogFiles::Known::IsOf(const struct stat& st) const {
  return identity == FileIdentity::Of(st) &&
         (is_ours || bytes == static_cast<uint64_t>(st.st_size));
}

LogFile LogFiles::Describe(const Place& place, const std::string& name,
                           const ParsedFileName& parsed,
                           const struct stat& st) const {
  LogFile file;
  file.path = place.directory->PathOf(name);
  file.kind = parsed.kind;
  file.segment_number = parsed.segment_number;
  file.begun = absl::FromUnixNanos(parsed.time_ns);
  file.modified = absl::TimeFromTimespec(st.st_mtim);
  file.bytes = BytesOnDisk(st);
  file.is_in_ring_directory = !place.has_segments;
  file.is_elsewhere = place.identity.device != segments_.identity.device;
  file.device = st.st_dev;
  file.inode = st.st_ino;
  return file;
}

LogFiles::Known LogFiles::Identify(const Place& place, const std::string& name,
                                   const ParsedFileName& parsed,
                                   const struct stat& st) const {
  Known known;
  known.identity = FileIdentity::Of(st);
  known.bytes = static_cast<uint64_t>(st.st_size);
  if (parsed.kind == FileKind::kSegment) {
    const absl::StatusOr<SegmentFile> file =
        SegmentFile::OpenIn(*place.directory, name, O_RDONLY);
    if (!file.ok()) return known;
    const std::optional<RingId> ring =
        RingOfSegment(*file, parsed.ring_id_prefix, parsed.segment_number);
    known.is_ours = ring.has_value();
    known.ring_id = ring.value_or(RingId());
    return known;
  }
  const ForkClosedFile file = place.directory->OpenFile(name, O_RDONLY);
  if (file.fd() < 0) return known;
  const absl::StatusOr<RingHeader> header =
      HeaderOf(file.fd(), place.directory->PathOf(name));
  if (!header.ok()) return known;
  known.is_ours = RingFileName(*header) == name &&
                  WritesSegmentsTo(*header, place.has_segments, segments_.path);
  known.ring_id = RingIdOf(*header);
  known.process = OwnerOf(*header);
  return known;
}

absl::Status LogFiles::Delete(const LogFile& file) {
  const Place& place = file.is_in_ring_directory ? rings_ : segments_;
  if (!place.directory.has_value()) {
    return absl::NotFoundError(absl::StrCat(place.path, ": no such directory"));
  }
  const std::string name(Basename(file.path));
  return file.kind == FileKind::kRing ? DeleteRing(file, place, name)
                                      : DeleteSegment(file, place, name);
}

bool LogFiles::IsListed(const LogFile& file, const Place& place,
                        const struct stat& st) const {
  return st.st_dev == file.device && st.st_ino == file.inode &&
         IsOwn(place, file.kind, st);
}

// Returns true if a process may still write to the segment, on a file system
// without locks. The listing is no proof of the contrary: the ring may be in
// /dev/shm of another host, or in memory.
bool LogFiles::MayBeWritten(const LogFile& file, const SegmentFile& segment,
                            const struct stat& st) const {
  constexpr absl::Duration kIdle = absl::Hours(24);
  const auto last = last_segments_.find(file.ring_id);
  if (last != last_segments_.end() && last->second > file.segment_number) {
    return false;
  }
  return !HasSeekTable(segment) &&
         absl::Now() - absl::TimeFromTimespec(st.st_mtim) < kIdle;
}

absl::Status LogFiles::DeleteSegment(const LogFile& file, const Place& place,
                                     const std::string& name) const {
  const absl::StatusOr<SegmentFile> segment =
      SegmentFile::OpenIn(*place.directory, name, O_RDONLY);
  if (!segment.ok()) return segment.status();
  const absl::StatusOr<struct stat> st = segment->Stat();
  if (!st.ok()) return st.status();
  if (!IsListed(file, place, *st) ||
      RingOfSegment(*segment, RingIdPrefix(file.ring_id),
                    file.segment_number) != file.ring_id) {
    return Replaced(file);
  }
  absl::StatusOr<bool> is_used = segment->IsLocked();
  if (absl::IsUnimplemented(is_used.status())) {
    is_used = MayBeWritten(file, *segment, *st);
  }
  if (!is_used.ok()) return is_used.status();
  if (*is_used) return InUse(file);
  if (!segment->IsNamed(*place.directory, name)) return Replaced(file);
  return place.directory->Delete(name);
}

absl::Status LogFiles::DeleteRing(const LogFile& file, const Place& place,
                                  const std::string& name) const {
  // Open for writing, as the lock requires. Closing the file unlocks it, so it
  // stays open until it is deleted.
  const ForkClosedFile ring = place.directory->OpenFile(name, O_RDWR);
  if (ring.fd() < 0) {
    return FileStatus(errno, absl::StrCat("open ", file.path));
  }
  if (absl::Status s = LockFile(ring.fd(), file.path); !s.ok()) return s;
  struct stat st;
  if (fstat(ring.fd(), &st) != 0) {
    return FileStatus(errno, absl::StrCat("stat ", file.path));
  }
  const absl::StatusOr<RingHeader> header = HeaderOf(ring.fd(), file.path);
  if (!header.ok()) return header.status();
  if (!IsListed(file, place, st) || RingIdOf(*header) != file.ring_id ||
      !place.directory->Names(name, ring.fd())) {
    return Replaced(file);
  }
  return place.directory->Delete(name);
}

}  // namespace ringlog
