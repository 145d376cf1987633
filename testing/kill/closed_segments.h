// ClosedSegments
//
// Remembers the segments that a process reported to on_segment_closed, with
// size and checksum, so that the parent can check after a kill that no recovery
// has changed them. Lives in a SharedPage.

#ifndef RINGLOG_TESTING_KILL_CLOSED_SEGMENTS_H_
#define RINGLOG_TESTING_KILL_CLOSED_SEGMENTS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace ringlog {

// Thread-compatible. One thread adds. After the death of the process, another
// process checks.
class ClosedSegments {
 public:
  // Reads the file and remembers its size and checksum. Keeps only the last
  // kKept segments, because a recovery touches no older ones.
  void Add(const std::string& path);

  // Number of segments added.
  uint64_t count() const { return count_; }
  // The test fails if a remembered file has changed, or does not exist although
  // `may_be_deleted` is false.
  void ExpectUnchanged(bool may_be_deleted) const;

 private:
  static constexpr size_t kKept = 4;
  static constexpr size_t kMaxPathBytes = 255;

  struct Segment {
    std::array<char, kMaxPathBytes + 1> path;
    uint64_t bytes;
    uint32_t checksum;
  };

  std::atomic<uint64_t> count_{0};
  // One more than kKept, because a kill can interrupt a write to the oldest.
  std::array<Segment, kKept + 1> segments_ = {};
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_KILL_CLOSED_SEGMENTS_H_
