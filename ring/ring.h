// Ring
//
// A ring of records in a memory-mapped file. Appended records are in the file
// and survive the end of the process. ring/FORMAT.md is the format; ring/slot.h
// is the protocol. A record is bytes; of its head the ring interprets only the
// thread id (record.h), which Skip() returns.
//
//   auto ring = ringlog::Ring::Create("/var/log/app/app.ring", {});
//   if (!ring.ok()) return ring.status();
//   (*ring)->Append(Severity::kInfo, head, body);            // any thread
//   while (auto taken = (*ring)->Take()) Write(*taken);      // one thread
//   (*ring)->Release();

#ifndef RINGLOG_RING_RING_H_
#define RINGLOG_RING_RING_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringlog/ring/crash_area.h"
#include "ringlog/ring/drop_counts.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/os/mapped_file.h"
#include "ringlog/ring/overflow_policy.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/severity.h"
#include "ringlog/ring/slot.h"

namespace ringlog {

struct RingOptions {
  // Number of slots: a power of two from 2 to 2^26. With the other defaults a
  // slot has 512 bytes and the ring 8 MiB. A ring has at most 4 GiB.
  uint64_t slot_count = 16384;
  // Maximum size of a record's head, 40 to 4096 bytes.
  uint32_t head_bytes = 128;
  // Body bytes that fit into a slot next to a head of `head_bytes`, 1 to 1 MiB.
  // A longer record takes several slots.
  uint32_t body_bytes = 352;

  // Policy for records if the ring is full.
  OverflowPolicy overflow = OverflowPolicy::kDropNewest;
  // Maximum time that a writer waits with OverflowPolicy::kBlock.
  absl::Duration block_deadline = absl::Milliseconds(100);

  // The first position, 1 to 2^60. Tests begin slightly below a power of two in
  // order to detect truncated positions.
  uint64_t first_position = 1;

  // NUMA node on which the ring's pages are allocated, preferably the node of
  // the flusher's cores. Negative: the kernel chooses. Only tests and the
  // benchmark set it; programs that use the Ring class directly may.
  int numa_node = -1;

  // Names for the header. Empty: the name of the running program and of the
  // machine.
  std::string program;
  std::string host;

  // Absolute path of the directory to which recovery moves the records. Empty:
  // the directory of the ring.
  std::string segment_directory;

  // Permission bits of the segments that recovery makes for this ring, before
  // the umask. 0: those of the recovering program.
  uint32_t segment_mode = 0;
};

// A ring has any number of writers and at most one flusher: the thread that
// takes records. With OverflowPolicy::kOverwriteOldest it has none: the methods
// under "The flusher" then do nothing and return nothing or false.
//
// Thread safety: any thread may call the methods under "Writers" and "Any
// thread". At most one thread at a time may call the methods under "The
// flusher".
//
// A file belongs to one process and one Ring: Create and Open lock the file for
// the lifetime of the Ring. A forked child has neither the file nor its memory.
// In the child, the parent's Ring refers to private memory of zeros, and calls
// to it have no effect on the parent.
//
// Guarantees:
// - A record exists once Append() has returned kAppended or kTruncated, or
//   Commit() has returned true. It then survives any end of the process.
// - A record is taken once. Records are taken in order of position, and the
//   records of one thread keep their order.
//
// Does not guarantee:
// - survival of a kernel panic or power loss, unless Sync(kWait) has returned
//   OK since;
// - protection against code that writes into the mapping or truncates the file.
class Ring {
 public:
  // Creates the file `path` with mode 0600. Allocates all blocks and populates
  // all pages. The file gets its name last, so a killed process leaves no
  // incomplete ring under that name.
  //
  // Only tests and programs that use the Ring class directly call it; the log
  // sink calls CreateIn().
  //
  //   InvalidArgument     an option is out of range; the message names the
  //                       option, its value and the allowed values
  //   AlreadyExists       `path` or PATH.tmp exists
  //   ResourceExhausted   no room on the disk, no memory, no file descriptor
  //   others              errors of open(2), fallocate(2), mmap(2) and
  //                       rename(2), with the path; of mbind(2), with the node
  static absl::StatusOr<std::unique_ptr<Ring>> Create(
      const std::string& path, const RingOptions& options);

