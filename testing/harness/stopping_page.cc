#include "ringlog/testing/harness/stopping_page.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>

#include "absl/log/check.h"

namespace ringlog {
namespace {

constexpr size_t kBytes = 4096;

std::array<std::atomic<StoppingPage*>, 8> g_pages;

}  // namespace

StoppingPage::StoppingPage() {
  void* const memory = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(memory != MAP_FAILED);
  memory_ = static_cast<char*>(memory);
  std::fill_n(memory_, kBytes, ' ');
  CHECK_EQ(mprotect(memory_, kBytes, PROT_NONE), 0);
  CHECK_EQ(pipe(stopped_), 0);
  CHECK_EQ(pipe(resume_), 0);
  struct sigaction action = {};
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  action.sa_sigaction = [](int, siginfo_t* info, void*) {
    // Any other fault ends the process as usual.
    if (!StopAt(info->si_addr)) signal(SIGSEGV, SIG_DFL);
  };
  CHECK_EQ(sigaction(SIGSEGV, &action, nullptr), 0);
  for (std::atomic<StoppingPage*>& page : g_pages) {
    StoppingPage* none = nullptr;
    if (page.compare_exchange_strong(none, this)) return;
  }
  CHECK(false) << "create StoppingPage: more than 8 at a time";
}

StoppingPage::~StoppingPage() {
  for (std::atomic<StoppingPage*>& page : g_pages) {
    StoppingPage* own = this;
    page.compare_exchange_strong(own, nullptr);
  }
  munmap(memory_, kBytes);
  for (const int fd : {stopped_[0], stopped_[1], resume_[0], resume_[1]}) {
    close(fd);
  }
}

bool StoppingPage::StopAt(const void* address) {
  const auto* const at = static_cast<const char*>(address);
  for (const std::atomic<StoppingPage*>& candidate : g_pages) {
    StoppingPage* const page = candidate.load();
    if (page == nullptr || at < page->memory_ || at >= page->memory_ + kBytes) {
      continue;
    }
    page->Stop();
    return true;
  }
  return false;
}

void StoppingPage::Stop() {
  char c = 'x';
  if (write(stopped_[1], &c, 1) != 1 || read(resume_[0], &c, 1) != 1) abort();
  mprotect(memory_, kBytes, PROT_READ);
}

void StoppingPage::AwaitReader() {
  char c;
  CHECK_EQ(read(stopped_[0], &c, 1), 1);
}

void StoppingPage::Resume() { CHECK_EQ(write(resume_[1], "x", 1), 1); }

}  // namespace ringlog
