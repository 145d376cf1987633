// Fibers
//
// Functions that take turns on one thread, each on a stack of its own. Only the
// caller of Resume() decides which one runs.
//
// Thread-compatible.

#ifndef RINGLOG_TESTING_EXPLORER_FIBERS_H_
#define RINGLOG_TESTING_EXPLORER_FIBERS_H_

#include <ucontext.h>

#include <cstddef>
#include <functional>
#include <vector>

namespace ringlog {

class Fibers {
 public:
  // Makes fibers with the numbers 0 to count - 1.
  explicit Fibers(int count);
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  // Lets the fiber begin with `run` at the next Resume(). Drops a call that has
  // not ended, without its destructors: it must own nothing.
  void Start(int fiber, std::function<void()> run);

  // Runs the fiber until it calls Yield() or ends.
  // Requires: not called by a fiber; !is_done(fiber).
  void Resume(int fiber);

  // Returns true if the function has ended.
  bool is_done(int fiber) const { return fibers_[fiber].is_done; }

  // Returns the fiber that runs; -1 outside of all fibers.
  int running() const { return running_; }

  // Returns to the caller of Resume().
  // Requires: called by a fiber.
  void Yield();

 private:
  struct Fiber {
    std::vector<char> stack;
    ucontext_t context = {};
    std::function<void()> run;
    bool is_done = true;
  };
  static constexpr size_t kStackBytes = size_t{256} << 10;

  static void Main(unsigned high, unsigned low);

  std::vector<Fiber> fibers_;
  ucontext_t caller_ = {};
  int running_ = -1;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_EXPLORER_FIBERS_H_
