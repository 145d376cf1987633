// Ring
//
// A ring of records in a file that is mapped into memory: what has been
// appended is in the file, whatever happens to the process. ring/FORMAT.md is
// the format, ring/slot.h the protocol. It knows records as bytes; what they
// mean, and where a consumer writes them, it does not know.
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
  // A power of two, from 2 to 2^26. With the other defaults a slot takes 512
  // bytes and the ring 8 MiB; 4 GiB is the most.
  uint64_t slot_count = 16384;
  // The most that a record's head may take; 40 to 4096.
  uint32_t head_bytes = 128;
  // Of body, in a slot beside the longest head; 1 to 1 MiB. A record that needs
  // more takes several slots.
  uint32_t body_bytes = 352;

  OverflowPolicy overflow = OverflowPolicy::kDropNewest;
  absl::Duration block_deadline = absl::Milliseconds(100);

  // Where the running number of slots begins; 1 to 2^60. Tests begin right
  // below a power of two, so that a number cut short shows.
  uint64_t first_position = 1;

  // Binds the ring's pages to this NUMA node, best the one whose cores run the
  // flusher. Less than 0: leaves it to the kernel.
  int numa_node = -1;

  // As recorded in the header; empty: the running program's and the machine's.
  std::string program;
  std::string host;

  // Where its consumer writes, as an absolute path; empty: to where the ring
  // is. Recovery brings its records there.
  std::string segment_directory;
};

// Thread-safe for any number of producers (Claim, Commit, Abandon, Append) and
// one consumer at a time (Take, Skip, PublishCursor, Release). One file belongs
// to one process: Create and Open take a lock on it that lasts as long as the
// Ring. A forked child has neither the file nor its memory: what it does with
// its parent's Ring nobody sees.
//
// Guarantees: a record whose Append() or Commit() returned survives any end of
// the process. A record is taken once, in order of position; the records of one
// thread keep their order.
//
// Does not guarantee: survival of a kernel panic or power loss, unless
// Sync(kWait) has returned OK since; nor anything against code that writes into
// the mapping, or shortens the file, behind its back.
class Ring {
 public:
  // Makes the file at `path`, mode 0600: its blocks are allocated, its pages
  // are in memory. It gets its name when it is whole, so that a kill leaves no
  // half-made ring.
  //
  //   InvalidArgument     an option, named with its value and what is allowed
  //   AlreadyExists       `path` exists
  //   ResourceExhausted   no room on the disk, no memory, no file descriptor
  //   others              those of open(2), fallocate(2), mmap(2), mbind(2) and
  //                       rename(2), with the path
  static absl::StatusOr<std::unique_ptr<Ring>> Create(
      const std::string& path, const RingOptions& options);

  // The same in `directory`, under the name that `name` makes of the header.
  static absl::StatusOr<std::unique_ptr<Ring>> CreateIn(
      const std::string& directory,
      absl::FunctionRef<std::string(const RingHeader&)> name,
      const RingOptions& options);

  // The same in memory that no file stands behind. Survives nothing.
  static absl::StatusOr<std::unique_ptr<Ring>> CreateAnonymous(
      const RingOptions& options);

  // Maps the file of a dead process, or of a Ring that has been destroyed, and
  // goes on with it: what had been committed and not released can be taken, and
  // more can be appended. Records that were being written are given up. Of
  // `options` only overflow and block_deadline count.
  //
  // The log sink does not use it: it makes a new ring at each start, and reads
  // old ones by RecoverRing().
  //
  //   FailedPrecondition  another process, or Ring, has it open
  //   DataLoss            the file is damaged, or not of the size that its
  //                       header says
  //   others              those of ParseRingHeader(), open(2) and mmap(2)
  static absl::StatusOr<std::unique_ptr<Ring>> Open(const std::string& path,
                                                    const RingOptions& options);

  // Unmaps and closes. The file stays. No other call may be running.
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // ---- Producers ----

  // Slots that belong to the caller until Commit() or Abandon(). If they get
  // neither they are lost to the ring while the process lives, for nobody can
  // know that they are not being written. Nothing if there is no room after
  // `overflow` was followed; the drop has been counted then.
  //
  // A record that is too long, with head_bytes > RingOptions::head_bytes or
  // body_bytes > max_body_bytes(head_bytes), finds no room.
  std::optional<SlotRange> Claim(Severity severity, size_t head_bytes,
                                 size_t body_bytes);

  // Copies the record into the claimed slots and makes it exist. False if the
  // consumer has given up on it; it does not exist then, and the slots are the
  // ring's again. A body that is longer than was claimed loses its end.
  // Requires: severity and head.size() as claimed.
  bool Commit(const SlotRange& claim, Severity severity, absl::string_view head,
              absl::string_view body);

  // Gives the slots back, with nothing in them.
  void Abandon(const SlotRange& claim);

  enum class AppendResult {
    kAppended,
    kCut,      // appended, without the end of a body that was too long; counted
    kDropped,  // counted
  };
  // Claim() and Commit(), and the same again if the consumer has given up on
  // the record in between.
  //
  // Requires: head.size() <= RingOptions::head_bytes.
  // Context: any thread; no lock, no allocation, no system call; with
  // OverflowPolicy::kBlock it may read the clock and sleep.
  AppendResult Append(Severity severity, absl::string_view head,
                      absl::string_view body);

  // The longest body that a record with a head of `head_bytes` may have: the
  // record takes half of the ring at the most.
  size_t max_body_bytes(size_t head_bytes) const;

  // Slots that records of this severity may fill. A sixteenth of the ring is
  // kept for FATAL, and another for WARNING and above.
  uint64_t capacity(Severity severity) const;

  // ---- The consumer ----

