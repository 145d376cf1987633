#include "ringlog/ring/ring.h"

#include <linux/mempolicy.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "ringlog/ring/process_identity.h"
#include "ringlog/ring/recovery.h"

namespace ringlog {
namespace {

constexpr uint64_t kCrashBytes = 64 << 10;

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

RingHeader MakeHeader(const RingOptions& options) {
  RingHeader h = {};
  std::memcpy(h.magic, kRingMagic, sizeof h.magic);
  h.endian_mark = kRingEndianMark;
  h.major_version = kRingMajorVersion;
  h.minor_version = kRingMinorVersion;
  h.header_bytes = sizeof h;
  const uint64_t used =
      sizeof(SlotHeader) + uint64_t{options.head_bytes} + options.body_bytes;
  h.slot_bytes = static_cast<uint32_t>((used + kCacheLineBytes - 1) /
                                       kCacheLineBytes * kCacheLineBytes);
  h.slot_count = options.slot_count;
  h.head_bytes = options.head_bytes;
  // The padding is given to the body.
  h.body_bytes = h.slot_bytes - static_cast<uint32_t>(sizeof(SlotHeader)) -
                 options.head_bytes;
  h.live_offset = kLiveOffset;
  h.crash_offset = kCrashOffset;
  h.crash_bytes = kCrashBytes;
  h.slots_offset = kCrashOffset + kCrashBytes;
  h.file_bytes = h.slots_offset + h.slot_count * h.slot_bytes;
  // Of a quality that two rings never get the same; cryptography is not asked.
  if (getrandom(h.ring_id, sizeof h.ring_id, 0) !=
      static_cast<ssize_t>(sizeof h.ring_id)) {
    const int64_t now = ClockNs(CLOCK_REALTIME);
    const int64_t id = getpid();
    std::memcpy(h.ring_id, &now, sizeof now);
    std::memcpy(h.ring_id + sizeof now, &id, sizeof id);
  }
  const ProcessIdentity process = CurrentProcess();
  std::memcpy(h.boot_id, process.boot_id.data(), sizeof h.boot_id);
  h.process_id = process.process_id;
  h.process_start_ticks = process.start_ticks;
  h.first_position = options.first_position;
  h.wall_anchor_ns = ClockNs(CLOCK_REALTIME);
  h.monotonic_anchor_ns = ClockNs(CLOCK_MONOTONIC);
  CopyName(options.host.empty() ? HostName() : options.host, h.host);
  CopyName(options.program.empty() ? ProgramName() : options.program,
           h.program);
  h.crc32c = RingHeaderChecksum(h);
  return h;
}

void InitializeFile(MappedFile::Bytes bytes, const RingHeader& header) {
  RingLive live = {};
  live.tail = header.first_position;
  live.released = header.first_position;
  std::memcpy(bytes.data() + header.live_offset, &live, sizeof live);
  std::memcpy(bytes.data(), &header, sizeof header);
}

// Without libnuma, which users would have to link.
absl::Status BindToNode(MappedFile::Bytes bytes, int node) {
  if (node < 0) return absl::OkStatus();
  constexpr int kMaxNode = 8 * sizeof(unsigned long) - 1;
  if (node > kMaxNode) {
    return OutOfRange("numa_node", static_cast<uint64_t>(node),
                      "a node of this machine");
  }
  const unsigned long mask = 1ul << node;
  if (syscall(SYS_mbind, bytes.data(), bytes.size(), MPOL_PREFERRED, &mask,
              kMaxNode + 1, MPOL_MF_MOVE) != 0) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("bind the ring to NUMA node ", node));
  }
  return absl::OkStatus();
}

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

absl::StatusOr<std::unique_ptr<Ring>> Ring::Create(const std::string& path,
                                                   const RingOptions& options) {
  if (absl::Status s = Check(options); !s.ok()) return s;
  return CreateFile(path, MakeHeader(options), options);
}

absl::StatusOr<std::unique_ptr<Ring>> Ring::CreateIn(
    const std::string& directory,
    absl::FunctionRef<std::string(const RingHeader&)> name,
    const RingOptions& options) {
  if (absl::Status s = Check(options); !s.ok()) return s;
  const RingHeader header = MakeHeader(options);
  return CreateFile(absl::StrCat(directory, "/", name(header)), header,
                    options);
}

