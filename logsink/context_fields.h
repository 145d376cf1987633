// ContextFields
//
// What an application says of the thread that is just logging: an id of the
// trace or of the request, a tenant. RingLogSinkOptions::context fills them in:
//
//   thread_local std::string trace_id;
//
//   options.format = ringlog::LineFormat::kJson;
//   options.context = [](ringlog::ContextFields& fields) {
//     if (!trace_id.empty()) fields.Add("trace_id", trace_id);
//   };
//
// The line has them in an object of their own, "context":{"trace_id":"4bf92f"},
// so that no key collides with the line's own.

#ifndef RINGLOG_LOGSINK_CONTEXT_FIELDS_H_
#define RINGLOG_LOGSINK_CONTEXT_FIELDS_H_

#include <array>
#include <cstddef>

#include "absl/strings/string_view.h"

namespace ringlog {

// Thread-compatible: the logging thread's own, during the call.
class ContextFields {
 public:
  // All fields together, each with 3 bytes more than its key and value have.
  static constexpr size_t kMaxBytes = 192;

  // Adds a field; copies what it is given. False, and it is left out, if it
  // does not fit, if the key is there already, or has other characters than
  // A-Z, a-z, 0-9, '_', '-', '.', or more than 64.
  //
  // Context: no lock, no allocation, no system call.
  bool Add(absl::string_view key, absl::string_view value);

  // As ExtensionItem::kContext (ring/record_extension.h) has them.
  absl::string_view encoded() const {
    return absl::string_view(bytes_.data(), size_);
  }

 private:
  std::array<char, kMaxBytes> bytes_;
  size_t size_ = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_CONTEXT_FIELDS_H_
