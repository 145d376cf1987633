// File names of rings and segments, and the rule for when a segment is full.
//
// All functions are thread-safe, and access no files. All but NewNameSalt() are
// pure.

#ifndef RINGLOG_COMPRESS_SEGMENT_FILE_NAME_H_
#define RINGLOG_COMPRESS_SEGMENT_FILE_NAME_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

// The names of a ring's files begin with a common stem:
//
//   program.host.20261124-034019.12345.5f3a9c1b
//
// The parts after the host are the UTC time at which the file was begun, in
// seconds; the process id; and the first four bytes of the ring id. The names
// of one program's files on one host therefore sort by time.
//
// Program and host come from outside and may have any bytes. Each byte that is
// not a letter, a digit, '-' or '_' becomes '_', and an empty part becomes "_".

// Returns the name of a ring file: program.host.TIME.pid.id.ring, with the time
// of the ring's creation.
std::string RingFileName(const RingHeader& header);

// Returns the name of a segment: program.host.TIME.pid.id.000001.log.zst, or
// .jsonl.zst for JSON. A segment number above 999,999 has more digits.
// `open_time_ns` is the Unix time at which the segment was begun. Unless `salt`
// is 0, it follows the number: 000001-5f3a9c1b.
std::string SegmentFileName(const RingHeader& header, uint64_t segment_number,
                            int64_t open_time_ns, LineFormat format,
                            uint32_t salt = 0);

// Returns the segment name `basename` with `salt` in place of its own salt. Any
// other name is returned unchanged.
std::string WithNameSalt(absl::string_view basename, uint32_t salt);

// Returns a random salt, never 0. Other users cannot predict it. (If the system
// has no random numbers yet, shortly after its start, it comes from the clock.)
uint32_t NewNameSalt();

// Returns the name of the segment that `cursor` names.
std::string SegmentFileName(const RingHeader& header,
                            const SegmentCursor& cursor);

// Returns the name of the symlink to the current segment: program.current.zst.
// Patterns that match segment names do not match it.
std::string SymlinkName(const RingHeader& header);

// Returns the first four bytes of a ring id, the first one as the highest. File
// names have this number in hexadecimal. Requires: `ring_id` has at least four
// bytes.
uint32_t RingIdPrefix(absl::Span<const uint8_t> ring_id);

enum class FileKind { kRing, kSegment, kOther };

// The names of all rings and segments, for messages. A segment's name ends with
// .log.zst or .jsonl.zst, by its LineFormat.
inline constexpr absl::string_view kLogFilePatterns =
    "*.ring, *.log.zst or *.jsonl.zst";

// Returns the kind of a file by the end of its name alone: also for files that
// other programs have named.
FileKind KindOfSuffix(absl::string_view name);

// The parts of a file name. A name is only a claim; a reader must check the
// file's content.
struct ParsedFileName {
  FileKind kind = FileKind::kOther;
  std::string program;
  std::string host;
  int64_t process_id = 0;
  // RingIdPrefix() of the ring.
  uint32_t ring_id_prefix = 0;
  // Unix time at which the file was begun, with a resolution of one second.
  int64_t time_ns = 0;
  // Number, salt and format of a segment.
  uint64_t segment_number = 0;
  uint32_t salt = 0;
  LineFormat format = LineFormat::kText;
};

// Parses a file name without directories. Returns the kind kOther and default
// values unless the name is exactly as RingFileName or SegmentFileName writes
// it.
ParsedFileName ParseFileName(absl::string_view basename);

// Returns true if a segment of `segment_bytes` bytes has reached the size
// limit.
bool ShouldRotate(const RotationOptions& options, uint64_t segment_bytes);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_FILE_NAME_H_
