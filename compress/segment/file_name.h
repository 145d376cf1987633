// Names of files, and when a segment is full: decisions as pure functions.
// Nothing here touches a file.

#ifndef RINGLOG_COMPRESS_SEGMENT_FILE_NAME_H_
#define RINGLOG_COMPRESS_SEGMENT_FILE_NAME_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

// What the names of a ring's files are made of:
//
//   program.host.20261124-034019.12345.5f3a9c1b
//
// Behind the host come the time when the file was begun (UTC, to the second),
// the process id, and the first four bytes of the ring id. Sorted by name, the
// files of one program on one host are sorted by time.
//
// Program and host come from outside and may hold anything: bytes other than
// letters, digits, '-' and '_' become '_'.

// program.host.TIME.pid.id.ring, with the time of the ring's creation.
std::string RingFileName(const RingHeader& header);
// program.host.TIME.pid.id.000001.log.zst, or .jsonl.zst for JSON. More than
// 999,999 segments only make the number longer.
std::string SegmentFileName(const RingHeader& header, uint64_t segment_number,
                            int64_t open_time_ns, LineFormat format);
// program.current.zst: the name of the symlink to the segment that is being
// written. No pattern that finds the segments finds it too.
std::string SymlinkName(const RingHeader& header);

// The part of a ring's id that is in the names of its files: its first four
// bytes, as a number written in hexadecimal.
uint32_t RingIdPrefix(absl::Span<const uint8_t> ring_id);

// What a file's name says it is. Names prove nothing: readers look inside.
enum class FileKind { kRing, kSegment, kOther };
struct ParsedFileName {
  FileKind kind = FileKind::kOther;
  std::string program;
  std::string host;
  int64_t process_id = 0;
  uint32_t ring_id_prefix = 0;  // RingIdPrefix()
  int64_t time_ns = 0;
  uint64_t segment_number = 0;            // of a segment
  LineFormat format = LineFormat::kText;  // of a segment
};
ParsedFileName ParseFileName(absl::string_view basename);

// Whether it is full.
bool ShouldRotate(const RotationOptions& options, uint64_t segment_bytes);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_FILE_NAME_H_
