#include "ringlog/tools/decode/memory_guard.h"

#include "ringlog/ring/os/memory_limit.h"

namespace ringlog {

absl::Status WithinMemory(absl::FunctionRef<void()> body) {
  if (FitsInMemory(body)) return absl::OkStatus();
  return absl::ResourceExhaustedError("not enough memory to read it");
}

}  // namespace ringlog
