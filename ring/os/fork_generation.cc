#include "ringlog/ring/os/fork_generation.h"

#include <pthread.h>

namespace ringlog {

std::atomic<uint32_t> ForkGeneration::now_{0};

// Runs in the child, before fork() returns there. Relaxed: it has one thread.
void ForkGeneration::Advance() { now_.fetch_add(1, std::memory_order_relaxed); }

bool ForkGeneration::Register() {
  return pthread_atfork(nullptr, nullptr, &Advance) == 0;
}

// Before main(): a fork that nobody counted could not be counted later.
const bool ForkGeneration::is_registered_ = Register();

}  // namespace ringlog
