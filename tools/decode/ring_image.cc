#include "ringlog/tools/decode/ring_image.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/os/file_lock.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/ring/ring_header_scan.h"
#include "ringlog/ring/slot_word.h"
#include "ringlog/tools/decode/inputs.h"

namespace ringlog {
namespace {

// Items that take more memory are read from the file again.
constexpr size_t kMaxKeptBytes = 64 << 10;

// Opens a regular file, and stores its owner.
absl::StatusOr<ForkClosedFile> OpenRing(const std::string& path, uid_t* owner) {
  ForkClosedFile file = ForkClosedFile::Open(path, O_RDONLY | O_NONBLOCK);
  if (file.fd() < 0) return FileStatus(errno, "open");
  struct stat st;
  if (fstat(file.fd(), &st) != 0) return absl::ErrnoToStatus(errno, "stat");
  *owner = st.st_uid;
  if (S_ISREG(st.st_mode)) return file;
  return absl::InvalidArgumentError(S_ISDIR(st.st_mode) ? "a directory"
                                                        : "not a regular file");
}

// Reads up to `length` bytes at `offset`; fewer only if the file ends there.
absl::StatusOr<size_t> ReadAt(int fd, uint64_t offset, uint64_t length,
                              char* out) {
  size_t done = 0;
  while (done < length) {
    const ssize_t n =
        pread(fd, out + done, length - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, "read");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  return done;
}

// Rebuilds the header of a ring whose header and copy cannot be read for
// `reason`. A file without their magic is a ring only if its slots prove it.
absl::StatusOr<RingHeader> Rebuild(FileSource* source,
                                   const absl::Status& reason) {
  if (absl::IsUnimplemented(reason) || source->size() > kMaxRingFileBytes) {
    return reason;
  }
  absl::StatusOr<RingHeader> header = RebuildRingHeader(source);
  if (header.ok() || !absl::IsDataLoss(reason)) {
    return header.ok() ? header : reason;
  }
  return absl::DataLossError(
      absl::StrCat(reason.message(), "; ", header.status().message()));
}

// Reads the live part until two readings are equal, so that no cursor is half
// of one publication and half of the next.
absl::Status ReadLive(int fd, uint64_t offset, uint64_t length, char* out) {
  constexpr int kMaxReadings = 1000;
  std::string before(length, '\0');
  std::string now(length, '\0');
  for (int i = 0; i < kMaxReadings; ++i) {
    absl::StatusOr<size_t> n = ReadAt(fd, offset, length, now.data());
    if (!n.ok()) return n.status();
    if (i > 0 && now == before) break;
    std::swap(now, before);
  }
  std::memcpy(out, before.data(), length);
  return absl::OkStatus();
}

// ReadLive() compares the bytes from the cursors on: writers and flusher change
// the words before them all the time.
constexpr uint64_t kCursorOffset = offsetof(RingLive, cursor_selector);

}  // namespace

absl::StatusOr<RingHeader> RingImage::ReadHeader(const std::string& path,
                                                 uid_t owner) {
  uid_t opened = 0;
  const absl::StatusOr<ForkClosedFile> file = OpenRing(path, &opened);
  if (!file.ok()) return file.status();
  if (absl::Status s = CheckOwner(owner, opened); !s.ok()) return s;
  char start[kRingHeaderAreaBytes];
  const absl::StatusOr<size_t> n = ReadAt(file->fd(), 0, sizeof start, start);
  if (!n.ok()) return n.status();
  return ParseRingHeader(absl::string_view(start, *n));
}

size_t RingImage::MaxOpen() {
  constexpr rlim_t kMax = 256;
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return 1;
  return std::clamp<rlim_t>(files.rlim_cur / 8, 1, kMax);
}

absl::StatusOr<RingImage> RingImage::Read(const std::string& path) {
  auto room = std::make_unique<SpoolRoom>();
  absl::StatusOr<RingImage> image = ReadInto(room.get(), path);
  if (image.ok()) image->own_room_ = std::move(room);
  return image;
}

absl::StatusOr<RingImage> RingImage::ReadWithoutText(const std::string& path) {
  auto room = std::make_unique<SpoolRoom>();
  absl::StatusOr<RingImage> image = Make(room.get(), path, /*has_text=*/false);
  if (image.ok()) image->own_room_ = std::move(room);
  return image;
}

absl::StatusOr<RingImage> RingImage::Make(SpoolRoom* room,
                                          const std::string& path,
                                          bool has_text) {
  RingImage image;
  absl::StatusOr<ForkClosedFile> file = OpenRing(path, &image.owner_);
  if (!file.ok()) return file.status();
  image.file_ = *std::move(file);
  const int fd = image.file_.fd();
  absl::StatusOr<std::unique_ptr<FileSource>> source =
      FileSource::Make(fd, "", std::numeric_limits<uint64_t>::max());
  if (!source.ok()) return source.status();
  image.source_ = *std::move(source);
  if (absl::Status s = image.FindHeader(); !s.ok()) return s;
  // Asked before the first reading: an owner that ends afterwards may have
  // written meanwhile.
  image.may_be_in_use_ = image.MayBeInUse(path);
  absl::StatusOr<std::unique_ptr<RingRecovery>> recovery = RingRecovery::Start(
      image.source_.get(), image.summary_.header, RecoverFrom::kEverything);
  if (!recovery.ok()) return recovery.status();
  image.recovery_ = *std::move(recovery);
  image.summary_ = image.recovery_->summary();
  if (image.may_be_in_use_) {
    if (absl::Status s = image.Spool(room, has_text); !s.ok()) return s;
  }
  const RingSummary& found = image.summary_;
  if (found.has_live) image.cursor_ = found.cursor;
  image.cursor_state_ = CursorStateOf(found.has_live ? &found.live : nullptr,
                                      found.header, image.cursor_);
  return image;
}

absl::Status RingImage::FindHeader() {
  const absl::StatusOr<absl::string_view> start =
      source_->Read(0, kRingHeaderAreaBytes);
  if (!start.ok()) return start.status();
  absl::StatusOr<RingHeader> header = ParseRingHeader(*start);
  if (!header.ok()) {
    header_is_rebuilt_ = true;
    header = Rebuild(source_.get(), header.status());
  }
  if (!header.ok()) return header.status();
  if (header->file_bytes > kMaxRingFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a ring of ", header->file_bytes, " bytes; at most ",
                     kMaxRingFileBytes, " are read"));
  }
  summary_.header = *header;
  return absl::OkStatus();
}

