// RingImage
//
// The bytes of a ring file in memory, as they were at one moment, though its
// process may be at work while they are read. It does not map the file, and
// takes no lock on it: a recovery that begins meanwhile is not disturbed.

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
#include "ringlog/ring/crash_report.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {

// Thread-compatible.
class RingImage {
 public:
  // Reads a file, of which nothing but the header is believed. If that and its
  // copy are lost, they are rebuilt from the slots.
  //   InvalidArgument     not a ring file, or too large to be one
  //   DataLoss            a ring whose header is damaged or cut off, and cannot
  //                       be rebuilt
  //   Unimplemented       a ring that this program does not know how to read
  //   others              those of open(2) and read(2)
  static absl::StatusOr<RingImage> Read(const std::string& path);

  const RingHeader& header() const { return header_; }
  // header() is what RebuildRingHeader() made of the slots: it does not say
  // whose ring it is.
  bool header_is_rebuilt() const { return header_is_rebuilt_; }
  // "slots of 512 bytes, 16384 of them": what it does say.
  std::string DescribeRebuilt() const;
  // The ring's true id, once it is known. Requires: header_is_rebuilt(), and
  // the CRC-32C of `id` is that of header().ring_id.
  void SetRingId(const std::array<uint8_t, 16>& id);
  // Never kUnreadable.
  CursorState cursor_state() const { return cursor_state_; }
  // The newest intact cursor; zeros if there is none.
  const PersistCursor& cursor() const { return cursor_; }
  // The facts about the ring for DecideResumePoint().
  RingFacts facts() const;
  // Of the process that made it.
  std::string program() const;
  // Whether that process lives; not whether this file is still its ring: it may
  // be a copy, and the process may have called exec(2).
  bool owner_may_be_alive() const;
  bool is_of_another_boot() const;
  // The file's length when it was read; less than header().file_bytes if it has
  // been cut.
  uint64_t file_bytes() const { return file_bytes_; }

  // What was in the ring at that moment. Refers to this image.
  RecoveredRing Recover(RecoverFrom from) const;

  // What signal handlers wrote into the crash area. Recover() has them too, as
  // records.
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
  // If the ring was in use while it was read: the position that was claimed
  // next when that began. What was claimed later is not complete.
  uint64_t end_position_ = kMaxPosition;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_RING_IMAGE_H_
