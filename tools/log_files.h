// Hand-made rings and segments, for tests.

#ifndef RINGLOG_TOOLS_LOG_FILES_H_
#define RINGLOG_TOOLS_LOG_FILES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringlog/compress/line_format.h"
#include "ringlog/compress/segment_format.h"
#include "ringlog/compress/segment_writer.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"

namespace ringlog {

// 2026-11-24 03:40:19 UTC.
inline constexpr int64_t kTestTimeNs = 1795491619 * int64_t{1000000000};

// A record of severity INFO, `microseconds` after kTestTimeNs, from
// "server.cc:7" in thread 42.
Record TestRecord(int64_t microseconds, absl::string_view text);

// A process as its files show it: a ring, and a flusher whose steps the test
// makes. A failing step fails the test. What its files hold at any moment is
// what a kill at that moment leaves.
class HandMadeProcess {
 public:
  struct Options {
    LineFormat format = LineFormat::kText;
    uint64_t slot_count = 64;
    OverflowPolicy overflow = OverflowPolicy::kDropNewest;
    // Of a frame; so small that each batch is a frame of its own.
    size_t frame_bytes = 1;
    std::string program = "server";
  };
  explicit HandMadeProcess(const std::string& directory)
      : HandMadeProcess(directory, Options()) {}
  HandMadeProcess(const std::string& directory, const Options& options);

  // Appends to the ring.
  void Log(const Record& record);
  // Logs `text`, one microsecond after the last.
  void Log(absl::string_view text);
  // Claims a slot, as a thread does that is killed before it has committed.
  void LeaveUnfinished();

  // Takes everything out of the ring, writes it into the current segment, or
  // the first. One step each:
  void TakeAndWrite();
  void Publish();
  void Release();
  // All three.
  void Flush();
  // Closes the segment, seek table and all; the next TakeAndWrite() begins
  // another.
  void EndSegment();

  // The next batch tells of this gap too, at its end. If it is one of drops,
  // the next Publish() says so.
  void AddGapToNextBatch(const Gap& gap) { gaps_.push_back(gap); }

  Ring* ring() { return ring_.get(); }
  const std::string& ring_path() const { return ring_->path(); }
  // Of the segment with this number, as far as one was begun.
  const std::string& segment_path(size_t number) const {
    return segment_paths_.at(number - 1);
  }

 private:
  void BeginSegment();
  void AddToBatch(const Ring::Taken& taken);

  const std::string directory_;
  const Options options_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<SegmentWriter> writer_;
  // The batch that is being written.
  std::string lines_;
  FrameSummary summary_;
  std::vector<Gap> gaps_;
  DropCounts reported_drops_ = {};
  std::vector<std::string> segment_paths_;
  int64_t segment_open_time_ns_ = 0;
  uint64_t published_position_ = 0;
  int64_t microseconds_ = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_LOG_FILES_H_
