// The decision that exactly-once depends on: which bytes of which segment
// count, and at which position the ring takes over.
//
// A flusher writes a batch to a segment, publishes the persist cursor, and then
// releases the batch's slots. If the process dies between these steps, the same
// records are in the segment and in the ring. DecideResumePoint() chooses which
// copy counts. Recovery (leftover_segments.h), `ringlog cat` and `ringlog
// verify` (tools/decode/plan.h), and `ringlog recover` all call it.
//
// DecideResumePoint() uses the first row that fits. The "cursor" is the newest
// intact one, N is the segment that it names, and P is the position that it
// covers; both are 0 without such a cursor. A "proven" frame is intact and has
// an intact metadata frame (segment_scan.h).
//
//   row | boot    | cursor      | segments             | basis
//   ----+---------+-------------+----------------------+--------------------
//    1  | any     | unreadable  | any                  | kSegmentsAlone
//    2  | same    | none        | number 2 or higher,  | kSegmentsAlone
//       |         |             | or with metadata     |
//    3  | same    | none        | others               | kNothingPersisted
//    4  | same    | damaged     | one is complete and  | kAlreadyRecovered
//       |         |             | recovery wrote it    |
//    5  | same    | damaged     | others               | kSegmentsAlone
//    6  | another | any         | N or later: a proven | kProvenFrames
//       |         |             | frame ends above P   |
//    7  | another | none intact | others               | kNothingPersisted
//    8  | any     | intact      | others               | kCursor
//
// Rows 1 and 2 give kAlreadyRecovered under the condition of row 4. In rows 2
// to 5 an incomplete segment that recovery wrote is treated as missing: it is
// an attempt that was killed, and the ring still has all of its records.
//
//   basis             | bytes that count           | first_position | overlaps
//   ------------------+----------------------------+----------------+---------
//   kNothingPersisted | none                       | the ring's     | no
//                     |                            | first          |
//   kCursor, N is     | below N: all               | P              | no
//   not started       | N and later: none          |                |
//   kCursor, N is     | below N: all               | P              | no
//   there             | N: those that the cursor   |                |
//                     |   counts; if the open      |                |
//                     |   frame is damaged, those  |                |
//                     |   before that frame        |                |
//                     | later: none                |                |
//   kCursor, N is     | the same, as far as the    | P              | yes
//   missing, foreign  | bytes are there            |                |
//   or too short      |                            |                |
//   kProvenFrames     | below N: all               | where the last | no
//                     | from N on, up to the last  | proven frame   |
//                     |   segment with proof: all  | ends           |
//                     |   if it is closed,         |                |
//                     |   otherwise those proven   |                |
//                     |   or counted by the cursor |                |
//                     | later: none                |                |
//   kSegmentsAlone,   | all                        | where the last | yes
//   kAlreadyRecovered |                            | proven frame   |
//                     |                            | ends           |
//
// first_position is never lower than P or the ring's first position. In row 6,
// frames of N count only if they reach the bytes that the cursor counts:
// otherwise their end positions contradict the cursor.
//
// The machine's death is the reason for the rows with another boot: the disk
// may have the ring's pages of different moments, so the cursor may be older
// than the segments. All other damage has no such explanation; then the
// segments stay unchanged.

#ifndef RINGLOG_COMPRESS_RECOVERY_RESUME_POINT_H_
#define RINGLOG_COMPRESS_RECOVERY_RESUME_POINT_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

enum class CursorState : uint8_t {
  kNone,        // none was published, or all traces of it are lost
  kIntact,      // the one published last
  kDamaged,     // the one published last is damaged or truncated
  kUnreadable,  // intact, but its segment state cannot be decoded
};

// The facts about a ring on which the decision depends.
struct RingFacts {
  uint64_t first_position = 0;  // of RingHeader
  bool is_of_another_boot = false;
  CursorState cursor_state = CursorState::kNone;
  // Facts of the newest intact cursor, which for kDamaged is an older one.
  // Zeros if there is no such cursor, or if it cannot be decoded.
  uint64_t cursor_end_position = 0;
  SegmentCursor cursor;
};

// The segment state of a persist cursor; zeros if `cursor` was never published.
// Errors are those of DecodeSegmentCursor().
absl::StatusOr<SegmentCursor> DecodeCursorState(const PersistCursor& cursor);

// Returns the state of the cursor published last: kNone, kIntact or kDamaged.
// `live` is null if the file ends before the end of the live area; `cursor` is
// the newest intact cursor.
CursorState CursorStateOf(const RingLive* live, const RingHeader& header,
                          const PersistCursor& cursor);

// Returns the facts about the ring with `header`. `cursor` is the newest intact
// cursor and `state` describes the one published last; if `cursor` cannot be
// decoded, kIntact becomes kUnreadable.
RingFacts MakeRingFacts(const RingHeader& header, bool is_of_another_boot,
                        CursorState state, const PersistCursor& cursor);