  // Creates a file in `directory`. `name` returns the file's name and may use
  // the header, for example the ring id. If there is a file of this name, gives
  // the ring another id, and asks for a name again. Errors: see Create().
  static absl::StatusOr<std::unique_ptr<Ring>> CreateIn(
      const std::string& directory,
      absl::FunctionRef<std::string(const RingHeader&)> name,
      const RingOptions& options);

  // Creates a ring in memory without a file. It survives nothing. Errors: see
  // Create().
  static absl::StatusOr<std::unique_ptr<Ring>> CreateAnonymous(
      const RingOptions& options);

  // Maps the file of a dead process or of a destroyed Ring, and resumes it.
  // Afterwards, committed records that are not persisted can be taken, and
  // records can be appended. Records that were not committed do not exist. Uses
  // only `overflow` and `block_deadline` of `options`.
  //
  // Only walkthrough_test and programs that use the Ring class directly call
  // it. The log sink creates a new ring at each start, and recovery reads
  // leftover rings with RingRecovery.
  //
  //   FailedPrecondition  another process or Ring has the file open
  //   InvalidArgument     the file is empty
  //   DataLoss            the size of the file differs from the size in its
  //                       header
  //   others              errors of ParseRingHeader(), open(2) and mmap(2)
  static absl::StatusOr<std::unique_ptr<Ring>> Open(const std::string& path,
                                                    const RingOptions& options);

  // Unmaps, closes and unlocks the file, and keeps it on disk.
  // Requires: no other call is running.
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // ---- Writers; any thread ----

  // Claims the slots for a record. They belong to the caller, which must pass
  // them to Commit() or Abandon() once. Otherwise the slots stay unusable while
  // the process lives, because no other thread can know that they are not being
  // written.
  //
  // If there is no room, follows RingOptions::overflow. If there still is no
  // room, counts a drop and returns nothing. There is never room for a record
  // with head_bytes > RingOptions::head_bytes or body_bytes >
  // max_body_bytes(head_bytes).
  //
  // Context: any thread; see Append().
  std::optional<SlotRange> Claim(Severity severity, size_t head_bytes,
                                 size_t body_bytes);

  // Copies a record into claimed slots and commits it. Returns false if the
  // claim was skipped meanwhile; the record then does not exist, and the slots
  // belong to the ring again. Truncates a body that is longer than the claim.
  // Requires: Claim() has returned `claim` for the same severity and
  // head.size().
  // Context: any thread; no lock, no allocation, no system call.
  bool Commit(const SlotRange& claim, Severity severity, absl::string_view head,
              absl::string_view body);

  // Ends a claim without a record and returns its slots to the ring. Only
  // walkthrough_test and programs that use the Ring class directly call it.
  void Abandon(const SlotRange& claim);

  enum class AppendResult {
    kAppended,
    kTruncated,  // appended, with a truncated body; counted
    kDropped,    // counted
  };
  // Appends a record: Claim() and Commit(), repeated if the claim was skipped
  // meanwhile. Truncates a body that is longer than max_body_bytes().
  //
  // Requires: head.size() <= RingOptions::head_bytes.
  // Context: any thread; no lock, no allocation, no system call. With kBlock it
  // may read the clock and sleep, with kOverwriteOldest yield the processor.
  AppendResult Append(Severity severity, absl::string_view head,
                      absl::string_view body);

  // Returns the maximum size of a body, in bytes, for a head of `head_bytes`. A
  // record takes at most half of the ring, and at most 65,535 slots.
  // Requires: head_bytes <= RingOptions::head_bytes.
  size_t max_body_bytes(size_t head_bytes) const;

  // Returns the number of slots that records of this severity may fill. A
  // sixteenth of the ring is only for FATAL, and another sixteenth only for
  // WARNING and above; with kOverwriteOldest nothing is.
  uint64_t capacity(Severity severity) const;

  // ---- The flusher; one thread at a time ----

