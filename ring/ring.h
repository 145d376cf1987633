// Ring
//
// A ring of records in a file that is mapped into memory: what has been
// appended is in the file whatever happens to the process. ring/FORMAT.md is
// the format, ring/slot.h the protocol. It knows records as bytes; what they
// mean, and where a consumer writes them, it does not know.
//
//   auto ring = ringlog::Ring::Create("/var/log/app/app.ring", {});
//   if (!ring.ok()) return ring.status();
//   (*ring)->Append(Severity::kInfo, head, body);        // any thread
//   while (auto taken = (*ring)->Take()) { Write(*taken); }   // one thread
//   (*ring)->Release();
//
// Thread-safe for any number of producers (Claim, Commit, Abandon, Append) and
// one consumer at a time (Take, Skip, PublishCursor, Release). One file belongs
// to one process: Create and Open take a lock on it that lasts as long as the
// Ring.
//
// Guarantees: a record whose Append() or Commit() returned survives any end of
// the process. A record is taken once, in order of position; the records of one
// thread keep their order. Does not guarantee: survival of a kernel panic or
// power loss, unless Sync(kWait) returned OK after it; nor anything against
// code that writes into the mapping, or truncates the file, behind its back.

#ifndef RINGLOG_RING_RING_H_
#define RINGLOG_RING_RING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/slot.h"

namespace ringlog {

// What happens to a record for which there is no room. Each drop is counted, by
// cause and severity.
enum class OverflowPolicy : uint8_t {
  kDropNewest,  // the record is dropped
  kBlock,  // the caller waits for room, at most RingOptions::block_deadline;
           // then the record is dropped
  kOverwriteOldest,  // the oldest record goes: a flight recorder, without a
                     // consumer
};

struct RingOptions {
  // A power of two, from 2 to 2^26. The defaults make a ring of 8 MiB whose
  // slots hold 256 bytes of text and more.
  uint64_t slot_count = 16384;
  uint32_t head_bytes =
      96;  // the most that a record's head may take; 1 to 4096
  uint32_t body_bytes =
      352;  // of body in a slot beside such a head; 1 to 1 MiB
  OverflowPolicy overflow = OverflowPolicy::kDropNewest;
  absl::Duration block_deadline = absl::Milliseconds(100);
  uint64_t first_position = 1;  // at most 2^60; tests begin right below a wrap
  uint64_t crash_bytes = 64 << 10;
  std::string
      program;  // as recorded in the header; empty: the running program's name
  std::string host;  // empty: the machine's name
};

class Ring {
 public:
  // Makes the file at `path`: its blocks are allocated, its pages are in
  // memory. It has its name only when it is whole, so that a kill leaves no
  // half-made ring. Mode 0600.
  //   InvalidArgument:   an option, named with its value and what is allowed
  //   AlreadyExists:     `path` exists
  //   ResourceExhausted: no room on the file system, no memory, no file
  //   descriptor others:            those of open(2), fallocate(2), mmap(2) and
  //   rename(2), with the path
  static absl::StatusOr<std::unique_ptr<Ring>> Create(
      const std::string& path, const RingOptions& options);

  // The same in memory that no file stands behind. Survives nothing.
  static absl::StatusOr<std::unique_ptr<Ring>> CreateAnonymous(
      const RingOptions& options);

  // Maps the file of a dead process, or of a Ring that has been destroyed, and
  // goes on with it: what had been committed and not released can be taken, and
  // more can be appended. Records that were being written are given up. (The
  // log sink does not use it: it makes a new ring at each start, and recovers
  // old ones with RecoverRing.) Of `options` only overflow and block_deadline
  // count.
  //   FailedPrecondition: another process, or Ring, has it open
  //   others:             those of ParseRingHeader and of open(2) and mmap(2);
  //   DataLoss too if the file is shorter than the header says
  static absl::StatusOr<std::unique_ptr<Ring>> Open(const std::string& path,
                                                    const RingOptions& options);

  // Unmaps and closes. The file stays. No other call may be running.
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // --- Producers
  // -------------------------------------------------------------------------------------------------

  // A claim is some slots that belong to the caller until Commit or Abandon. If
  // it gets neither, and the process lives, the slots are lost to the ring, for
  // nobody can know that they are not being written. Nothing if there is no
  // room, after `overflow` was followed; the drop has been counted then.
  std::optional<SlotRange> Claim(Severity severity, size_t head_bytes,
                                 size_t body_bytes);

  // Copies the record into the claimed slots and makes it exist. False if the
  // consumer had given up on it; it does not exist then. Requires: sizes as
  // claimed.
  bool Commit(const SlotRange& claim, absl::string_view head,
              absl::string_view body);

  // Gives the slots back, with nothing in them.
  void Abandon(const SlotRange& claim);

  enum class AppendResult {
    kAppended,
    kCut,  // appended, but the body was longer than max_body_bytes() and lost
           // its end
    kDropped,  // counted
  };
  // Claim and Commit; once more if the consumer had given up on it in between.
  //
  // Context: any thread; no lock, no allocation, no system call; with
  // OverflowPolicy::kBlock it may sleep, and read the clock.
  AppendResult Append(Severity severity, absl::string_view head,
                      absl::string_view body);

  // The longest body that a record with a head of `head_bytes` may have: it
  // takes half of the ring at the most.
  size_t max_body_bytes(size_t head_bytes) const;

  // --- The consumer
  // ----------------------------------------------------------------------------------------------

  struct Taken {
    SlotRange slots;
    absl::string_view head;  // valid until Release()
    absl::string_view body;  // valid until Release(), and if the record has
                             // more than one slot only until the next Take()
  };
  // The next record in order of position. Empty slots are passed over. Nothing
  // if the next record has not been committed.
  std::optional<Taken> Take();

  // What keeps Take() from going on, if anything: the lowest position that is
  // claimed and not committed.
  std::optional<uint64_t> pending() const;

  // Goes past what pending() names, for writers that have been stuck for so
  // long that the rest shall not wait for them; not beyond `end`. Their slots
  // are not used again before they let go of them. Returns the positions that
  // were given up; nothing if the writer turned out to be done, or not to have
  // begun (it will then append its record again).
  struct Skipped {
    uint64_t first_position = 0;
    uint64_t end_position = 0;
  };
  std::optional<Skipped> Skip(uint64_t end);

  // Says how far the ring has been persisted; see PersistCursor. `state` is the
  // consumer's own, at most sizeof(PersistCursor::state) bytes. A kill leaves
  // the cursor of before or this one, never a mixture.
  void PublishCursor(uint64_t end_position, absl::string_view state);

  // Makes the slots of everything taken free.
  void Release();

  // --- Anybody
  // ---------------------------------------------------------------------------------------------------

  // True if `p` points into the mapping.
  bool Contains(const void* p) const;
  // True if every slot is free.
  bool empty() const;
  // Positions claimed and not yet taken; approximate while others are at work.
  uint64_t unprocessed_count() const;
  // The next position to be claimed, and the next to be taken.
  uint64_t tail_position() const;
  uint64_t take_position() const;

  // Starts (kStart) or waits for (kWait) the file's being written to its
  // device.
  enum class SyncMode { kStart, kWait };
  absl::Status Sync(SyncMode mode);
};

}  // namespace ringlog

#endif  // RINGLOG_RING_RING_H_
