// DeletionGate
//
// Delays the deletion of a file until a test permits it. For tests that replace
// unlinkat(2):
//
//   int unlinkat(int directory, const char* name, int flags) noexcept {
//     const ringlog::DeletionPass pass(gate);
//     return syscall(SYS_unlinkat, directory, name, flags);
//   }

#ifndef RINGLOG_TESTING_HARNESS_DELETION_GATE_H_
#define RINGLOG_TESTING_HARNESS_DELETION_GATE_H_

#include "ringlog/testing/harness/run_child.h"

namespace ringlog {

// The thread that deletes sends `has_come`, awaits `may_go_on`, deletes, and
// sends `has_deleted`. After `has_deleted`, the test may destroy the gate.
struct DeletionGate {
  Signal has_come, may_go_on, has_deleted;
};

// Passes the gate once. Does nothing if the gate is null.
class DeletionPass {
 public:
  explicit DeletionPass(DeletionGate* gate) : gate_(gate) {
    if (gate_ == nullptr) return;
    gate_->has_come.Send();
    gate_->may_go_on.Await();
  }
  ~DeletionPass() {
    if (gate_ != nullptr) gate_->has_deleted.Send();
  }
  DeletionPass(const DeletionPass&) = delete;
  DeletionPass& operator=(const DeletionPass&) = delete;

 private:
  DeletionGate* const gate_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_DELETION_GATE_H_
