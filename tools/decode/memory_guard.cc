#include "ringlog/tools/decode/memory_guard.h"

#include <new>

#include "absl/base/config.h"

namespace ringlog {

absl::Status WithinMemory(absl::FunctionRef<void()> body) {
#ifdef ABSL_HAVE_EXCEPTIONS
  try {
    body();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("not enough memory to read it");
  }
#else
  body();
#endif
  return absl::OkStatus();
}

}  // namespace ringlog
