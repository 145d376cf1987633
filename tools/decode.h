// Decoding: rings, segments and directories -> records, each once, in order.
// The library under `ringlog` and crash_demo.
//
// Files are read, never mapped, never changed. Each ring's segments and the
// ring itself are one source, in order of position: what the ring still holds
// of records that its segments have too, by the persist cursor, is passed over.
// Sources are merged by time.
//
// Thread-compatible.

#ifndef RINGLOG_TOOLS_DECODE_H_
#define RINGLOG_TOOLS_DECODE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "ringlog/compress/line_format.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"

namespace ringlog {

// Where a record was found.
enum class Origin { kSegment, kRing };

struct DecodedRecord {
  Record record;  // views, valid during the call
  uint64_t position = kNoPosition;
  Origin origin = Origin::kSegment;
  const std::string* path = nullptr;
};

struct DecodeSink {
  std::function<void(const DecodedRecord&)> on_record;
  std::function<void(const std::string& path, const Gap&)>
      on_gap;  // of rings; those in segments are records' lines
  std::function<void(const std::string& path, absl::string_view message)>
      on_damage;  // "[begin..end): why", or a ring's
  std::function<void(const std::string& path, const absl::Status&)>
      on_unusable;  // an input that could not be read at all
};

// What `paths` led to.
struct DecodeResult {
  uint64_t segment_records = 0;
  uint64_t ring_records = 0;
  uint64_t losses = 0;  // gaps by which an acknowledged record is missing, and
                        // damaged regions
  uint64_t unusable = 0;  // inputs
  // The exit status of `ringlog`: 0 complete, 1 gaps or damage, 2 unusable
  // input.
  int exit_status() const { return unusable != 0 ? 2 : losses != 0 ? 1 : 0; }
};

DecodeResult Decode(const std::vector<std::string>& paths,
                    const DecodeSink& sink);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_H_
