// StoppingPage
//
// A page of memory that stops each thread that reads it. A test passes the page
// to the code that it tests. A debugger, a slow disk or the scheduler can stop
// a thread in the same way.

#ifndef RINGLOG_TESTING_HARNESS_STOPPING_PAGE_H_
#define RINGLOG_TESTING_HARNESS_STOPPING_PAGE_H_

#include "absl/strings/string_view.h"

namespace ringlog {

// At most eight objects may exist at a time. Replaces the SIGSEGV handler of
// the process.
class StoppingPage {
 public:
  StoppingPage();
  // Requires: Resume() has been called if a thread has read the page.
  ~StoppingPage();
  StoppingPage(const StoppingPage&) = delete;
  StoppingPage& operator=(const StoppingPage&) = delete;

  // The first bytes of the page; all are spaces.
  absl::string_view text() const { return {memory_, 10}; }

  // Waits until a thread has stopped in the page.
  void AwaitReader();
  // Lets the stopped thread continue.
  void Resume();

 private:
  static bool StopAt(const void* address);
  void Stop();

  char* memory_;
  int stopped_[2];
  int resume_[2];
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_STOPPING_PAGE_H_
