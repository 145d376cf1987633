#include "ringlog/ring/os/memory_limit.h"

#include <new>

#include "absl/base/config.h"

namespace ringlog {

bool FitsInMemory(absl::FunctionRef<void()> body) {
#ifdef ABSL_HAVE_EXCEPTIONS
  try {
    body();
  } catch (const std::bad_alloc&) {
    return false;
  }
#else
  body();
#endif
  return true;
}

}  // namespace ringlog
