// Which process, of which boot of the machine: what a ring's header says of its
// owner, and whether that owner still lives.

#ifndef RINGLOG_RING_OS_PROCESS_IDENTITY_H_
#define RINGLOG_RING_OS_PROCESS_IDENTITY_H_

#include <array>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace ringlog {

struct ProcessIdentity {
  int64_t process_id = 0;
  // When the process started, in clock ticks since the boot: together with the
  // id it names one process, as ids are used again. 0 if /proc does not say.
  uint64_t start_ticks = 0;
  // Zeros if /proc does not say.
  std::array<uint8_t, 16> boot_id = {};
};

// The calling process. Reads /proc; asks anew each time, for after a fork()
// the answer is another.
ProcessIdentity CurrentProcess();

// False if it is certain that `process` has ended: another boot, no such id, an
// id that started at another time, or one that waits for its parent to ask. Of
// a process in another pid namespace this says nothing true, so a lock has to
// be asked as well.
bool MayBeAlive(const ProcessIdentity& process);

// False if it is certain that a living process does not have a file of this
// name (without directories) mapped: one that has called exec(2) keeps its id
// and its start, and nothing else. True if the system does not let us look.
bool MayHaveMapped(int64_t process_id, absl::string_view name);

// Whether a boot id is that of the running system, or both are not known.
bool IsOfThisBoot(const std::array<uint8_t, 16>& boot_id);

// The running program's name without directories, and the machine's name; empty
// if the system does not say.
std::string ProgramName();
std::string HostName();

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_PROCESS_IDENTITY_H_