  struct Taken {
    SlotRange slots;
    // Set if the slots hold no record that can be believed; the rest is then
    // empty.
    std::optional<GapCause> gap;
    // Valid until Release(); the body of a record of several slots only until
    // the next Take().
    absl::string_view head;
    absl::string_view body;
  };
  // The next record in order of position; empty slots are passed over. Nothing
  // if the next one has not been committed, or with kOverwriteOldest.
  std::optional<Taken> Take();

  // The position that keeps Take() from going on: claimed and not committed.
  std::optional<uint64_t> pending();

  // Goes past pending(), and what is like it right behind it, but not beyond
  // `end`: for writers that have been stuck for so long that the rest shall not
  // wait for them. Their slots are not used again before they let go of them.
  // Returns the positions of what was given up, of one writer where its thread
  // is known, which `*thread_id` then names; it is 0 if not. Nothing if it
  // moved after all, or was not begun: its writer will then append it again.
  std::optional<SlotRange> Skip(uint64_t end, int64_t* thread_id = nullptr);

  // Says how far the ring has been persisted; see PersistCursor. `state` is the
  // consumer's own, at most sizeof(PersistCursor::state) bytes. A kill leaves
  // the cursor of before or this one, never a mixture.
  void PublishCursor(uint64_t end_position, absl::string_view state);

  // Makes the slots of everything taken free.
  void Release();
  // Slots taken and not released.
  uint64_t taken_slots() const { return take_position() - release_position_; }

  // Ends the ring, if it is empty: true, and from then on every record is
  // dropped and counted as closed. False if there is one, or one is on its way.
  bool Seal();
  bool is_sealed() const { return is_sealed_.load(); }

  // The consumer's last call, of a ring that it could not seal: nobody will
  // make room any more. Records enter while there is some; what finds none is
  // dropped at once, whatever `overflow` says, and counted as closed.
  void StopConsuming() { has_consumer_.store(false); }

  // ---- Anybody ----

  // True if `p` points into the mapping.
  bool Contains(const void* p) const;
  // True if every slot is free, of those that writers do not hold.
  bool empty() const;
  // Positions claimed and not yet taken; approximate while others are at work.
  uint64_t unprocessed_count() const;
  // Slots that are not free: claimed, and not released since.
  uint64_t used_slots() const;
  // The next position to be claimed.
  uint64_t tail_position() const { return slots_.tail(); }
  // The next position to be taken. The consumer's.
  uint64_t take_position() const {
    return take_position_.load(std::memory_order_relaxed);
  }

  // Starts write-back of the file to its device, or waits for it.
  enum class SyncMode { kStart, kWait };
  absl::Status Sync(SyncMode mode);

  // For signal handlers.
  const CrashArea& crash_area() const { return crash_area_; }

  const RingHeader& header() const { return header_; }
  // The file; empty of a ring without one.
  const std::string& path() const { return path_; }
  // Whether somebody has deleted it: then no recovery will find it.
  bool is_deleted() const { return file_.is_deleted(); }
  bool outlives_process() const { return !path_.empty() && !is_deleted(); }
  uint64_t dropped(DropCause cause, Severity severity) const;
  DropCounts dropped() const;
  uint64_t cut() const;
  // Counts a record that its caller did not even try to append.
  void CountDrop(DropCause cause, Severity severity);
  // The consumer's to set, by Slots::Set() and Slots::Add(); anybody's to read,
  // by Slots::Get(): what `ringlog inspect` shows of it.
  FlusherCounters* flusher_counters() { return &live_->flusher; }
  const FlusherCounters& flusher_counters() const { return live_->flusher; }
  // The consumer's to answer, by Slots::Get() and Slots::Set().
  RotationRequest* rotation_request() { return &live_->rotation; }

 private:
  Ring(MappedFile file, std::string path, const RingHeader& header,
       const RingOptions& options);

  static absl::StatusOr<std::unique_ptr<Ring>> CreateFile(
      const std::string& path, const RingHeader& header,
      const RingOptions& options);
  uint32_t SlotsNeeded(size_t head_bytes, size_t body_bytes) const;
  // `*held` grows by the positions that this took for nothing, for their slots
  // are held.
  std::optional<SlotRange> TryClaim(uint32_t slot_count, uint64_t limit,
                                    uint64_t* held);
  std::optional<SlotRange> WaitAndClaim(uint32_t slot_count, uint64_t limit);
  std::optional<SlotRange> EvictAndClaim(uint32_t slot_count, uint64_t limit);
  void EvictOldest();
  void AbandonSlots(uint64_t begin, uint64_t end);
  std::optional<Taken> TakeFilled();
  void SetTakePosition(uint64_t position) {
    take_position_.store(position, std::memory_order_relaxed);
  }
  absl::Status ResumeAfterDeath();
  // Where the consumer stops. Nobody claims more than there are slots, so that
  // the tail is farther only where somebody wrote wildly into the mapping.
  uint64_t EndOfClaimed() const {
    return std::min(slots_.tail(), release_position_ + header_.slot_count);
  }

  MappedFile file_;
  const std::string path_;
  const RingHeader header_;
  RingLive* const live_;
  const CrashArea crash_area_;
  const SlotGeometry geometry_;
  const size_t payload_bytes_;  // of a slot
  const OverflowPolicy overflow_;
  const absl::Duration block_deadline_;
  Slots slots_;

  // The consumer's. Others may ask how far it is.
  std::atomic<uint64_t> take_position_;
  uint64_t release_position_;
  std::string assembled_;
  std::atomic<bool> is_sealed_{false};
  std::atomic<bool> has_consumer_{true};
};

}  // namespace ringlog

#endif  // RINGLOG_RING_RING_H_
