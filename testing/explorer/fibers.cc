#include "ringlog/testing/explorer/fibers.h"

#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "absl/log/check.h"

namespace ringlog {

Fibers::Fibers(int count) : fibers_(static_cast<size_t>(count)) {
  for (Fiber& fiber : fibers_) fiber.stack.resize(kStackBytes);
}

void Fibers::Start(int number, std::function<void()> run) {
  Fiber& fiber = fibers_[static_cast<size_t>(number)];
  fiber.run = std::move(run);
  fiber.is_done = false;
  CHECK_EQ(getcontext(&fiber.context), 0);
  fiber.context.uc_stack.ss_sp = fiber.stack.data();
  fiber.context.uc_stack.ss_size = fiber.stack.size();
  fiber.context.uc_link = &caller_;
  // makecontext(3) passes only ints.
  const auto self = reinterpret_cast<uintptr_t>(this);
  makecontext(&fiber.context, reinterpret_cast<void (*)()>(&Main), 2,
              static_cast<unsigned>(self >> 32), static_cast<unsigned>(self));
}

void Fibers::Main(unsigned high, unsigned low) {
  auto* const self = reinterpret_cast<Fibers*>(uintptr_t{high} << 32 | low);
  Fiber& fiber = self->fibers_[static_cast<size_t>(self->running_)];
  fiber.run();
  fiber.is_done = true;
}

void Fibers::Resume(int number) {
  running_ = number;
  CHECK_EQ(swapcontext(&caller_, &fibers_[static_cast<size_t>(number)].context),
           0);
  running_ = -1;
}

void Fibers::Yield() {
  CHECK_EQ(
      swapcontext(&fibers_[static_cast<size_t>(running_)].context, &caller_),
      0);
}

}  // namespace ringlog