absl::StatusOr<std::unique_ptr<Ring>> Ring::CreateFile(
    const std::string& path, const RingHeader& header,
    const RingOptions& options) {
  absl::StatusOr<MappedFile> file = MappedFile::Create(
      path, header.file_bytes,
      [&](MappedFile::Bytes bytes) { InitializeFile(bytes, header); });
  if (!file.ok()) return file.status();
  if (absl::Status s = BindToNode(file->bytes(), options.numa_node); !s.ok()) {
    unlink(path.c_str());
    return s;
  }
  return std::unique_ptr<Ring>(
      new Ring(*std::move(file), path, header, options));
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
  if (header->file_bytes > bytes.size()) {
    return absl::DataLossError(absl::StrCat("open ", path, ": has ",
                                            bytes.size(), " bytes of ",
                                            header->file_bytes));
  }
  std::unique_ptr<Ring> ring(
      new Ring(*std::move(file), path, *header, options));
  ring->ResumeAfterDeath();
  return ring;
}

Ring::Ring(MappedFile file, std::string path, const RingHeader& header,
           const RingOptions& options)
    : file_(std::move(file)),
      path_(std::move(path)),
      header_(header),
      live_(reinterpret_cast<RingLive*>(file_.bytes().data() +
                                        header.live_offset)),
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

// Trusts the words of the slots, and the persist cursor, which has a checksum;
// the rest of the live page is a cache of those.
void Ring::ResumeAfterDeath() {
  uint64_t tail = header_.first_position;
  for (uint64_t i = 0; i < header_.slot_count; ++i) {
    const uint64_t word = slots_.word(i);
    if (word != 0) tail = std::max(tail, WordPosition(word) + 1);
  }
  const PersistCursor cursor = ParsePersistCursor(
      absl::string_view(reinterpret_cast<const char*>(live_), sizeof *live_),
      header_);
  uint64_t begin = std::max(header_.first_position, cursor.end_position);
  if (tail > header_.slot_count) {
    begin = std::max(begin, tail - header_.slot_count);
  }
  tail = std::max(tail, begin);
  slots_.ResumeAt(begin, tail);
  take_position_ = release_position_ = begin;
}

// ---- Producers ----

uint32_t Ring::SlotsNeeded(size_t head_bytes, size_t body_bytes) const {
  return static_cast<uint32_t>(std::max<size_t>(
      1, (head_bytes + body_bytes + payload_bytes_ - 1) / payload_bytes_));
}

size_t Ring::max_body_bytes(size_t head_bytes) const {
  const uint64_t slots =
      std::min<uint64_t>(std::max<uint64_t>(1, header_.slot_count / 2),
                         std::numeric_limits<uint16_t>::max());
  return slots * payload_bytes_ - head_bytes;
}

uint64_t Ring::capacity(Severity severity) const {
  const uint64_t share = header_.slot_count / 16;
  switch (severity) {
    case Severity::kFatal:
      return header_.slot_count;
    case Severity::kError:
    case Severity::kWarning:
      return header_.slot_count - share;
    case Severity::kInfo:
      break;
  }
  return header_.slot_count - 2 * share;
}

std::optional<SlotRange> Ring::TryClaim(uint32_t slot_count, uint64_t limit) {
  // A slot that a stuck writer holds costs the claim that meets it, and the
  // next begins behind it. Where several are stuck there may be no room between
  // them for a long record.
  constexpr int kMaxAttempts = 16;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const std::optional<uint64_t> begin = slots_.AdvanceTail(slot_count, limit);
    if (!begin) return std::nullopt;
    uint64_t p = *begin;
    const uint64_t end = p + slot_count;
    while (p < end && slots_.ClaimSlot(p)) ++p;
    if (p == end) return SlotRange{*begin, slot_count};
    AbandonSlots(*begin, p);
    // The rest of the positions too, or the flusher would wait for them.
    for (++p; p < end; ++p) {
      if (slots_.ClaimSlot(p)) AbandonSlots(p, p + 1);
    }
  }
  return std::nullopt;
}

void Ring::AbandonSlots(uint64_t begin, uint64_t end) {
  for (uint64_t p = begin; p < end; ++p) {
    slots_.FillSlot(p, 0, 0, 0, {}, {});
    slots_.CommitSlot(p);
  }
}

