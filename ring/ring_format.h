// The byte layout of a ring file: structs, enums and constants. ring/FORMAT.md
// describes the format.
//
// Integers are little-endian. Writers set fields named `reserved` to zero;
// readers ignore them. A reader rejects a file with an unknown bit in
// RingHeader::incompatible_flags, and ignores unknown compatible_flags.

#ifndef RINGLOG_RING_RING_FORMAT_H_
#define RINGLOG_RING_RING_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "ringlog/ring/drop_counts.h"
#include "ringlog/ring/severity.h"

namespace ringlog {

// The first byte is neither printable nor valid UTF-8. A text file, or a file
// that a text transfer damaged, therefore never looks like a ring.
inline constexpr unsigned char kRingMagic[8] = {0x89, 'R', 'I', 'N',
                                                'G',  'L', 'O', 'G'};
inline constexpr uint32_t kRingEndianMark = 0x01020304;
inline constexpr uint16_t kRingMajorVersion = 1;  // readers reject greater ones
inline constexpr uint16_t kRingMinorVersion =
    0;  // readers ignore the additions of greater ones
inline constexpr uint32_t kRingKnownIncompatibleFlags = 0;

inline constexpr size_t kCacheLineBytes = 64;

// The state of a slot: the low three bits of its word. The values are frozen in
// the file format.
//
// The usual transitions; ring/FORMAT.md, "States", lists all:
//
//   kFree --writer: claim--> kFilling --writer: commit--> kFilled
//     --flusher: take--> kPersisting --flusher: release--> kFree
//
//   kFilling --flusher: skip, writer stuck--> kSkipped
//     --that writer, late--> kFree
//
// If the process dies while a slot is kFilling, recovery reports the slot's
// position as unfinished and returns no record for it.
enum class SlotState : uint8_t {
  // With position 0: never used.
  kFree = 0,
  // A writer owns the slot.
  kFilling = 1,
  // The slot has a record, a part of one, or an abandoned claim (part_count 0).
  kFilled = 2,
  // The flusher has taken the slot. Recovery treats it like kFilled, because
  // only the persist cursor states what is persisted.
  kPersisting = 3,
  // The flusher has skipped the slot. Not used again before its writer frees
  // it.
  kSkipped = 4,
};
inline constexpr int kSlotStateBits = 3;
inline constexpr uint64_t kSlotStateMask = (uint64_t{1} << kSlotStateBits) - 1;

// The greatest position. A position is the number of one use of a slot; a ring
// never repeats a position. At a billion positions per second, 2^61 positions
// last 73 years. Position p uses slot p modulo the slot count, which is a power
// of two.
inline constexpr uint64_t kMaxPosition =
    (uint64_t{1} << (64 - kSlotStateBits)) - 1;

// The beginning of each slot. The payload follows: the record's head and then,
// without padding, its body.
struct SlotHeader {
  // position << 3 | state. The only field that changes while other threads may
  // read the slot.
  uint64_t word;
  // CRC-32C of the ring id, then of the bytes from `part_index` to the end of
  // the payload.
  uint32_t crc32c;
  // 0 in the slot that begins a record.
  uint16_t part_index;
  // Slots of the record; 0 marks an abandoned claim, which has no content.
  uint16_t part_count;
  // The position again, covered by the checksum.
  uint64_t position;
  // Bytes of the record's head in this slot; 0 in all slots but the first.
  uint16_t head_bytes;
  // Severity of the record; 0 in an abandoned claim.
  uint8_t severity;
  uint8_t reserved;
  // Bytes of the record's body in this slot.
  uint32_t body_bytes;
};
static_assert(sizeof(SlotHeader) == 32, "the payload begins at byte 32");
static_assert(offsetof(SlotHeader, part_index) == 12,
              "the checksum covers the bytes from here on");
static_assert(std::is_trivially_copyable_v<SlotHeader>,
              "recovery copies it out of untrusted bytes");
static_assert(static_cast<int>(SlotState::kFree) == 0,
              "a file of zeros is a ring of free slots that were never used");

// Identity and layout of a ring. Written twice, the second time at
// kRingHeaderCopyOffset, before the file gets its name. Never changed
// afterwards.
struct RingHeader {
  unsigned char magic[8];
  uint32_t endian_mark;
  uint16_t major_version;
  uint16_t minor_version;
  // sizeof(RingHeader) of the writer. The checksum covers all of these bytes
  // but the last four.
  uint32_t header_bytes;
  uint32_t incompatible_flags;
  uint32_t compatible_flags;
  // A multiple of 64: slot header, head, body and padding.
  uint32_t slot_bytes;
  // A power of two.
  uint64_t slot_count;
  // Maximum size of a record's head.
  uint32_t head_bytes;
  // A slot's payload has head_bytes + body_bytes.
  uint32_t body_bytes;
  uint64_t file_bytes;
  // Offset of RingLive.
  uint64_t live_offset;
  // Offset of CrashAreaHead.
  uint64_t crash_offset;
  uint64_t crash_bytes;
  // Offset of slot 0.
  uint64_t slots_offset;
  // Random.
  uint8_t ring_id[16];
  // The machine's /proc/sys/kernel/random/boot_id; zeros if unknown.
  uint8_t boot_id[16];
  int64_t process_id;
  // Start time of the process: field 22 of /proc/PID/stat; 0 if unknown.
  uint64_t process_start_ticks;
  uint64_t first_position;
  // Unix time at creation, in nanoseconds.
  int64_t created_unix_ns;
  // CLOCK_MONOTONIC at creation, in nanoseconds.
  int64_t monotonic_anchor_ns;
  // Names are padded with NUL, and truncated if they are longer.
  char host[64];
  char program[64];
  // Directory of the ring's segments, padded with NUL: the value of
  // SegmentDirectoryField() (ring_header.h). Empty: the directory of the ring.
  char segment_directory[128];
  // Permission bits of segments, before the umask. 0: not known.
  uint32_t segment_mode;
  unsigned char reserved[20];
  uint32_t reserved_tail;
  uint32_t crc32c;
};
static_assert(sizeof(RingHeader) == 448, "frozen in the file format");
static_assert(std::is_trivially_copyable_v<RingHeader>,
              "recovery copies it out of untrusted bytes");

// The note in a ring of how far it is persisted. `state` belongs to the
// flusher; the ring does not interpret it.
struct PersistCursor {
  // Number of the publication; 0: never published.
  uint64_t sequence;
  // All positions below are persisted.
  uint64_t end_position;
  // Used bytes of `state`.
  uint32_t state_bytes;
  uint32_t reserved;
  unsigned char state[480];
  uint32_t reserved_tail;
  // CRC-32C of the ring id, then of all bytes before this field.
  uint32_t crc32c;
};
static_assert(sizeof(PersistCursor) == 512, "frozen in the file format");

// Counters of the flusher. Only the flusher writes them.
struct FlusherCounters {
  // Persisted records.
  uint64_t records;
  // Bytes of persisted lines.
  uint64_t text_bytes;
  // Bytes written to segments.
  uint64_t compressed_bytes;
  // Segments begun.
  uint64_t segments;
  // Failed writes to any file; the flusher retries them.
  uint64_t write_errors;
  // absl::StatusCode of the last write error.
  uint64_t last_error;
  // Slots that were skipped because their writer was stuck.
  uint64_t skipped_slots;
  // Age of the oldest record of the last batch when the batch was written, in
  // nanoseconds.
  int64_t lag_ns;
  // Unix time of the last written batch, in nanoseconds.
  int64_t last_write_time_ns;
  // Files that retention deleted.
  uint64_t deleted_files;
  // Errors of retention: of listing directories, reading the free space and
  // deleting files.
  uint64_t delete_errors;
  uint64_t reserved[5];
};
static_assert(sizeof(FlusherCounters) == 128, "two cache lines");

// A request of another process for a rotation; pending while `asked` is greater
// than `done`. Other processes write only these bytes of a ring. If both are
// zero, the ring has no flusher that answers requests.
struct RotationRequest {
  // Written by other processes.
  uint64_t asked;
  // Written by the flusher.
  uint64_t done;
};

// The part of the file that changes while the process lives. Recovery trusts
// only the persist cursor, which has a checksum; it uses the other fields only
// as far as the slots agree.
struct RingLive {
  // The next position to be claimed.
  alignas(kCacheLineBytes) uint64_t tail;
  // The slots of all positions below are free again. Written by the flusher, or
  // by writers that evict.
  alignas(kCacheLineBytes) uint64_t released;
  // Dropped records.
  alignas(kCacheLineBytes) uint64_t dropped[kDropCauseCount][kSeverityCount];
  // Records that were truncated because they were too long.
  alignas(kCacheLineBytes) uint64_t truncated;
  alignas(kCacheLineBytes) FlusherCounters flusher;
  // Index of the cursor that was published last. Readers select the cursor
  // by checksum and sequence instead.
  alignas(kCacheLineBytes) uint64_t cursor_selector;
  RotationRequest rotation;
  alignas(kCacheLineBytes) PersistCursor cursor[2];
};
static_assert(sizeof(RingLive) == 1536, "frozen in the file format");
static_assert(offsetof(RingLive, rotation) == 456,
              "it shares the cache line of the selector");
static_assert(std::is_trivially_copyable_v<RingLive>,
              "recovery copies it out of untrusted bytes");

// The beginning of the crash area, in place of the first cell. Signal handlers
// write their text into the cells that follow. Each cell is either intact or
// ignored. Zeros mean an empty crash area.
struct CrashAreaHead {
  // Cells that writers asked for, including cells beyond the last one.
  uint64_t used_cells;
  // Bytes of text that found no cell.
  uint64_t lost_bytes;
  uint64_t reserved[6];
};
static_assert(sizeof(CrashAreaHead) == 64, "frozen in the file format");

// The values are frozen in the file format; 0 is a cell that was never used.
enum class CrashCellKind : uint8_t {
  // Text that begins or continues the thread's report.
  kText = 1,
  // The end of the thread's report.
  kEnd = 2,
};

inline constexpr size_t kCrashTextBytes = 44;

struct CrashCell {
  // CRC-32C of the ring id, then of the rest of the cell.
  uint32_t crc32c;
  int32_t thread_id;
  // Unix time, in nanoseconds.
  int64_t time_ns;
  // A CrashCellKind. Readers ignore cells of unknown kinds.
  uint8_t kind;
  // Used bytes of `text`; the rest is zero.
  uint8_t text_bytes;
  uint16_t reserved;
  char text[kCrashTextBytes];
};
static_assert(sizeof(CrashCell) == 64, "frozen in the file format");
static_assert(sizeof(CrashCell) == sizeof(CrashAreaHead),
              "cell number i is at i times its size");
static_assert(std::is_trivially_copyable_v<CrashCell>,
              "recovery copies it out of untrusted bytes");

// Offset of the second header, which makes damage to one header harmless. A
// header of a later minor version may be longer than this one, but ends before
// this offset.
inline constexpr uint64_t kRingHeaderCopyOffset = 2048;
inline constexpr uint64_t kRingHeaderAreaBytes = 4096;
static_assert(sizeof(RingHeader) <= kRingHeaderCopyOffset &&
                  kRingHeaderCopyOffset + sizeof(RingHeader) <=
                      kRingHeaderAreaBytes,
              "both headers fit");

// Offsets that Create() uses. Readers use the offsets in the header if there is
// one.
inline constexpr uint64_t kLiveOffset = 4096;
inline constexpr uint64_t kCrashOffset = 8192;
inline constexpr uint64_t kCrashBytes = 64 << 10;
inline constexpr uint64_t kSlotsOffset = kCrashOffset + kCrashBytes;

// Bounds that readers enforce.
inline constexpr uint64_t kMaxFirstPosition = uint64_t{1} << 60;
inline constexpr uint64_t kMaxSlotCount = uint64_t{1} << 26;
inline constexpr uint64_t kMinSlotCount = 2;
inline constexpr uint32_t kMaxHeadBytes = 4096;
inline constexpr uint32_t kMaxBodyBytes = 1 << 20;
inline constexpr uint64_t kMaxCrashBytes = 1 << 20;
inline constexpr uint64_t kMaxRingFileBytes = uint64_t{4} << 30;

}  // namespace ringlog

#endif  // RINGLOG_RING_RING_FORMAT_H_
