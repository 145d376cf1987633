// ContextFields
//
// Fields that an application adds to each record of the logging thread: the id
// of a trace or of a request, a tenant. RingLogSinkOptions::context fills them
// in:
//
//   thread_local std::string trace_id;
//
//   options.format = ringlog::LineFormat::kJson;
//   options.context = [](ringlog::ContextFields& fields) {
//     if (!trace_id.empty()) fields.Add("trace_id", trace_id);
//   };
//
// The JSON line has them in an object of their own,
// "context":{"trace_id":"4bf92f"}, so that their keys cannot collide with the
// keys of the line.

#ifndef RINGLOG_LOGSINK_CONTEXT_FIELDS_H_
#define RINGLOG_LOGSINK_CONTEXT_FIELDS_H_

#include <array>
#include <cstddef>

#include "absl/strings/string_view.h"

namespace ringlog {

// The fields of one record. Thread-compatible. Valid only during the call of
// the callback.
class ContextFields {
 public:
  // Maximum bytes of all fields together. Each field takes the bytes of its key
  // and its value, and 3 more.
  static constexpr size_t kMaxBytes = 192;

  // Adds a field; copies `key` and `value`. Returns false, and adds nothing, if
  //
  //   - the field does not fit,
  //   - there is a field with this key already, or
  //   - the key is empty, is longer than 64 bytes, or has characters other than
  //     A-Z, a-z, 0-9, '_', '-' and '.'.
  //
  // Context: no lock, no allocation, no system call.
  bool Add(absl::string_view key, absl::string_view value);

  // Returns the fields as the content of ExtensionItem::kContext
  // (ring/record_extension.h). Only the sink calls it.
  absl::string_view encoded() const {
    return absl::string_view(bytes_.data(), size_);
  }

 private:
  std::array<char, kMaxBytes> bytes_;
  size_t size_ = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_CONTEXT_FIELDS_H_