// Returns true if a process may write to the file. Its owner does so without a
// lock only if it maps the file: a forged header can name any process. Also
// true if locks do not work.
bool RingImage::MayBeInUse(const std::string& path) const {
  const absl::StatusOr<bool> is_locked = IsLocked(file_.fd(), path);
  return !is_locked.ok() || *is_locked ||
         (owner_may_be_alive() &&
          MayHaveMapped(header().process_id, Basename(path)));
}

// Copies all items to `spool`. Returns false as soon as they take more than
// `max_bytes` bytes.
absl::StatusOr<bool> RingImage::CopyItems(uint64_t max_bytes, bool has_text,
                                          ItemSpool* spool) {
  while (true) {
    const absl::StatusOr<RingRecovery::Item> item = recovery_->Next();
    if (!item.ok()) return item.status();
    if (*item == RingRecovery::Item::kEnd) return true;
    absl::Status added;
    if (*item == RingRecovery::Item::kGap) {
      if (spool->bytes() + ItemSpool::kItemBytes > max_bytes) return false;
      added = spool->Add(recovery_->gap());
    } else {
      RecoveredRecord record = recovery_->record();
      if (!has_text) record.head = record.body = {};
      if (spool->bytes() + ItemSpool::kItemBytes + record.head.size() +
              record.body.size() >
          max_bytes) {
        return false;
      }
      added = spool->Add(record);
    }
    if (!added.ok()) return added;
  }
}

// Keeps the items of one moment, the first reading of `tail`, although a live
// process writes meanwhile. A record below that tail is either in its slot when
// the slots are read, or it was released before. In the second case the cursor,
// which is read after the slots, covers the record. Next() leaves out records
// above that tail and below that cursor.
absl::Status RingImage::Spool(SpoolRoom* room, bool has_text) {
  auto spool = std::make_unique<ItemSpool>(room);
  recovery_->Restart(RecoverFrom::kEverything);
  const absl::StatusOr<bool> copied =
      CopyItems(std::numeric_limits<uint64_t>::max(), has_text, spool.get());
  if (!copied.ok()) return copied.status();
  if (absl::Status s = ReadLiveAgain(); !s.ok()) return s;
  spool_ = std::move(spool);
  recovery_.reset();
  return absl::OkStatus();
}

