// Install(): the function that makes a program log through ringlog.

#ifndef RINGLOG_LOGSINK_INSTALL_H_
#define RINGLOG_LOGSINK_INSTALL_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ringlog/logsink/options.h"

namespace ringlog {

class RingLogSink;

// Creates a sink and registers it with Abseil. The sink stays until the end of
// the process, and of each of its forked children. In the background, recovers
// the rings that dead processes have left in the directories of `options`.
//
// How the process ends decides what happens to its records:
//
//   exit(), or main() returns  The records are moved into the last segment, and
//                              the ring's file is deleted, after the
//                              destructors of static objects, which may log.
//   _exit(), quick_exit(),     No code of ringlog runs. The ring stays with all
//   abort(), any signal,       records, and another process recovers it.
//   LOG(FATAL), exec()
//
// If other threads log during exit(), their records are kept until the ring is
// empty for a moment; later records are dropped. If the ring is not empty for
// half a second, it stays, and another process recovers it.
//
// Leftover rings are recovered by:
//   - the next start of any program with the same directories. If it ends
//     sooner, it waits for the recovery, but at most a second.
//   - any living process with the same directories, whatever its program. It
//     searches for leftover rings once a minute, so that a program whose
//     children are killed does not accumulate their rings. A process does not
//     search if it has its ring in memory, or with
//     OverflowPolicy::kOverwriteOldest.
// A search for leftover rings uses one thread for some milliseconds. A recovery
// uses one thread and at most 16 MiB of memory, whatever the size of the ring.
// Retention waits for the first search and its recoveries.
//
// If the ring cannot be created, for example on a full or read-only disk, the
// sink uses options.fallback_directory. If there is none, or if that fails too,
// the sink has its ring in memory, as after RingLogSink::CreateInMemory(), and
// records that are not in a segment yet are lost in a crash. Install() returns
// OK all the same; a line on stderr reports it, and ring_path() is empty.
//
// The program should close only descriptors that it has opened. If it closes
// those of ringlog, ringlog leaves the files alone that get their numbers,
// opens the segment again by its path, and reports that on stderr.
//
// Call it in the process that logs, after daemon(3) or any other fork whose
// parent ends. A child has a ring of its own, but does not continue the
// recovery that its parent has begun. It searches for leftover rings, including
// its parent's ring, a minute after its first record.
//
// All processes that use a directory must run on the same kernel, because file
// locks and process ids show which rings are in use. They may be in
// different containers. Hosts that share a file system need a directory each.
// Containers that share a ring_directory must see the same directory under the
// same path, because recovery compares paths.
//
// The library that contains this function must not be unloaded by dlclose(),
// because Abseil keeps a pointer to the sink.
//
//   InvalidArgument     an option is invalid; the message has its name, value
//                       and valid values
//   FailedPrecondition  Install() was called before in this process, or in its
//                       parent before the fork
//   ResourceExhausted   no memory, or no thread
//
// Context: any thread.
absl::StatusOr<RingLogSink*> Install(const RingLogSinkOptions& options);

// Waits until the recovery that Install() has begun is done; returns false if
// `timeout` passes first. Returns true at once in a forked child, and before
// Install(). For tests, and for programs that read their own logs.
//
// Context: any thread.
bool WaitForRecovery(absl::Duration timeout);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INSTALL_H_
