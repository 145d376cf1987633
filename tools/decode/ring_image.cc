#include "ringlog/tools/decode/ring_image.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/ring/ring_header_scan.h"
#include "ringlog/ring/slot_word.h"

namespace ringlog {
namespace {

constexpr uint64_t kHeaderReadBytes = 4096;

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
absl::StatusOr<RingHeader> Rebuild(int fd, uint64_t size,
                                   const absl::Status& reason) {
  if (absl::IsUnimplemented(reason) || size > kMaxRingFileBytes) return reason;
  // Not zeroed: it may be gigabytes.
  const std::unique_ptr<char[]> bytes(new char[size]);
  const absl::StatusOr<size_t> n = ReadAt(fd, 0, size, bytes.get());
  if (!n.ok()) return n.status();
  absl::StatusOr<RingHeader> header =
      RebuildRingHeader(absl::string_view(bytes.get(), *n));
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

absl::StatusOr<RingImage> RingImage::Read(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return absl::ErrnoToStatus(errno, "open");
  auto closer = absl::MakeCleanup([fd] { close(fd); });
  struct stat st;
  if (fstat(fd, &st) != 0) return absl::ErrnoToStatus(errno, "stat");
  if (!S_ISREG(st.st_mode)) {
    return absl::InvalidArgumentError(
        S_ISDIR(st.st_mode) ? "a directory" : "not a regular file");
  }
  RingImage image;
  image.file_bytes_ = static_cast<uint64_t>(st.st_size);
  absl::Status found = image.FindHeader(fd);
  if (!found.ok()) return found;
  absl::Status loaded =
      image.Load(fd, std::min(image.file_bytes_, image.header_.file_bytes));
  if (!loaded.ok()) return loaded;
  image.FindCursor();
  return image;
}

absl::Status RingImage::FindHeader(int fd) {
  std::string start(std::min(file_bytes_, kHeaderReadBytes), '\0');
  absl::StatusOr<size_t> n = ReadAt(fd, 0, start.size(), start.data());
  if (!n.ok()) return n.status();
  start.resize(*n);
  absl::StatusOr<RingHeader> header = ParseRingHeader(start);
  if (!header.ok()) {
    header_is_rebuilt_ = true;
    header = Rebuild(fd, file_bytes_, header.status());
  }
  if (!header.ok()) return header.status();
  if (header->file_bytes > kMaxRingFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a ring of ", header->file_bytes, " bytes; at most ",
                     kMaxRingFileBytes, " are read"));
  }
  header_ = *header;
  return absl::OkStatus();
}

// The result is of one moment, the first reading of `tail`, although a live
// process writes meanwhile. A record below that tail is either in its slot when
// the slots are read, or it was released before. In the second case the cursor,
// which is read after the slots, covers the record. Recover() leaves out
// records above that tail.
absl::Status RingImage::Load(int fd, uint64_t size) {
  const uint64_t live_offset = header_.live_offset;
  const bool has_live = size >= live_offset + sizeof(RingLive);
  uint64_t tail = 0;
  if (has_live) {
    absl::StatusOr<size_t> n =
        ReadAt(fd, live_offset + offsetof(RingLive, tail), sizeof tail,
               reinterpret_cast<char*>(&tail));
    if (!n.ok()) return n.status();
  }
  // Not zeroed: it may be a gigabyte.
  bytes_.reset(new char[size]);
  absl::StatusOr<size_t> n = ReadAt(fd, 0, size, bytes_.get());
  if (!n.ok()) return n.status();
  size_ = *n;
  if (!has_live || size_ < live_offset + sizeof(RingLive)) {
    return absl::OkStatus();
  }
  char* live = bytes_.get() + live_offset;
  absl::Status s =
      ReadLive(fd, live_offset + kCursorOffset,
               sizeof(RingLive) - kCursorOffset, live + kCursorOffset);
  if (!s.ok()) return s;
  uint64_t tail_after = 0;
  n = ReadAt(fd, live_offset + offsetof(RingLive, tail), sizeof tail_after,
             reinterpret_cast<char*>(&tail_after));
  if (!n.ok()) return n.status();
  if (tail_after != tail) end_position_ = tail;
  return absl::OkStatus();
}

void RingImage::FindCursor() {
  const absl::string_view live = At(header_.live_offset, sizeof(RingLive));
  if (live.size() < sizeof(RingLive)) {
    cursor_state_ = CursorStateOf(nullptr, header_, cursor_);
    return;
  }
  cursor_ = ParsePersistCursor(live, header_);
  RingLive raw;
  std::memcpy(&raw, live.data(), sizeof raw);
  cursor_state_ = CursorStateOf(&raw, header_, cursor_);
}

RingFacts RingImage::facts() const {
  return MakeRingFacts(header_, is_of_another_boot(), cursor_state_, cursor_);
}

RecoveredRing RingImage::Recover(RecoverFrom from) const {
  RecoveredRing ring = RecoverRing(bytes(), header_, from);
  if (end_position_ == kMaxPosition) return ring;
  // The oldest records may have been overwritten during the reading.
  const uint64_t slots = header_.slot_count;
  const uint64_t first =
      ring.end_position > slots ? ring.end_position - slots : 0;
  ring.end_position = std::min(ring.end_position, end_position_);
  auto& records = ring.records;
  records.erase(std::remove_if(records.begin(), records.end(),
                               [this](const RecoveredRecord& r) {
                                 return !r.is_crash_report &&
                                        r.position + r.slot_count >
                                            end_position_;
                               }),
                records.end());
  std::vector<Gap> gaps;
  for (Gap& gap : ring.gaps) {
    gap.end_position = std::min(gap.end_position, end_position_);
    gap.first_position = std::max(gap.first_position, first);
    if (gap.first_position < gap.end_position) gaps.push_back(gap);
  }
  ring.gaps = std::move(gaps);
  return ring;
}

std::string RingImage::program() const {
  return std::string(header_.program,
                     strnlen(header_.program, sizeof header_.program));
}

bool RingImage::owner_may_be_alive() const {
  return MayBeAlive(OwnerOf(header_));
}

bool RingImage::is_of_another_boot() const {
  return !IsOfThisBoot(OwnerOf(header_).boot_id);
}

std::string RingImage::DescribeRebuilt() const {
  return absl::StrCat("slots of ", header_.slot_bytes, " bytes, ",
                      header_.slot_count, " of them");
}

void RingImage::SetRingId(const std::array<uint8_t, 16>& id) {
  std::memcpy(header_.ring_id, id.data(), id.size());
}

std::vector<CrashReport> RingImage::crash_reports() const {
  return ReadCrashArea(At(header_.crash_offset, header_.crash_bytes),
                       ChecksumSeed(header_.ring_id));
}

absl::string_view RingImage::At(uint64_t offset, uint64_t length) const {
  if (offset >= size_) return {};
  return bytes().substr(offset, length);
}

}  // namespace ringlog
