#include "ringlog/logsink/internal/entry_encoder.h"

#include <limits>

#include "absl/strings/strip.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/logsink/context_fields.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/record_extension.h"

namespace ringlog {
namespace {

static_assert(kRecordHeadFixedBytes + kMaxExtensionBytes + 128 <=
                  kExtendedHeadBytes,
              "a file name keeps at least its last 128 bytes");

// encoded_message() is a protocol buffer. These are the types of its fields.
enum WireType { kVarint = 0, k64Bit = 1, kBytes = 2, k32Bit = 5 };

// Numbers of fields.
constexpr uint64_t kValue = 7;          // of the message: a value
constexpr uint64_t kString = 1;         // of a value: its text
constexpr uint64_t kStringLiteral = 6;  // of a value: its text, a literal

struct WireField {
  uint64_t number = 0;
  uint64_t type = 0;
  absl::string_view bytes;  // content, if the type is kBytes
};

bool ReadVarint(absl::string_view* in, uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (in->empty()) return false;
    const auto byte = static_cast<unsigned char>((*in)[0]);
    in->remove_prefix(1);
    *value |= uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool Skip(absl::string_view* in, uint64_t bytes) {
  if (bytes > in->size()) return false;
  in->remove_prefix(static_cast<size_t>(bytes));
  return true;
}

// Reads the first field and removes it from `in`. Returns false if there is no
// complete field.
bool ReadField(absl::string_view* in, WireField* field) {
  uint64_t key = 0;
  uint64_t value = 0;
  if (!ReadVarint(in, &key)) return false;
  field->number = key >> 3;
  field->type = key & 7;
  switch (field->type) {
    case kVarint:
      return ReadVarint(in, &value);
    case k64Bit:
      return Skip(in, 8);
    case k32Bit:
      return Skip(in, 4);
    case kBytes:
      if (!ReadVarint(in, &value)) return false;
      field->bytes = in->substr(0, static_cast<size_t>(value));
      return Skip(in, value);
    default:
      return false;
  }
}

// Removes the strings of one value from the beginning of `text` and adds them
// to `pieces`. Ignores other fields of the value, such as its type. Returns
// false if the strings are not the beginning of `text`, or do not fit.
bool SplitValue(absl::string_view value, absl::string_view* text,
                MessagePieces* pieces) {
  WireField field;
  while (!value.empty()) {
    if (!ReadField(&value, &field)) return false;
    if (field.type != kBytes ||
        (field.number != kString && field.number != kStringLiteral)) {
      continue;
    }
    if (!absl::ConsumePrefix(text, field.bytes)) return false;
    const bool added = field.number == kStringLiteral
                           ? pieces->AddLiteral(field.bytes.size())
                           : pieces->AddValue(field.bytes.size());
    if (!added) return false;
  }
  return true;
}

}  // namespace

bool HasExtension(const RingLogSinkOptions& options) {
  return options.format == LineFormat::kJson &&
         (options.structured || options.context != nullptr);
}

absl::string_view EncodeExtension(const absl::LogEntry& entry, bool structured,
                                  ContextCallback context,
                                  absl::Span<char> out) {
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

bool MessagePieces::Add(size_t bytes) {
  if (count_ == lengths_.size() ||
      bytes > std::numeric_limits<uint16_t>::max()) {
    return false;
  }
  lengths_[count_++] = static_cast<uint16_t>(bytes);
  return true;
}

bool MessagePieces::AddLiteral(size_t bytes) {
  has_literal_ |= bytes != 0;
  if (count_ % 2 == 0) return Add(bytes);
  const size_t both = lengths_[count_ - 1] + bytes;
  --count_;
  return Add(both);
}

bool MessagePieces::AddValue(size_t bytes) {
  if (count_ % 2 == 0 && !Add(0)) return false;
  return Add(bytes);
}

absl::string_view MessagePieces::lengths() const {
  return absl::string_view(reinterpret_cast<const char*>(lengths_.data()),
                           count_ * sizeof lengths_[0]);
}

bool SplitMessage(absl::string_view encoded_message, absl::string_view text,
                  MessagePieces* pieces) {
  *pieces = MessagePieces();
  WireField field;
  while (!encoded_message.empty()) {
    if (!ReadField(&encoded_message, &field)) return false;
    if (field.number != kValue) continue;
    if (field.type != kBytes || !SplitValue(field.bytes, &text, pieces)) {
      return false;
    }
  }
  return text.empty() && pieces->has_literal();
}

}  // namespace ringlog
