#include "ringlog/ring/os/fork_generation.h"

#include <pthread.h>

namespace ringlog {

std::atomic<uint32_t> ForkGeneration::now_{0};

// Called in the child before fork() returns. Relaxed: the child has one thread.
void ForkGeneration::Advance() { now_.fetch_add(1, std::memory_order_relaxed); }

bool ForkGeneration::Register() {
  return pthread_atfork(nullptr, nullptr, &Advance) == 0;
}

// A dynamic initializer, because the handler must be registered before any code
// can fork: later, a fork that was not counted cannot be detected.
const bool ForkGeneration::is_registered_ = Register();

}  // namespace ringlog
