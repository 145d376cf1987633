// Threads that belong to no application code.

#ifndef RINGLOG_RING_OS_BACKGROUND_THREAD_H_
#define RINGLOG_RING_OS_BACKGROUND_THREAD_H_

#include <pthread.h>

#include <functional>

#include "absl/status/statusor.h"

namespace ringlog {

// A thread that runs `run` with all signals blocked: one that is meant for the
// application's threads must not end up here. To be joined or detached. `name`
// has at most 15 bytes.
//   ResourceExhausted: the system has no thread to give. std::thread would
//   throw, and end the program.
absl::StatusOr<pthread_t> StartBackgroundThread(const char* name,
                                                std::function<void()> run);

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_BACKGROUND_THREAD_H_
