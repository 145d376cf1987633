// Checks that LOG() of a forked child does not wait for a lock of the parent.
//
// In debug builds, Abseil looks for deadlocks at each lock of a mutex, under a
// lock of its own. A thread that has this lock during fork(2) exists only in
// the parent.

#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/testing/harness/run_child.h"

namespace ringlog {
namespace {

// Locks two mutexes in both orders. In debug builds, Abseil ends a process that
// does so, unless the process ignores deadlocks.
void LockInBothOrders() {
  absl::Mutex a, b;
  for (absl::Mutex* first : {&a, &b}) {
    absl::Mutex* const second = first == &a ? &b : &a;
    first->Lock();
    second->Lock();
    second->Unlock();
    first->Unlock();
  }
}

TEST(ForkDeadlockTest, ChildLooksForNoDeadlocks) {
  // Links the sink, and with it the handler.
  EXPECT_FALSE(RingLogSink::Create(RingLogSinkOptions()).ok());
  EXPECT_EQ(RunChild(LockInBothOrders), 0);
}

}  // namespace
}  // namespace ringlog