// The facts about one segment file. A check that forbids a file to count, or
// recovery to touch it, belongs into `standing`: the decision treats such a
// file as missing, and never gives its number to a new segment. (A caller may
// keep the numbers of foreign files elsewhere, and pass them itself.)
struct SegmentFacts {
  enum class Standing : uint8_t {
    kOwn,      // the ring's
    kForeign,  // has the number, but is not the ring's
  };

  uint64_t number = 0;
  Standing standing = Standing::kOwn;
  uint64_t bytes = 0;         // length of the file
  bool has_metadata = false;  // an intact metadata frame identifies it
  // False: the file could not be scanned. It counts, so that a reader tries it
  // and reports the error.
  bool is_readable = true;
  // The segment has the number of the cursor, and the bytes of the cursor's
  // open frame differ from those that were written.
  bool open_frame_is_damaged = false;
  // The segment has the number of the cursor, and the bytes of the cursor's
  // open frame were compared with its checksum and match.
  bool open_frame_is_proven = false;

  // Results of ScanSegment(); zeros if the file was not scanned or could not be
  // read.
  uint64_t proven_bytes = 0;  // end of the last proven frame's metadata
  uint64_t end_position = 0;  // where that frame's positions end
  bool is_closed = false;     // has its seek table
  bool is_complete = false;   // closed, and all of its frames are proven
  bool is_recovered = false;  // recovery wrote all of it
  // Drops that its proven frames after the cursor report.
  DropCounts drops = {};
};

// Returns true if the cursor counts bytes of `segment` that no proven frame
// has. A frame that is open at the cursor counts although a proven frame has
// the same end: the two contradict each other, which no flusher causes.
bool CountsMoreThanProven(const SegmentCursor& cursor,
                          const SegmentFacts& segment);

// The segments that must be scanned before DecideResumePoint() is called. A
// caller that only reads (and so uses `overlaps`) needs no scan for
// kSegmentsAlone.
struct ScanNeed {
  bool for_proof = false;     // rows 6 and 7
  bool for_segments = false;  // rows 2 to 5
  uint64_t first_number = 0;  // those with lower numbers need no scan
};
ScanNeed NeededScan(const RingFacts& ring);

// True if the ring must have had a cursor, because a ring names a segment in
// its cursor before the segment exists.
bool CursorWasLost(const RingFacts& ring,
                   absl::Span<const SegmentFacts> segments);

inline constexpr uint64_t kAllBytes = ~uint64_t{0};

// How much of one segment counts.
struct CountedSegment {
  uint64_t number = 0;
  uint64_t bytes = kAllBytes;  // from byte 0 on; 0: none
  // Where the positions of these bytes end; 0 if it is not known.
  uint64_t end_position = 0;
  // Begin of the open frame at the end of these bytes, if the cursor's checksum
  // proves it. Text of another open frame is unverified.
  uint64_t open_frame_begin = kAllBytes;
  // The bytes of the cursor's open frame are damaged, so they do not count.
  bool lost_open_frame = false;
};

struct ResumePoint {
  enum class Basis : uint8_t {
    kNothingPersisted,
    kCursor,
    kProvenFrames,
    kSegmentsAlone,
    kAlreadyRecovered,
  };

  Basis basis = Basis::kNothingPersisted;
  // The ring's records and gaps count from here on. Lower positions are, or
  // were, in segments.
  uint64_t first_position = 0;
  // The segments may lack records below first_position that the ring still
  // has, and may have records above it. A reader that compares the two finds
  // every record once. Recovery, which cannot compare, uses first_position.
  bool overlaps = false;
  // The cursor published last is damaged or lost, so some facts are missing.
  bool cursor_is_damaged = false;
  // One for each SegmentFacts, in the same order.
  std::vector<CountedSegment> segments;
  // The last segment of which bytes count, as far as it is known: it need not
  // be there. 0 if there is none.
  uint64_t last_segment = 0;
  uint64_t last_bytes = 0;  // of last_segment, as in CountedSegment
  // Index of last_segment in `segments`; -1 if it is not there.
  int last_index = -1;

  // True if recovery may append to last_segment at last_bytes; otherwise it
  // begins next_segment.
  bool continues_last = false;
  uint64_t next_segment = 1;

  // Drops that counted segments report.
  DropCounts reported_drops = {};
  // Returns the drops that a reader does not report again: none if the segments
  // that report them may be missing, because a drop that is reported twice is
  // better than none.
  DropCounts drops_known_to_reader() const {
    return overlaps ? DropCounts{} : reported_drops;
  }

  // True if the persist cursor decides what counts.
  bool is_by_cursor() const { return basis == Basis::kCursor; }
};

// Decides by the tables above. `segments` are sorted by number; two files may
// have the same number.
//
// Context: pure; reads nothing but its arguments.
ResumePoint DecideResumePoint(const RingFacts& ring,
                              absl::Span<const SegmentFacts> segments);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RECOVERY_RESUME_POINT_H_
