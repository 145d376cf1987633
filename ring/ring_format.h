// The bytes of a ring file, as ring/FORMAT.md describes them: structs, enums
// and constants, no behaviour.
//
// All integers are little-endian. Every field named `reserved` is written as
// zero and ignored by readers; a reader refuses a file that has a bit in
// RingHeader::incompatible_flags it does not know, and ignores unknown
// compatible_flags.

#ifndef RINGLOG_RING_RING_FORMAT_H_
#define RINGLOG_RING_RING_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "ringlog/ring/drop_counts.h"
#include "ringlog/ring/severity.h"

namespace ringlog {

// Not printable and not UTF-8 in its first byte, so that no text file and no
// file damaged by a text transfer passes for a ring.
inline constexpr unsigned char kRingMagic[8] = {0x89, 'R', 'I', 'N',
                                                'G',  'L', 'O', 'G'};
inline constexpr uint32_t kRingEndianMark = 0x01020304;
inline constexpr uint16_t kRingMajorVersion =
    1;  // a reader refuses a greater one
inline constexpr uint16_t kRingMinorVersion =
    0;  // a reader ignores what a greater one added
inline constexpr uint32_t kRingKnownIncompatibleFlags = 0;

inline constexpr size_t kCacheLineBytes = 64;

// The state of a slot, the low three bits of its word. These values are frozen
// in the file format.
//
//   kFree --(writer: Claim)--> kFilling --(writer: Commit)--> kFilled
//   --(flusher: Take)--> kPersisting --(flusher: Release)--> kFree
//                                 |
//                                 +--(flusher: Skip, the writer did not finish
//                                 in time)--> kSkipped --(that writer, late)-->
//                                 kFree
//                                 |
//                                 +-- the process dies: stays kFilling;
//                                 recovery names its position and returns no
//                                 record
enum class SlotState : uint8_t {
  kFree = 0,     // with position 0: never used
  kFilling = 1,  // a writer owns the slot
  kFilled = 2,   // holds a record, or a part of one, or nothing (an abandoned
                 // claim: part_count 0)
  kPersisting = 3,  // the flusher has it; to recovery the same as kFilled, for
                    // only the persist cursor says what is durable
  kSkipped = 4,  // the flusher went past it; not used again before its writer
                 // lets go of it
};
inline constexpr int kSlotStateBits = 3;
inline constexpr uint64_t kSlotStateMask = (uint64_t{1} << kSlotStateBits) - 1;

// A position is a slot's running number. It never repeats within a ring: 2^61
// positions at a thousand million a second are 73 years. The slot that position
// p uses is p modulo the slot count, which is a power of two.
inline constexpr uint64_t kMaxPosition =
    (uint64_t{1} << (64 - kSlotStateBits)) - 1;

// What every slot begins with. The payload follows: the record's head, then its
// body, without a space between them.
struct SlotHeader {
  uint64_t word;    // position << 3 | state; the only field that changes while
                    // others may look
  uint32_t crc32c;  // of ring id, then the bytes from `part_index` to the end
                    // of the payload
  uint16_t part_index;  // 0 for the slot that begins a record
  uint16_t
      part_count;  // slots of the record; 0: an abandoned claim, nothing in it
  uint64_t position;    // the position again, where the checksum covers it
  uint16_t head_bytes;  // bytes of the record's head in this slot; 0 in all but
                        // the first
  uint8_t severity;     // of the record; 0 in an abandoned claim
  uint8_t reserved;
  uint32_t body_bytes;  // bytes of the record's body in this slot
};
static_assert(sizeof(SlotHeader) == 32, "the payload begins at byte 32");
static_assert(offsetof(SlotHeader, part_index) == 12,
              "the checksum covers the bytes from here on");
static_assert(std::is_trivially_copyable_v<SlotHeader>,
              "recovery copies it out of untrusted bytes");
static_assert(static_cast<int>(SlotState::kFree) == 0,
              "a file of zeros is a ring of free slots that were never used");

// Who made a ring and where things are. Written once, and once more at
// kRingHeaderCopyOffset, before the ring gets its name; never changed.
struct RingHeader {
  unsigned char magic[8];
  uint32_t endian_mark;
  uint16_t major_version;
  uint16_t minor_version;
  uint32_t header_bytes;  // sizeof(RingHeader) of the writer; the checksum
                          // covers that many bytes less the last four
  uint32_t incompatible_flags;
  uint32_t compatible_flags;
  uint32_t slot_bytes;  // 64-byte multiple: slot header, head area, body area,
                        // padding
  uint64_t slot_count;  // power of two
  uint32_t head_bytes;  // the most that a record's head may take
  uint32_t body_bytes;  // payload of a slot: head_bytes + body_bytes
  uint64_t file_bytes;
  uint64_t live_offset;   // RingLive
  uint64_t crash_offset;  // the crash area
  uint64_t crash_bytes;
  uint64_t slots_offset;  // the first slot
  uint8_t ring_id[16];    // random
  uint8_t
      boot_id[16];  // of the machine's boot, as /proc/sys/kernel/random/boot_id
                    // has it; zeros if unknown
  int64_t process_id;
  uint64_t process_start_ticks;  // field 22 of /proc/PID/stat; 0 if unknown
  uint64_t first_position;
  int64_t created_unix_ns;      // Unix time at creation
  int64_t monotonic_anchor_ns;  // CLOCK_MONOTONIC at the same moment
  char host[64];                // NUL-padded, cut if longer
  char program[64];
  char segment_directory[128];  // where its segments are, NUL-padded, the end
                                // of it if it is longer; empty: beside the ring
  unsigned char reserved[24];
  uint32_t reserved_tail;
  uint32_t crc32c;
};
static_assert(sizeof(RingHeader) == 448, "frozen in the file format");
static_assert(std::is_trivially_copyable_v<RingHeader>,
              "recovery copies it out of untrusted bytes");

// How far the ring's content has been written elsewhere. What that elsewhere
// is, only the consumer knows: `state` is its own.
struct PersistCursor {
  uint64_t sequence;      // counts publications; 0: never published
  uint64_t end_position;  // every position below is persisted
  uint32_t state_bytes;   // of `state`
  uint32_t reserved;
  unsigned char state[480];
  uint32_t reserved_tail;
  uint32_t crc32c;  // of ring id, then everything before this field
};
static_assert(sizeof(PersistCursor) == 512, "frozen in the file format");

// What the flusher tells of itself. Only the flusher writes these.
struct FlusherCounters {
  uint64_t records;           // persisted
  uint64_t text_bytes;        // of lines persisted
  uint64_t compressed_bytes;  // written to segments
  uint64_t segments;          // begun
  uint64_t write_errors;
  uint64_t last_error;     // absl::StatusCode of the last write error
  uint64_t skipped_slots;  // passed because their writer did not finish
  int64_t lag_ns;  // age of the oldest record of the last batch when it had
                   // been written
  int64_t last_write_time_ns;  // Unix time
  uint64_t deleted_files;      // because of limits on what is kept
  uint64_t delete_errors;
  uint64_t reserved[5];
};
static_assert(sizeof(FlusherCounters) == 128, "two cache lines");

// What other processes ask of the flusher: a rotation is wanted while `asked`
// is greater than `done`. The only bytes of a ring that others than its process
// write. All zero: nobody answers.
struct RotationRequest {
  uint64_t asked;  // others'
  uint64_t done;   // the flusher's
};

// What changes while the process lives. Recovery takes nothing in it on trust
// but the persist cursor, which has a checksum.
struct RingLive {
  alignas(kCacheLineBytes) uint64_t tail;  // the next position to be claimed
  alignas(kCacheLineBytes)
      uint64_t released;  // every position below is free again; the flusher's
  alignas(kCacheLineBytes)
      uint64_t dropped[kDropCauseCount][kSeverityCount];  // records
  alignas(kCacheLineBytes)
      uint64_t cut;  // records that were too long, and were shortened
  alignas(kCacheLineBytes) FlusherCounters flusher;
  alignas(kCacheLineBytes) uint64_t
      cursor_selector;  // which of the two was published last: 0 or 1; readers
                        // go by checksum and sequence
  RotationRequest rotation;
  alignas(kCacheLineBytes) PersistCursor cursor[2];
};
static_assert(sizeof(RingLive) == 1536, "frozen in the file format");
static_assert(offsetof(RingLive, rotation) == 456,
              "the rest of the selector's cache line was reserved");
static_assert(std::is_trivially_copyable_v<RingLive>,
              "recovery copies it out of untrusted bytes");

// The crash area: what signal handlers had to say, in cells of which each is
// whole or counts for nothing. The head is where the first cell would be. A
// file of zeros has nothing in it.
struct CrashAreaHead {
  uint64_t used_cells;  // that writers have asked for, beyond the last one too
  uint64_t lost_bytes;  // of text that found no cell
  uint64_t reserved[6];
};
static_assert(sizeof(CrashAreaHead) == 64, "frozen in the file format");

// These values are frozen in the file format; 0 is a cell that was never used.
enum class CrashCellKind : uint8_t {
  kText = 1,  // goes on with the thread's report, or begins one
  kEnd = 2,   // the thread's report is complete
};

inline constexpr size_t kCrashTextBytes = 44;

struct CrashCell {
  uint32_t crc32c;  // of ring id, then the rest of the cell
  int32_t tid;
  int64_t time_ns;     // Unix time
  uint8_t kind;        // a reader passes over those that it does not know
  uint8_t text_bytes;  // of `text`, the rest of which is zero
  uint16_t reserved;
  char text[kCrashTextBytes];
};
static_assert(sizeof(CrashCell) == 64, "frozen in the file format");
static_assert(sizeof(CrashCell) == sizeof(CrashAreaHead),
              "cell number i is at i times its size");
static_assert(std::is_trivially_copyable_v<CrashCell>,
              "recovery copies it out of untrusted bytes");

// The header is there twice, so that damage to it does not cost the ring. A
// header of a later minor version may be longer than ours, but not reach the
// copy.
inline constexpr uint64_t kRingHeaderCopyOffset = 2048;
inline constexpr uint64_t kRingHeaderAreaBytes = 4096;
static_assert(sizeof(RingHeader) <= kRingHeaderCopyOffset &&
                  kRingHeaderCopyOffset + sizeof(RingHeader) <=
                      kRingHeaderAreaBytes,
              "both have room");

// Where Create puts things. Readers use the offsets in the header, while there
// is one.
inline constexpr uint64_t kLiveOffset = 4096;
inline constexpr uint64_t kCrashOffset = 8192;
inline constexpr uint64_t kCrashBytes = 64 << 10;
inline constexpr uint64_t kSlotsOffset = kCrashOffset + kCrashBytes;

// Limits on what a reader believes.
inline constexpr uint64_t kMaxFirstPosition = uint64_t{1} << 60;
inline constexpr uint64_t kMaxSlotCount = uint64_t{1} << 26;
inline constexpr uint64_t kMinSlotCount = 2;
inline constexpr uint32_t kMaxHeadBytes = 4096;
inline constexpr uint32_t kMaxBodyBytes = 1 << 20;
inline constexpr uint64_t kMaxCrashBytes = 1 << 24;
inline constexpr uint64_t kMaxRingFileBytes = uint64_t{4} << 30;

}  // namespace ringlog

#endif  // RINGLOG_RING_RING_FORMAT_H_
