// ClosedSegments
//
// What on_segment_closed of a process that is killed was told of, and what each
// of these files was then: they have to stay so, whoever recovers what the
// process has left. In a SharedPage.

#ifndef RINGLOG_TESTING_KILL_CLOSED_SEGMENTS_H_
#define RINGLOG_TESTING_KILL_CLOSED_SEGMENTS_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

namespace ringlog {

// One thread adds; when its process has died another one looks.
class ClosedSegments {
 public:
  // Reads the file. Only the last ones are kept: a recovery comes near no
  // other.
  void Add(const std::string& path);

  uint64_t count() const { return count_; }
  // A test failure if one of them is not what it was; or has gone, but with
  // `may_be_deleted`.
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
  // One more: that may be half written.
  std::array<Segment, kKept + 1> segments_ = {};
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_KILL_CLOSED_SEGMENTS_H_
