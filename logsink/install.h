// What main() calls.

#ifndef RINGLOG_LOGSINK_INSTALL_H_
#define RINGLOG_LOGSINK_INSTALL_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ringlog/logsink/options.h"

namespace ringlog {

class RingLogSink;

// Creates a sink, registers it with Abseil, brings what processes that died
// have left in its directories into segments, in the background, and keeps the
// sink until the very end of the process, and of each of its forked children.
//
// How a process ends, and what that means for what it has logged:
//
//   exit(), or main() returns  Records are moved into the last segment, and the
//                              ring's file is deleted, after the destructors of
//                              static objects, which may log. Other threads may
//                              go on: what they log before the ring is empty
//                              for a moment is kept, what comes later is
//                              dropped. If they leave no such moment for half a
//                              second the ring stays, for others to recover.
//   _exit(), quick_exit(),     Nothing of ours runs: the ring stays, with all
//   abort(), any signal,       that had been logged, for others to recover.
//   LOG(FATAL), exec()
//
// Others are the next start, and processes of whatever program that write to
// the same directories and live: they look once a minute for what the dead have
// left, so that a program whose children are killed does not collect their
// rings. It costs a thread, and as much memory as the ring has, only while
// there is something to recover. Who has its ring in memory, or overwrites the
// oldest, does not look; nor does anybody in a fallback_directory that it has
// not needed yet.
//
// Where the ring cannot be made, because the disk is full or must not be
// written, the program goes on: in options.fallback_directory, if there is one;
// if that fails too, a line on stderr says so, and the sink is
// RingLogSink::CreateInMemory()'s.
//
// Call it in the process that is to log, after daemon(3) and whatever else
// forks and lets the parent end: a child has a ring of its own, but does not go
// on with the recovery that its parent had begun. What that had not done yet,
// and the parent's ring, wait until the child has lived for a minute after its
// first record.
//
// A directory is for processes of one running kernel, whatever their
// containers: flock(2) and ids of processes tell rings that are in use from
// those that the dead have left. Hosts that share a file system need a
// directory each. Containers that share a ring_directory must see the same
// directory under the same path, for recovery goes by the path.
//
// The library that this is in must not be unloaded by dlclose(): Abseil would
// call a sink that is not there.
//
//   InvalidArgument     an option, named with its value and what is allowed
//   FailedPrecondition  called before in this process, or in its parent before
//                       it was forked
//   ResourceExhausted   no memory, or no thread to be had
absl::StatusOr<RingLogSink*> Install(const RingLogSinkOptions& options);

// Waits until the recovery that Install() began has been done; false if
// `timeout` passed first. A forked child has none to wait for. For tests, and
// for programs that read their logs.
bool WaitForRecovery(absl::Duration timeout);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INSTALL_H_
