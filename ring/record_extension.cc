#include "ringlog/ring/record_extension.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace ringlog {
namespace {

constexpr size_t kItemHeaderBytes = 3;
constexpr size_t kMaxItemBytes = std::numeric_limits<uint16_t>::max();

uint16_t LoadSize(const char* p) {
  uint16_t size;
  std::memcpy(&size, p, sizeof size);
  return size;
}

char* StoreSize(char* p, size_t size) {
  const auto stored = static_cast<uint16_t>(size);
  std::memcpy(p, &stored, sizeof stored);
  return p + sizeof stored;
}

char* Store(char* p, absl::string_view bytes) {
  if (!bytes.empty()) std::memcpy(p, bytes.data(), bytes.size());
  return p + bytes.size();
}

// Returns the first `n` bytes and removes them from `*in`.
// Requires: in->size() >= n.
absl::string_view TakeBytes(absl::string_view* in, size_t n) {
  const absl::string_view taken = in->substr(0, n);
  in->remove_prefix(n);
  return taken;
}

}  // namespace

bool ExtensionWriter::Add(ExtensionItem item, absl::string_view content) {
  if (content.size() > kMaxItemBytes ||
      out_.size() - size_ < kItemHeaderBytes + content.size()) {
    return false;
  }
  char* const begin = out_.data() + size_;
  *begin = static_cast<char>(item);
  Store(StoreSize(begin + 1, content.size()), content);
  size_ += kItemHeaderBytes + content.size();
  return true;
}

absl::string_view FindExtension(absl::string_view extension,
                                ExtensionItem item) {
  while (extension.size() >= kItemHeaderBytes) {
    const char type = extension[0];
    const size_t size = LoadSize(extension.data() + 1);
    extension.remove_prefix(kItemHeaderBytes);
    if (size > extension.size()) break;
    const absl::string_view content = TakeBytes(&extension, size);
    if (type == static_cast<char>(item)) return content;
  }
  return {};
}

bool PiecesFit(absl::string_view pieces, absl::string_view text) {
  if (pieces.empty() || pieces.size() % sizeof(uint16_t) != 0) return false;
  size_t total = 0;
  for (size_t i = 0; i < pieces.size(); i += sizeof(uint16_t)) {
    total += LoadSize(pieces.data() + i);
  }
  return total == text.size();
}

bool NextPiece(absl::string_view* pieces, absl::string_view* text,
               absl::string_view* piece) {
  if (pieces->empty()) return false;
  *piece = TakeBytes(text, LoadSize(pieces->data()));
  pieces->remove_prefix(sizeof(uint16_t));
  return true;
}

bool IsContextKey(absl::string_view key) {
  if (key.empty() || key.size() > kMaxContextKeyBytes) return false;
  return std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
  });
}

size_t EncodeContextField(absl::string_view key, absl::string_view value,
                          absl::Span<char> out) {
  const size_t size = kContextFieldBytes + key.size() + value.size();
  if (!IsContextKey(key) || value.size() > kMaxContextValueBytes ||
      size > out.size()) {
    return 0;
  }
  char* p = out.data();
  *p++ = static_cast<char>(key.size());
  Store(Store(StoreSize(p, value.size()), key), value);
  return size;
}

bool NextContextField(absl::string_view* fields, absl::string_view* key,
                      absl::string_view* value) {
  if (fields->size() < kContextFieldBytes) return false;
  const size_t key_bytes = static_cast<unsigned char>((*fields)[0]);
  const size_t value_bytes = LoadSize(fields->data() + 1);
  fields->remove_prefix(kContextFieldBytes);
  if (fields->size() < key_bytes + value_bytes) return false;
  *key = TakeBytes(fields, key_bytes);
  *value = TakeBytes(fields, value_bytes);
  return IsContextKey(*key);
}

}  // namespace ringlog
