// Threads of the library, which run no application code.

#ifndef RINGLOG_RING_OS_BACKGROUND_THREAD_H_
#define RINGLOG_RING_OS_BACKGROUND_THREAD_H_

#include <pthread.h>

#include <functional>

#include "absl/status/statusor.h"

namespace ringlog {

// Starts a thread that runs `run`. The caller must join or detach the thread.
// The thread blocks all signals but those of its own faults (SIGSEGV, SIGABRT,
// ...), so that the application's signals reach the application's threads.
// `name` has at most 15 bytes.
//
//   ResourceExhausted  the system cannot start another thread; std::thread
//                      would throw instead, and end the program
//   others             the error of pthread_create(3), with the name
absl::StatusOr<pthread_t> StartBackgroundThread(const char* name,
                                                std::function<void()> run);

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_BACKGROUND_THREAD_H_
