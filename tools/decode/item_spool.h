// ItemSpool
//
// The records and gaps of a ring in the order in which they were added. Keeps
// them in memory as far as there is room, and then in a file without a name in
// the directory for temporary files.

#ifndef RINGLOG_TOOLS_DECODE_ITEM_SPOOL_H_
#define RINGLOG_TOOLS_DECODE_ITEM_SPOOL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_recovery.h"
#include "ringlog/ring/ring_source.h"

namespace ringlog {

// The memory that several spools share.
struct SpoolRoom {
  // Bytes that are left. The records of a ring of the default size fit.
  size_t bytes = size_t{8} << 20;
};

// Thread-compatible.
class ItemSpool {
 public:
  // Bytes of an item in addition to head and body.
  static constexpr size_t kItemBytes = 24;

  // `room` must outlive all calls of Add().
  explicit ItemSpool(SpoolRoom* room) : room_(room) {}
  ~ItemSpool();
  ItemSpool(const ItemSpool&) = delete;
  ItemSpool& operator=(const ItemSpool&) = delete;

  // Add an item. Errors are those of creating and writing the file, with the
  // advice to set TMPDIR.
  absl::Status Add(const RecoveredRecord& record);
  absl::Status Add(const Gap& gap);

  // Returns the number of bytes that the items take.
  uint64_t bytes() const { return written_bytes_ + buffer_.size(); }

  // Begins before the first item. Add() must not be called afterwards.
  absl::Status Restart();
  // Goes to the next item; see RingRecovery. Errors are those of reading the
  // file. Requires: Restart() was called.
  absl::StatusOr<RingRecovery::Item> Next();
  // Valid until the next call of Next() or Restart().
  const RecoveredRecord& record() const { return record_; }
  const Gap& gap() const { return gap_; }

 private:
  struct ItemHeader;

  absl::Status Append(absl::string_view bytes);
  absl::Status WriteBuffer();

  SpoolRoom* const room_;
  // The items, or the last ones if there is a file.
  std::string buffer_;
  int fd_ = -1;
  std::string path_;  // of the file's directory
  uint64_t written_bytes_ = 0;

  std::unique_ptr<RingSource> source_;
  uint64_t next_ = 0;  // offset of the next item
  RecoveredRecord record_;
  Gap gap_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_ITEM_SPOOL_H_
