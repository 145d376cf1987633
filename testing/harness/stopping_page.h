// StoppingPage
//
// Memory at which a thread stops that reads it, until it is let go: as one
// stops that a debugger, a slow disk or the scheduler holds up, but at a place
// that the test knows.

#ifndef RINGLOG_TESTING_HARNESS_STOPPING_PAGE_H_
#define RINGLOG_TESTING_HARNESS_STOPPING_PAGE_H_

#include "absl/strings/string_view.h"

namespace ringlog {

// A few at once. Handles SIGSEGV of the process from the first on.
class StoppingPage {
 public:
  StoppingPage();
  // Requires: LetGo() has been called if a thread has read it.
  ~StoppingPage();
  StoppingPage(const StoppingPage&) = delete;
  StoppingPage& operator=(const StoppingPage&) = delete;

  // Its first bytes: spaces.
  absl::string_view text() const { return {memory_, 10}; }

  // Returns when a thread has stopped in it.
  void AwaitReader();
  void LetGo();

 private:
  static bool StopAt(const void* address);
  void Stop();

  char* memory_;
  int stopped_[2];
  int let_go_[2];
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_STOPPING_PAGE_H_