std::optional<SlotRange> Ring::WaitAndClaim(uint32_t slot_count,
                                            uint64_t limit) {
  constexpr int kSpins = 64;
  for (int i = 0; i < kSpins; ++i) {
    Pause();
    if (auto claim = TryClaim(slot_count, limit)) return claim;
  }
  const absl::Time deadline = absl::Now() + block_deadline_;
  absl::Duration nap = absl::Microseconds(20);
  for (absl::Time now = absl::Now(); now < deadline; now = absl::Now()) {
    absl::SleepFor(std::min(nap, deadline - now));
    if (auto claim = TryClaim(slot_count, limit)) return claim;
    nap = std::min(2 * nap, absl::Milliseconds(1));
  }
  return std::nullopt;
}

// True if room was made, by this thread or another.
bool Ring::EvictOldest() {
  const uint64_t oldest = slots_.released();
  switch (slots_.Look(oldest)) {
    case Slots::Seen::kFilled: {
      int severity;
      if (slots_.EvictSlot(oldest, &severity) && severity >= 0) {
        CountDrop(DropCause::kOverwritten, static_cast<Severity>(severity));
      }
      break;
    }
    case Slots::Seen::kNothing:
      break;
    case Slots::Seen::kNotClaimed:
    case Slots::Seen::kPending:
    case Slots::Seen::kPersisting:
      // Another thread may have moved on since.
      return slots_.released() != oldest;
  }
  slots_.AdvanceReleasedFrom(oldest);
  return true;
}

std::optional<SlotRange> Ring::EvictAndClaim(uint32_t slot_count,
                                             uint64_t limit) {
  while (EvictOldest()) {
    if (auto claim = TryClaim(slot_count, limit)) return claim;
  }
  return std::nullopt;
}

std::optional<SlotRange> Ring::Claim(Severity severity, size_t head_bytes,
                                     size_t body_bytes) {
  const uint32_t count = SlotsNeeded(head_bytes, body_bytes);
  const uint64_t limit = capacity(severity);
  std::optional<SlotRange> claim = TryClaim(count, limit);
  DropCause cause = DropCause::kRingFull;
  if (!claim && overflow_ == OverflowPolicy::kBlock) {
    claim = WaitAndClaim(count, limit);
    cause = DropCause::kTimedOut;
  } else if (!claim && overflow_ == OverflowPolicy::kOverwriteOldest) {
    claim = EvictAndClaim(count, limit);
  }
  if (!claim) CountDrop(cause, severity);
  return claim;
}

bool Ring::Commit(const SlotRange& claim, Severity severity,
                  absl::string_view head, absl::string_view body) {
  const size_t first_bytes =
      std::min(body.size(), payload_bytes_ - head.size());
  const auto count = static_cast<uint16_t>(claim.slot_count);
  absl::string_view rest = body.substr(first_bytes);
  for (uint16_t part = 1; part < count; ++part) {
    const absl::string_view piece = rest.substr(0, payload_bytes_);
    rest.remove_prefix(piece.size());
    const uint64_t position = claim.position + part;
    slots_.FillSlot(position, part, count, static_cast<uint8_t>(severity), {},
                    piece);
    // A part that is refused is one that the flusher has gone past, and then it
    // has gone past the first, which tells.
    slots_.CommitSlot(position);
  }
  slots_.FillSlot(claim.position, 0, count, static_cast<uint8_t>(severity),
                  head, body.substr(0, first_bytes));
  return slots_.CommitSlot(claim.position);
}

void Ring::Abandon(const SlotRange& claim) {
  AbandonSlots(claim.position, claim.end());
}

Ring::AppendResult Ring::Append(Severity severity, absl::string_view head,
                                absl::string_view body) {
  AppendResult result = AppendResult::kAppended;
  if (const size_t most = max_body_bytes(head.size()); body.size() > most) {
    body = body.substr(0, most);
    Slots::Add(&live_->cut, 1);
    result = AppendResult::kCut;
  }
  for (;;) {
    const std::optional<SlotRange> claim =
        Claim(severity, head.size(), body.size());
    if (!claim) return AppendResult::kDropped;
    if (Commit(*claim, severity, head, body)) return result;
  }
}

// ---- The consumer ----

std::optional<Ring::Taken> Ring::Take() {
  if (overflow_ == OverflowPolicy::kOverwriteOldest) return std::nullopt;
  for (;;) {
    switch (slots_.Look(take_position_)) {
      case Slots::Seen::kNotClaimed:
      case Slots::Seen::kPending:
        return std::nullopt;
      case Slots::Seen::kNothing:
      case Slots::Seen::kPersisting:
        ++take_position_;
        break;
      case Slots::Seen::kFilled: {
        std::optional<Taken> taken = TakeFilled();
        if (taken) return taken;
        break;
      }
    }
  }
}

