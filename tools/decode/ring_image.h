// RingImage
//
// A ring file as it was at one moment, even if its process writes while it is
// read. Does not map or lock the file, so a recovery that begins meanwhile is
// not disturbed.
//
// Reads records and gaps from the file when they are asked for. If the ring may
// be in use, reads them at once and keeps them (item_spool.h).

#ifndef RINGLOG_TOOLS_DECODE_RING_IMAGE_H_
#define RINGLOG_TOOLS_DECODE_RING_IMAGE_H_

#include <sys/types.h>

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
#include "ringlog/ring/file_source.h"
#include "ringlog/ring/os/fork_closed_file.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_recovery.h"
#include "ringlog/tools/decode/item_spool.h"

namespace ringlog {

// Thread-compatible.
class RingImage {
 public:
  // Reads a ring file. If the header and its copy are damaged, rebuilds the
  // header from the slots.
  //   InvalidArgument: not a ring file, or too large to be one
  //   DataLoss:        the header is damaged or truncated, and cannot be
  //                    rebuilt
  //   Unimplemented:   a later version wrote the ring
  //   others:          those of open(2), FileSource and ItemSpool
  static absl::StatusOr<RingImage> Read(const std::string& path);
  // Does the same, and shares `room` with other images. `room` must outlive
  // this call, and those of KeepInMemory().
  static absl::StatusOr<RingImage> ReadInto(SpoolRoom* room,
                                            const std::string& path) {
    return Make(room, path, /*has_text=*/true);
  }
  // Does the same as Read(). If the ring may be in use, records have no head
  // and body, which need memory.
  static absl::StatusOr<RingImage> ReadWithoutText(const std::string& path);

  // Reads only the header of a ring file, without rebuilding it. Errors are
  // those of ParseRingHeader(), open(2), read(2) and CheckOwner(), and
  // InvalidArgument for a file that is not regular.
  static absl::StatusOr<RingHeader> ReadHeader(const std::string& path,
                                               uid_t owner);

  // Returns the number of images that may have their files open at once,
  // besides those that stay open: a fraction of the files that this process may
  // open.
  static size_t MaxOpen();

  // Returns the owner of the file that was read.
  uid_t owner() const { return owner_; }
  const RingHeader& header() const { return summary_.header; }
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
  uint64_t file_bytes() const { return source_->size(); }
  const RingSummary& summary() const { return summary_; }

  // Begins before the first of the records and gaps of that moment. Errors are
  // those of ItemSpool.
  absl::Status Restart(RecoverFrom from);
  // Goes to the next one; see RingRecovery. Errors are those of FileSource and
  // ItemSpool. Requires: Restart() was called.
  absl::StatusOr<RingRecovery::Item> Next();
  const RecoveredRecord& record() const;
  const Gap& gap() const { return gap_; }

  // If the items of `from` take little memory, keeps them there and closes the
  // file. Restart() must then have the same argument. Errors are those of
  // Next().
  absl::Status KeepInMemory(SpoolRoom* room, RecoverFrom from);
  // Frees the memory that the next Restart() can allocate again.
  void FreeMemory() { source_->FreeWindow(); }

  // Returns the reports that signal handlers wrote to the crash area. Next()
  // returns them as records. Errors are those of FileSource.
  // Requires: the file is open, see KeepInMemory().
  absl::StatusOr<std::vector<CrashReport>> crash_reports() const;

 private:
  static absl::StatusOr<RingImage> Make(SpoolRoom* room,
                                        const std::string& path, bool has_text);
  absl::Status FindHeader();
  bool MayBeInUse(const std::string& path) const;
  absl::StatusOr<bool> CopyItems(uint64_t max_bytes, bool has_text,
                                 ItemSpool* spool);
  absl::Status Spool(SpoolRoom* room, bool has_text);
  absl::Status ReadLiveAgain();
  bool Counts(const RecoveredRecord& record) const;
  bool ClipGap();

  std::unique_ptr<SpoolRoom> own_room_;
  ForkClosedFile file_;
  uid_t owner_ = 0;
  std::unique_ptr<FileSource> source_;
  // Reads the items. One of them is used.
  std::unique_ptr<RingRecovery> recovery_;
  std::unique_ptr<ItemSpool> spool_;

  RingSummary summary_;
  bool header_is_rebuilt_ = false;
  CursorState cursor_state_ = CursorState::kNone;
  PersistCursor cursor_ = {};
  // The bounds of items if the ring may be in use: the rest was written to
  // segments, or was logged, while the ring was read.
  bool may_be_in_use_ = false;
  uint64_t first_record_position_ = 0;
  uint64_t first_gap_position_ = 0;
  uint64_t end_position_ = kMaxPosition;
  Gap gap_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_RING_IMAGE_H_