  struct Taken {
    SlotRange slots;
    // Set if the slots have no intact record. Head and body are then empty.
    std::optional<GapCause> gap;
    // Valid until Release(). Those of a record of several slots are valid only
    // until the next Take().
    absl::string_view head;
    absl::string_view body;
  };
  // Takes the next record or gap, in order of position. Advances over slots
  // without a record. Returns nothing if the next position is not claimed or
  // not committed.
  std::optional<Taken> Take();

  // Returns the next position to take if it is claimed but not committed.
  // Take() then returns nothing.
  std::optional<uint64_t> pending();

  // Skips pending(), and the uncommitted positions that directly follow it, but
  // none at or beyond `end`. For stuck writers, so that later records need not
  // wait for them. A skipped slot is not used again before its writer releases
  // it.
  //
  // Returns the skipped positions of one thread, and sets `*thread_id` to its
  // id, or to 0 if it is not known. Returns nothing in two cases: the writer
  // committed first; or it had not claimed the slot yet, and will append its
  // record again.
  // Requires: pending() has returned a position.
  std::optional<SlotRange> Skip(uint64_t end, int64_t* thread_id = nullptr);

  // Publishes a persist cursor: all positions below `end_position` are
  // persisted. Stores the flusher's `state`, which has at most
  // sizeof(PersistCursor::state) bytes. If the process is killed, recovery
  // finds either the previous cursor or this one, intact.
  void PublishCursor(uint64_t end_position, absl::string_view state);

  // Releases all taken slots, so that writers can claim them.
  void Release();
  // Returns the number of slots that are taken and not released.
  uint64_t taken_slots() const { return take_position() - release_position_; }

  // Seals the ring if all slots are released, and returns true. From then on
  // all records are dropped and counted as DropCause::kClosed. Returns false if
  // a slot has a record that is not released, or a writer has a claim.
  bool Seal();
  // Returns true if Seal() has returned true. Any thread.
  bool is_sealed() const { return is_sealed_.load(); }

  // Declares that new records go to another ring. A record that comes here all
  // the same, and finds no room or a sealed ring, is not counted as dropped:
  // its writer must append it to the other ring. Call it after writers can find
  // the other ring.
  void SetSuccessor() { has_successor_.store(true); }

  // Frees the memory of the slots. Later records are dropped as before.
  // Requires: is_sealed().
  void DiscardSlots() { file_.Discard(header_.slots_offset); }

  // Declares that there is no flusher any more, so that no slot will be
  // released. Records enter while there is room. Afterwards they are dropped
  // without waiting, even with kBlock, and counted as DropCause::kClosed. The
  // flusher calls it last, if Seal() returns false.
  void SetFlusherEnded() { has_flusher_.store(false); }

  // ---- Any thread ----

  // Returns true if `p` points into the mapping. Only walkthrough_test and
  // programs that use the Ring class directly call it.
  bool Contains(const void* p) const;
  // Returns true if no slot is Filled or Persisting. Slots that writers have
  // claimed do not count.
  bool empty() const;
  // Returns the number of positions that are claimed and not taken; approximate
  // while other threads use the ring. Only walkthrough_test and programs that
  // use the Ring class directly call it.
  uint64_t unprocessed_count() const;
  // Returns the number of slots that are claimed and not released; approximate
  // while other threads use the ring.
  uint64_t used_slots() const;
  // Returns the next position that a writer will claim.
  uint64_t tail_position() const { return slots_.tail(); }
  // Returns the next position that the flusher will take.
  uint64_t take_position() const {
    return take_position_.load(std::memory_order_relaxed);
  }

  enum class SyncMode {
    kStart,  // returns when the write-back has begun
    kWait    // returns when the write-back is complete
  };
  // Writes the mapping back to the device of the file. Does nothing for a ring
  // in memory. Returns the error of msync(2), with the path. Only
  // walkthrough_test and programs that use the Ring class directly call it.
  absl::Status Sync(SyncMode mode);

  // Returns the area that signal handlers write to. It lives as long as the
  // Ring.
  const CrashArea& crash_area() const { return crash_area_; }

