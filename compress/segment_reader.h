// SegmentReader
//
// Reads one segment, whole, still being written, or cut: record by record, with
// the metadata of each frame after it. Every block that was completely written
// is delivered, whatever comes after it. Memory is bounded (a window and one
// record), whatever the file says of itself. The file is read with read(2),
// never mapped, and never changed.
//
// Thread-compatible.

#ifndef RINGLOG_COMPRESS_SEGMENT_READER_H_
#define RINGLOG_COMPRESS_SEGMENT_READER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment_format.h"

namespace ringlog {

inline constexpr uint64_t kWholeFile = ~uint64_t{0};

// Bytes of the file that could not be used. Prints as "[begin..end): why".
struct SkippedRegion {
  uint64_t begin = 0;
  uint64_t end = 0;
  std::string why;
  // A file that merely ends early, as every file of a killed process does, is
  // not damaged.
  bool is_cut = false;
};

class SegmentReader {
 public:
  // Reads only the first `limit_bytes` of the file: for a segment whose ring is
  // at hand, the ring's cursor says how many of them count.
  //   InvalidArgument: not a zstd file. NotFound and others: those of open(2)
  //   and read(2), with the path.
  static absl::StatusOr<std::unique_ptr<SegmentReader>> Open(
      const std::string& path, uint64_t limit_bytes = kWholeFile);

  ~SegmentReader();
  SegmentReader(const SegmentReader&) = delete;
  SegmentReader& operator=(const SegmentReader&) = delete;

  enum class Result {
    kRecord,    // `lines` is the next record, with its line breaks; valid until
                // the next call
    kMetadata,  // the frame of the records before it is complete: metadata() is
                // the frame's
    kEnd,
  };
  Result Next(absl::string_view* lines);

  const FrameMetadata& metadata() const;

  // Of the lines. From the first metadata frame if there is one; of a file
  // without, by its first byte.
  LineFormat format() const;

  // The metadata of the first frame, read ahead by Open(). nullptr if the file
  // is cut before it, or is not ours.
  const FrameMetadata* first_metadata() const;

  // So far.
  const std::vector<SkippedRegion>& skipped() const;

  // The file's position: everything before it has been delivered or is in
  // skipped().
  uint64_t offset() const;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_READER_H_