// Reads the cursor again, and computes the positions that count.
absl::Status RingImage::ReadLiveAgain() {
  if (!summary_.has_live) return absl::OkStatus();
  const RingHeader& header = summary_.header;
  RingLive now;
  const absl::StatusOr<size_t> n =
      ReadAt(file_.fd(), header.live_offset, kCursorOffset,
             reinterpret_cast<char*>(&now));
  if (!n.ok()) return n.status();
  if (*n < kCursorOffset) return absl::OkStatus();
  char* const live = reinterpret_cast<char*>(&summary_.live);
  if (absl::Status s =
          ReadLive(file_.fd(), header.live_offset + kCursorOffset,
                   sizeof(RingLive) - kCursorOffset, live + kCursorOffset);
      !s.ok()) {
    return s;
  }
  summary_.cursor =
      ParsePersistCursor(absl::string_view(live, sizeof(RingLive)), header);
  // Slots of lower positions were released, or used again, during the reading.
  first_gap_position_ = summary_.cursor.end_position;
  if (now.released != summary_.live.released) {
    first_gap_position_ = std::max(first_gap_position_, now.released);
  }
  if (now.tail != summary_.live.tail) {
    end_position_ = summary_.live.tail;
    first_gap_position_ = std::max(
        first_gap_position_, now.tail - std::min(now.tail, header.slot_count));
  }
  summary_.end_position = std::min(summary_.end_position, end_position_);
  return absl::OkStatus();
}

absl::Status RingImage::Restart(RecoverFrom from) {
  first_record_position_ =
      from == RecoverFrom::kCursor ? summary_.cursor.end_position : 0;
  if (spool_ != nullptr) return spool_->Restart();
  recovery_->Restart(from);
  return absl::OkStatus();
}

absl::StatusOr<RingRecovery::Item> RingImage::Next() {
  while (true) {
    absl::StatusOr<RingRecovery::Item> item =
        spool_ != nullptr ? spool_->Next() : recovery_->Next();
    if (!item.ok() || *item == RingRecovery::Item::kEnd) return item;
    if (*item == RingRecovery::Item::kRecord) {
      if (!may_be_in_use_ || Counts(record())) return item;
    } else {
      gap_ = spool_ != nullptr ? spool_->gap() : recovery_->gap();
      if (!may_be_in_use_ || ClipGap()) return item;
    }
  }
}

const RecoveredRecord& RingImage::record() const {
  return spool_ != nullptr ? spool_->record() : recovery_->record();
}

bool RingImage::Counts(const RecoveredRecord& r) const {
  return r.is_crash_report || (r.position >= first_record_position_ &&
                               r.position + r.slot_count <= end_position_);
}

// Returns false if nothing of the gap is left.
bool RingImage::ClipGap() {
  gap_.first_position = std::max(gap_.first_position, first_gap_position_);
  gap_.end_position = std::min(gap_.end_position, end_position_);
  return gap_.first_position < gap_.end_position;
}

absl::Status RingImage::KeepInMemory(SpoolRoom* room, RecoverFrom from) {
  if (spool_ != nullptr) {
    file_ = ForkClosedFile();
    return absl::OkStatus();
  }
  auto spool = std::make_unique<ItemSpool>(room);
  recovery_->Restart(from);
  const absl::StatusOr<bool> copied = CopyItems(
      std::min(kMaxKeptBytes, room->bytes), /*has_text=*/true, spool.get());
  if (!copied.ok()) return copied.status();
  if (!*copied) {
    room->bytes += spool->bytes();
    return absl::OkStatus();
  }
  spool_ = std::move(spool);
  recovery_.reset();
  source_->FreeWindow();
  file_ = ForkClosedFile();
  return absl::OkStatus();
}

RingFacts RingImage::facts() const {
  return MakeRingFacts(header(), is_of_another_boot(), cursor_state_, cursor_);
}

std::string RingImage::program() const {
  return std::string(
      summary_.header.program,
      strnlen(summary_.header.program, sizeof summary_.header.program));
}

bool RingImage::owner_may_be_alive() const {
  return MayBeAlive(OwnerOf(summary_.header));
}

bool RingImage::is_of_another_boot() const {
  return !IsOfThisBoot(OwnerOf(summary_.header).boot_id);
}

std::string RingImage::DescribeRebuilt() const {
  return absl::StrCat("slots of ", summary_.header.slot_bytes, " bytes, ",
                      summary_.header.slot_count, " of them");
}

void RingImage::SetRingId(const std::array<uint8_t, 16>& id) {
  std::memcpy(summary_.header.ring_id, id.data(), id.size());
}

absl::StatusOr<std::vector<CrashReport>> RingImage::crash_reports() const {
  const RingHeader& header = summary_.header;
  const absl::StatusOr<absl::string_view> area =
      source_->Read(header.crash_offset, header.crash_bytes);
  if (!area.ok()) return area.status();
  return ReadCrashArea(area->substr(0, header.crash_bytes),
                       ChecksumSeed(header.ring_id));
}

}  // namespace ringlog
