// RingImage
//
// The bytes of a ring file in memory, as they were at one moment, even if its
// process writes while they are read. Does not map or lock the file, so a
// recovery that begins meanwhile is not disturbed.

#ifndef RINGLOG_TOOLS_DECODE_RING_IMAGE_H_
#define RINGLOG_TOOLS_DECODE_RING_IMAGE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/recovery/resume_point.h"
#include "ringlog/ring/crash_area.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

// Thread-compatible.
class RingImage {
 public:
  // Reads a ring file. If the header and its copy are damaged, rebuilds the
  // header from the slots.
  //   InvalidArgument: not a ring file, or too large to be one
  //   DataLoss:        the header is damaged or truncated, and cannot be
  //   rebuilt Unimplemented:   a later version wrote the ring others: those of
  //   open(2) and read(2)
  static absl::StatusOr<RingImage> Read(const std::string& path);

  const RingHeader& header() const { return header_; }
  // True if header() is from RebuildRingHeader(): it does not identify the
  // owner.
  bool header_is_rebuilt() const { return header_is_rebuilt_; }
  // Returns the rebuilt geometry: "slots of 512 bytes, 16384 of them".
  std::string DescribeRebuilt() const;
  // Sets the ring's true id. Requires: header_is_rebuilt(), and the CRC-32C of
  // `id` is that of header().ring_id.
  void SetRingId(const std::array<uint8_t, 16>& id);
  // Never kUnreadable.
  CursorState cursor_state() const { return cursor_state_; }
  // The newest intact cursor; zeros if there is none.
  const PersistCursor& cursor() const { return cursor_; }
  // The facts about the ring for DecideResumePoint().
  RingFacts facts() const;
  // Name of the program that created the ring.
  std::string program() const;
  // True if the owner may be alive. The file may still be unused: it may be a
  // copy, or the owner may have called exec(2).
  bool owner_may_be_alive() const;
  bool is_of_another_boot() const;
  // Length of the file when it was read; less than header().file_bytes if it is
  // truncated.
  uint64_t file_bytes() const { return file_bytes_; }

  // Returns the records and gaps at that moment. They refer to this image.
  RecoveredRing Recover(RecoverFrom from) const;

  // Returns the reports that signal handlers wrote to the crash area. Recover()
  // returns them as records.
  std::vector<CrashReport> crash_reports() const;

 private:
  absl::string_view bytes() const { return {bytes_.get(), size_}; }
  absl::string_view At(uint64_t offset, uint64_t length) const;
  absl::Status FindHeader(int fd);
  absl::Status Load(int fd, uint64_t size);
  void FindCursor();

  std::unique_ptr<char[]> bytes_;
  size_t size_ = 0;
  uint64_t file_bytes_ = 0;
  RingHeader header_ = {};
  bool header_is_rebuilt_ = false;
  CursorState cursor_state_ = CursorState::kNone;
  PersistCursor cursor_ = {};
  // If the ring was in use while it was read: the tail when the reading began.
  // Later positions are incomplete.
  uint64_t end_position_ = kMaxPosition;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_RING_IMAGE_H_
