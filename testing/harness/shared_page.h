// SharedPage
//
// An object that a process shares with its forked children. The object survives
// the death of any of them.

#ifndef RINGLOG_TESTING_HARNESS_SHARED_PAGE_H_
#define RINGLOG_TESTING_HARNESS_SHARED_PAGE_H_

#include <sys/mman.h>

#include <new>

#include "absl/log/check.h"

namespace ringlog {

// Owns a T in shared memory. The destructor of T is never called, because
// another process may still use the object. T must order accesses to its
// members itself.
template <typename T>
class SharedPage {
 public:
  SharedPage() {
    void* const memory = mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    object_ = new (memory) T;
  }
  ~SharedPage() { munmap(object_, sizeof(T)); }
  SharedPage(const SharedPage&) = delete;
  SharedPage& operator=(const SharedPage&) = delete;

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }

 private:
  T* object_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_SHARED_PAGE_H_
