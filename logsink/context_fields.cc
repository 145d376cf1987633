#include "ringlog/logsink/context_fields.h"

#include "absl/types/span.h"
#include "ringlog/ring/record_extension.h"

namespace ringlog {

bool ContextFields::Add(absl::string_view key, absl::string_view value) {
  absl::string_view fields = encoded();
  for (absl::string_view k, v; NextContextField(&fields, &k, &v);) {
    if (k == key) return false;
  }
  const size_t added = EncodeContextField(
      key, value, absl::MakeSpan(bytes_.data() + size_, kMaxBytes - size_));
  size_ += added;
  return added != 0;
}

}  // namespace ringlog