  const RingHeader& header() const { return header_; }
  // Returns the path of the file; empty for a ring in memory.
  const std::string& path() const { return path_; }
  // Returns true if there is a file and path() does not lead to it any more:
  // the file or a directory of its path was deleted, renamed or replaced.
  // Recovery does not find such a ring. Calls stat(2).
  bool is_lost() const { return !file_.IsAtPath(); }
  // Returns true if there is a file that was not deleted. `ringlog recover` can
  // find it, and recovery can, unless is_lost().
  bool outlives_process() const {
    return !path_.empty() && !file_.is_deleted();
  }
  // Returns true if SetSuccessor() was called.
  bool has_successor() const { return has_successor_.load(); }
  // Deletes the file, also if its directory was renamed. Errors are those of
  // unlink(2), with the path.
  absl::Status DeleteFile() const { return file_.Delete(); }
  // Return the numbers of dropped records since the ring was created.
  uint64_t dropped(DropCause cause, Severity severity) const;
  DropCounts dropped() const;
  // Returns the number of records with a truncated body.
  uint64_t truncated() const;
  // Counts a record that the caller did not try to append.
  void CountDrop(DropCause cause, Severity severity);
  // Return the counters of the flusher. The flusher writes them with
  // StoreRelaxed() and AddRelaxed(); any thread reads them with LoadRelaxed().
  // `ringlog inspect` shows them.
  FlusherCounters* flusher_counters() { return &live_->flusher; }
  const FlusherCounters& flusher_counters() const { return live_->flusher; }
  // Returns the rotation request that other processes write. The flusher
  // accesses it with LoadRelaxed() and StoreRelaxed().
  RotationRequest* rotation_request() { return &live_->rotation; }

 private:
  Ring(MappedFile file, std::string path, const RingHeader& header,
       const RingOptions& options);

  static absl::StatusOr<std::unique_ptr<Ring>> WithFile(
      absl::StatusOr<MappedFile> file, const RingHeader& header,
      const RingOptions& options);
  uint32_t SlotsNeeded(size_t head_bytes, size_t body_bytes) const;
  // Adds to `*held` the number of positions that it advanced over without a
  // claim, because stuck writers own slots among them.
  std::optional<SlotRange> TryClaim(uint32_t slot_count, uint64_t limit,
                                    uint64_t* held);
  uint32_t CountToHeldSlot(uint32_t slot_count) const;
  std::optional<SlotRange> WaitAndClaim(uint32_t slot_count, uint64_t limit);
  std::optional<SlotRange> EvictAndClaim(uint32_t slot_count, uint64_t limit);
  void EvictOldest();
  void AbandonSlots(uint64_t begin, uint64_t end);
  std::optional<Taken> TakeFilled();
  SlotRange MarkTaken(uint64_t position, const AssembledRecord& record);
  bool has_no_flusher() const {
    return overflow_ == OverflowPolicy::kOverwriteOldest;
  }
  void SetTakePosition(uint64_t position) {
    take_position_.store(position, std::memory_order_relaxed);
  }
  absl::Status ResumeAfterDeath();
  // Returns the position at which the flusher stops. The tail is at most
  // slot_count beyond `released`, unless other code wrote into the mapping.
  uint64_t EndOfClaimed() const {
    return std::min(slots_.tail(), release_position_ + header_.slot_count);
  }

  MappedFile file_;
  const std::string path_;
  const RingHeader header_;
  RingLive* const live_;
  const CrashArea crash_area_;
  const SlotGeometry geometry_;
  // Maximum payload of a slot, in bytes.
  const size_t payload_bytes_;
  const OverflowPolicy overflow_;
  const absl::Duration block_deadline_;
  Slots slots_;

  // Changed only by the flusher. Other threads may read the atomic members.
  std::atomic<uint64_t> take_position_;
  uint64_t release_position_;
  std::string assembled_;
  std::atomic<bool> is_sealed_{false};
  std::atomic<bool> has_flusher_{true};
  std::atomic<bool> has_successor_{false};
};

}  // namespace ringlog

#endif  // RINGLOG_RING_RING_H_
