// Identity of a process across reuse of process ids and reboots. A ring's
// header has the identity of its owner; MayBeAlive() checks whether the owner
// still lives.
//
// The functions are thread-safe.

#ifndef RINGLOG_RING_OS_PROCESS_IDENTITY_H_
#define RINGLOG_RING_OS_PROCESS_IDENTITY_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace ringlog {

struct ProcessIdentity {
  int64_t process_id = 0;
  // Start time of the process, in clock ticks since boot; 0 if /proc does not
  // have it. Process ids are reused; id and start time together identify one
  // process.
  uint64_t start_ticks = 0;
  // Random id of the boot; zeros if /proc does not have it.
  std::array<uint8_t, 16> boot_id = {};
};

// Returns the identity of the calling process. Reads /proc at each call,
// because the result differs after fork().
ProcessIdentity CurrentProcess();

// Returns false if `process` has ended:
//  - it belongs to another boot,
//  - no process has its id,
//  - the process with its id started at another time,
//  - the process with its id is a zombie, or
//  - the process with its id belongs to another user, and /proc does not show
//    it, for example with the mount option hidepid. (It may be `process`, if
//    that has changed its user, or if a security module hides it.)
// Not reliable for a process of another pid namespace, so callers must also
// check the ring's lock.
bool MayBeAlive(const ProcessIdentity& process);

// Returns false if the process certainly has no file named `name` (without
// directories) mapped. Returns true if the system does not show the mappings.
// Distinguishes an owner from a program that it has replaced itself with: a
// process that calls exec(2) keeps its id and start time but loses its
// mappings.
bool MayHaveMapped(int64_t process_id, absl::string_view name);

// Returns true if `boot_id` equals the boot id of the running system. Unknown
// ids are zeros, so two unknown ids are equal.
bool IsOfThisBoot(const std::array<uint8_t, 16>& boot_id);

// Return the name of the running program, without directories, and of the
// machine. Empty if the system does not provide it.
std::string ProgramName();
std::string HostName();

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_PROCESS_IDENTITY_H_
