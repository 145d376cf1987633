#include "ringlog/logsink/internal/entry_extension.h"

#include "ringlog/compress/log_options.h"
#include "ringlog/logsink/context_fields.h"
#include "ringlog/logsink/internal/message_template.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/record_extension.h"

namespace ringlog {

// A file's name keeps its last 128 bytes at least.
static_assert(kRecordHeadFixedBytes + kMaxExtensionBytes + 128 <=
              kExtendedHeadBytes);

bool HasExtension(const RingLogSinkOptions& options) {
  return options.format == LineFormat::kJson &&
         (options.structured || options.context != nullptr);
}

absl::string_view MakeExtension(const absl::LogEntry& entry, bool structured,
                                ContextCallback context, absl::Span<char> out) {
  ExtensionWriter writer(out);
  if (context != nullptr) {
    ContextFields fields;
    context(fields);
    if (!fields.encoded().empty()) {
      writer.Add(ExtensionItem::kContext, fields.encoded());
    }
  }
  MessagePieces pieces;
  if (structured &&
      SplitMessage(entry.encoded_message(), entry.text_message(), &pieces)) {
    writer.Add(ExtensionItem::kPieces, pieces.lengths());
  }
  return writer.extension();
}

}  // namespace ringlog
