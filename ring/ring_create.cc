// Creation of a Ring: options, file, and reuse of the ring of a dead process.

#include <linux/mempolicy.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/memory_source.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/relaxed.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/ring/ring_recovery.h"

namespace ringlog {
namespace {

uint32_t SlotBytes(uint64_t head_bytes, uint64_t body_bytes) {
  const uint64_t used = sizeof(SlotHeader) + head_bytes + body_bytes;
  return static_cast<uint32_t>((used + kCacheLineBytes - 1) / kCacheLineBytes *
                               kCacheLineBytes);
}

absl::Status OutOfRange(absl::string_view option, uint64_t value,
                        absl::string_view allowed) {
  return absl::InvalidArgumentError(absl::StrCat(
      "ring option ", option, " is ", value, "; allowed is ", allowed));
}

absl::Status Check(const RingOptions& o) {
  if (o.slot_count < kMinSlotCount || o.slot_count > kMaxSlotCount ||
      (o.slot_count & (o.slot_count - 1)) != 0) {
    return OutOfRange("slot_count", o.slot_count,
                      "a power of two from 2 to 2^26");
  }
  if (o.head_bytes < kRecordHeadFixedBytes || o.head_bytes > kMaxHeadBytes) {
    return OutOfRange("head_bytes", o.head_bytes, "40 to 4096");
  }
  if (o.body_bytes < 1 || o.body_bytes > kMaxBodyBytes) {
    return OutOfRange("body_bytes", o.body_bytes, "1 to 1048576");
  }
  if (o.first_position < 1 || o.first_position > kMaxFirstPosition) {
    return OutOfRange("first_position", o.first_position, "1 to 2^60");
  }
  const uint64_t slots_bytes =
      o.slot_count * SlotBytes(o.head_bytes, o.body_bytes);
  if (slots_bytes > kMaxRingFileBytes - kSlotsOffset) {
    return absl::InvalidArgumentError(
        absl::StrCat("ring options slot_count ", o.slot_count, ", head_bytes ",
                     o.head_bytes, " and body_bytes ", o.body_bytes,
                     " make a file of ", kSlotsOffset + slots_bytes,
                     " bytes; allowed is up to ", kMaxRingFileBytes));
  }
  return absl::OkStatus();
}

int64_t ClockNs(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

void CopyName(const std::string& name, char (&field)[64]) {
  std::memcpy(field, name.data(), std::min(name.size(), sizeof field - 1));
}

// Random bytes make collisions of ring ids negligible, and others cannot
// predict the file's name. A system without getrandom(2) gives the time.
void SetNewRingId(RingHeader* h) {
  if (getrandom(h->ring_id, sizeof h->ring_id, 0) !=
      static_cast<ssize_t>(sizeof h->ring_id)) {
    const int64_t now = ClockNs(CLOCK_REALTIME);
    const int64_t id = getpid();
    std::memcpy(h->ring_id, &now, sizeof now);
    std::memcpy(h->ring_id + sizeof now, &id, sizeof id);
  }
  h->crc32c = RingHeaderChecksum(*h);
}

RingHeader MakeHeader(const RingOptions& options) {
  RingHeader h = EmptyRingHeader();
  h.slot_bytes = SlotBytes(options.head_bytes, options.body_bytes);
  h.slot_count = options.slot_count;
  h.head_bytes = options.head_bytes;
  // The body gets the padding.
  h.body_bytes = h.slot_bytes - static_cast<uint32_t>(sizeof(SlotHeader)) -
                 options.head_bytes;
  h.file_bytes = h.slots_offset + h.slot_count * h.slot_bytes;
  const ProcessIdentity process = CurrentProcess();
  std::memcpy(h.boot_id, process.boot_id.data(), sizeof h.boot_id);
  h.process_id = process.process_id;
  h.process_start_ticks = process.start_ticks;
  h.first_position = options.first_position;
  h.created_unix_ns = ClockNs(CLOCK_REALTIME);
  h.monotonic_anchor_ns = ClockNs(CLOCK_MONOTONIC);
  CopyName(options.host.empty() ? HostName() : options.host, h.host);
  CopyName(options.program.empty() ? ProgramName() : options.program,
           h.program);
  const std::string directory =
      SegmentDirectoryField(options.segment_directory);
  std::memcpy(h.segment_directory, directory.data(), directory.size());
  h.segment_mode = options.segment_mode;
  SetNewRingId(&h);
  return h;
}

void InitializeFile(MappedFile::Bytes bytes, const RingHeader& header) {
  RingLive live = {};
  live.tail = header.first_position;
  live.released = header.first_position;
  std::memcpy(bytes.data() + header.live_offset, &live, sizeof live);
  std::memcpy(bytes.data() + kRingHeaderCopyOffset, &header, sizeof header);
  std::memcpy(bytes.data(), &header, sizeof header);
}

// Calls mbind(2) itself; users would otherwise have to link libnuma.
absl::Status BindToNode(MappedFile::Bytes bytes, int node) {
  if (node < 0) return absl::OkStatus();
  constexpr int kMaxNode = 63;
  if (node > kMaxNode) {
    return OutOfRange("numa_node", static_cast<uint64_t>(node),
                      "a node of this machine");
  }
  const uint64_t mask = uint64_t{1} << node;
  // The kernel uses one bit less than this argument says.
  if (syscall(SYS_mbind, bytes.data(), bytes.size(), MPOL_PREFERRED, &mask,
              kMaxNode + 2, MPOL_MF_MOVE) != 0) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("bind the ring to NUMA node ", node));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Ring>> Ring::Create(const std::string& path,
                                                   const RingOptions& options) {
  if (absl::Status s = Check(options); !s.ok()) return s;
  const RingHeader header = MakeHeader(options);
  return WithFile(MappedFile::Create(path, header.file_bytes,
                                     [&](MappedFile::Bytes bytes) {
                                       InitializeFile(bytes, header);
                                     }),
                  header, options);
}

absl::StatusOr<std::unique_ptr<Ring>> Ring::CreateIn(
    const std::string& directory,
    absl::FunctionRef<std::string(const RingHeader&)> name,
    const RingOptions& options) {
  if (absl::Status s = Check(options); !s.ok()) return s;
  RingHeader header = MakeHeader(options);
  absl::StatusOr<MappedFile> file = MappedFile::Create(
      absl::StrCat(directory, "/", name(header)), header.file_bytes,
      [&](MappedFile::Bytes bytes) { InitializeFile(bytes, header); },
      [&](MappedFile::Bytes bytes) {
        SetNewRingId(&header);
        InitializeFile(bytes, header);
        return name(header);
      });
  return WithFile(std::move(file), header, options);
}

absl::StatusOr<std::unique_ptr<Ring>> Ring::WithFile(
    absl::StatusOr<MappedFile> file, const RingHeader& header,
    const RingOptions& options) {
  if (!file.ok()) return file.status();
  if (absl::Status s = BindToNode(file->bytes(), options.numa_node); !s.ok()) {
    file->Delete().IgnoreError();
    return s;
  }
  std::string path = file->path();
  return std::unique_ptr<Ring>(
      new Ring(*std::move(file), std::move(path), header, options));
}

absl::StatusOr<std::unique_ptr<Ring>> Ring::CreateAnonymous(
    const RingOptions& options) {
  if (absl::Status s = Check(options); !s.ok()) return s;
  const RingHeader header = MakeHeader(options);
  absl::StatusOr<MappedFile> file = MappedFile::CreateAnonymous(
      header.file_bytes,
      [&](MappedFile::Bytes bytes) { InitializeFile(bytes, header); });
  if (!file.ok()) return file.status();
  if (absl::Status s = BindToNode(file->bytes(), options.numa_node); !s.ok()) {
    return s;
  }
  return std::unique_ptr<Ring>(new Ring(*std::move(file), "", header, options));
}

absl::StatusOr<std::unique_ptr<Ring>> Ring::Open(const std::string& path,
                                                 const RingOptions& options) {
  absl::StatusOr<MappedFile> file = MappedFile::Open(path);
  if (!file.ok()) return file.status();
  const MappedFile::Bytes bytes = file->bytes();
  absl::StatusOr<RingHeader> header = ParseRingHeader(absl::string_view(
      reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  if (!header.ok()) return header.status();
  if (header->file_bytes != bytes.size()) {
    return absl::DataLossError(absl::StrCat(
        "open ", path, ": has ", bytes.size(), " bytes instead of the ",
        header->file_bytes, " in its header"));
  }
  std::unique_ptr<Ring> ring(
      new Ring(*std::move(file), path, *header, options));
  if (absl::Status s = ring->ResumeAfterDeath(); !s.ok()) return s;
  return ring;
}

Ring::Ring(MappedFile file, std::string path, const RingHeader& header,
           const RingOptions& options)
    : file_(std::move(file)),
      path_(std::move(path)),
      header_(header),
      live_(reinterpret_cast<RingLive*>(file_.bytes().data() +
                                        header.live_offset)),
      crash_area_(
          file_.bytes().subspan(header.crash_offset, header.crash_bytes),
          ChecksumSeed(header.ring_id)),
      geometry_(GeometryOf(header)),
      payload_bytes_(header.slot_bytes - sizeof(SlotHeader)),
      overflow_(options.overflow),
      block_deadline_(options.block_deadline),
      take_position_(header.first_position),
      release_position_(header.first_position) {
  Slots::Layout layout;
  layout.live = live_;
  layout.slots = file_.bytes().data() + header.slots_offset;
  layout.slot_count = header.slot_count;
  layout.slot_bytes = header.slot_bytes;
  layout.first_position = header.first_position;
  layout.seed = ChecksumSeed(header_.ring_id);
  slots_ = Slots(layout);
}

Ring::~Ring() = default;

// Recovers the file, then resets tail, released and words to the result. Of the
// live page, keeps only the cursor and the counters.
absl::Status Ring::ResumeAfterDeath() {
  MemorySource source(
      absl::string_view(reinterpret_cast<const char*>(file_.bytes().data()),
                        file_.bytes().size()));
  const absl::StatusOr<std::unique_ptr<RingRecovery>> recovery =
      RingRecovery::Start(&source, header_, RecoverFrom::kCursor);
  if (!recovery.ok()) return recovery.status();
  const RingSummary& found = (*recovery)->summary();
  const uint64_t tail = found.end_position;
  uint64_t begin = std::max(header_.first_position, found.cursor.end_position);
  if (tail > header_.slot_count) {
    begin = std::max(begin, tail - header_.slot_count);
  }
  slots_.ResumeAt(begin, tail);
  take_position_.store(begin, std::memory_order_relaxed);
  release_position_ = begin;
  // The next publication overwrites cursor 1.
  live_->cursor[0] = found.cursor;
  StoreRelaxed(&live_->cursor_selector, uint64_t{0});
  return absl::OkStatus();
}

}  // namespace ringlog
