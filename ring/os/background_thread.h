// Starts the threads of the library: flushers and recoveries.

#ifndef RINGLOG_RING_OS_BACKGROUND_THREAD_H_
#define RINGLOG_RING_OS_BACKGROUND_THREAD_H_

#include <pthread.h>

#include <functional>

#include "absl/status/statusor.h"

namespace ringlog {

// Starts a thread that runs `run`, and returns it. The caller must join or
// detach the thread. The thread blocks all signals except those of its own
// faults (SIGSEGV, SIGABRT, ...), so that the application's signals reach the
// application's threads. std::thread is not used, because it throws if there is
// no thread.
//
//   ResourceExhausted  the system cannot start another thread
//   others             the error of pthread_create(3)
// All messages have `name`, which has at most 15 bytes.
//
// Context: any thread.
absl::StatusOr<pthread_t> StartBackgroundThread(const char* name,
                                                std::function<void()> run);

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_BACKGROUND_THREAD_H_