// Nothing if there is no record in the slot: an abandoned claim, or the rest of
// a record whose beginning was given up.
std::optional<Ring::Taken> Ring::TakeFilled() {
  const uint64_t position = take_position_;
  AssembledRecord record = AssembleRecord(
      position, geometry_, slots_.seed(),
      [this](uint64_t p) {
        return absl::string_view(
            reinterpret_cast<const char*>(slots_.SlotOf(p)),
            header_.slot_bytes);
      },
      &assembled_);
  take_position_ += record.slot_count;
  for (uint64_t p = position; p < take_position_; ++p) {
    slots_.MarkPersisting(p);
  }
  if (record.outcome == AssembledRecord::kNothing) return std::nullopt;
  Taken taken;
  taken.slots = SlotRange{position, record.slot_count};
  if (record.outcome == AssembledRecord::kGap) taken.gap = record.cause;
  taken.head = record.head;
  taken.body = record.body;
  return taken;
}

std::optional<uint64_t> Ring::pending() {
  if (slots_.Look(take_position_) != Slots::Seen::kPending) return std::nullopt;
  return take_position_;
}

std::optional<SlotRange> Ring::Skip(uint64_t end) {
  std::optional<SlotRange> given_up;
  for (; take_position_ < end; ++take_position_) {
    switch (slots_.Pass(take_position_)) {
      case Slots::Passed::kNotPending:
        return given_up;
      case Slots::Passed::kNothingBegun:
        break;
      case Slots::Passed::kRecordGivenUp:
        if (!given_up) given_up = SlotRange{take_position_, 0};
        given_up->slot_count =
            static_cast<uint32_t>(take_position_ + 1 - given_up->position);
        break;
    }
  }
  return given_up;
}

void Ring::PublishCursor(uint64_t end_position, absl::string_view state) {
  const uint64_t valid = Slots::Get(&live_->cursor_selector) & 1;
  PersistCursor cursor = {};
  cursor.sequence = live_->cursor[valid].sequence + 1;
  cursor.end_position = end_position;
  cursor.state_bytes =
      static_cast<uint32_t>(std::min(state.size(), sizeof cursor.state));
  std::memcpy(cursor.state, state.data(), cursor.state_bytes);
  cursor.crc32c = PersistCursorChecksum(slots_.seed(), cursor);
  // Death in this copy leaves the other one, which counts.
  std::memcpy(&live_->cursor[1 - valid], &cursor, sizeof cursor);
  Slots::Publish(&live_->cursor_selector, 1 - valid);
}

void Ring::Release() {
  for (; release_position_ < take_position_; ++release_position_) {
    slots_.FreeSlot(release_position_);
  }
  slots_.AdvanceReleased(release_position_);
}

// ---- Anybody ----

bool Ring::Contains(const void* p) const {
  const auto address = reinterpret_cast<uintptr_t>(p);
  const auto begin = reinterpret_cast<uintptr_t>(file_.bytes().data());
  return address >= begin && address - begin < file_.bytes().size();
}

bool Ring::empty() const {
  const uint64_t tail = slots_.tail();
  for (uint64_t p = slots_.released(); p < tail; ++p) {
    const SlotState state = WordState(slots_.word(p));
    if (state == SlotState::kFilled || state == SlotState::kPersisting) {
      return false;
    }
  }
  return true;
}

uint64_t Ring::unprocessed_count() const {
  return slots_.tail() - std::min(slots_.tail(), take_position_);
}

absl::Status Ring::Sync(SyncMode mode) {
  return file_.Sync(mode == SyncMode::kWait);
}

uint64_t Ring::dropped(DropCause cause, Severity severity) const {
  return Slots::Get(&live_->dropped[static_cast<size_t>(cause)]
                                   [static_cast<size_t>(severity)]);
}

void Ring::CountDrop(DropCause cause, Severity severity) {
  Slots::Add(&live_->dropped[static_cast<size_t>(cause)]
                            [static_cast<size_t>(severity)],
             1);
}

uint64_t Ring::cut() const { return Slots::Get(&live_->cut); }

}  // namespace ringlog
