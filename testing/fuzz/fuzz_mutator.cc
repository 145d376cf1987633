#include "ringlog/testing/fuzz/fuzz_mutator.h"

#include <algorithm>
#include <cstring>

namespace ringlog {
namespace {

// Integers at which behaviour changes: limits of signs, of widths, and of
// fields.
constexpr uint64_t kInteresting[] = {
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    16,
    31,
    32,
    40,
    64,
    127,
    128,
    255,
    256,
    448,
    512,
    1024,
    2048,
    4096,
    32767,
    32768,
    65535,
    65536,
    uint64_t{1} << 20,
    uint64_t{1} << 26,
    uint64_t{1} << 30,
    (uint64_t{1} << 31) - 1,
    uint64_t{1} << 31,
    (uint64_t{1} << 32) - 1,
    uint64_t{1} << 32,
    uint64_t{1} << 60,
    (uint64_t{1} << 61) - 1,
    (uint64_t{1} << 63) - 1,
    uint64_t{1} << 63,
    ~uint64_t{0} - 1,
    ~uint64_t{0},
};
constexpr size_t kInterestingCount =
    sizeof kInteresting / sizeof kInteresting[0];

uint64_t Load(const FuzzField& field, absl::string_view input) {
  uint64_t value = 0;
  std::memcpy(&value, input.data() + field.offset, field.bytes);
  return value;
}

}  // namespace

void Mutator::Mutate(absl::string_view other, size_t max_bytes,
                     std::string* input) {
  uint64_t changes = 1;
  while (changes < 8 && OneIn(2)) ++changes;
  for (; changes > 0; --changes) Change(other, input);
  if (input->size() > max_bytes) input->resize(max_bytes);
}

void Mutator::EditFields(absl::Span<const FuzzField> fields,
                         std::string* input) {
  if (fields.empty()) return;
  for (uint64_t edits = 2 + UpTo(3); edits > 0; --edits) {
    const FuzzField& field = fields[UpTo(fields.size() - 1)];
    const uint64_t value = FieldValue(fields, Load(field, *input), *input);
    std::memcpy(input->data() + field.offset, &value, field.bytes);
  }
}

uint64_t Mutator::FieldValue(absl::Span<const FuzzField> fields, uint64_t old,
                             absl::string_view input) {
  switch (UpTo(4)) {
    case 0:
      return kInteresting[UpTo(kInterestingCount - 1)];
    case 1:
      return Load(fields[UpTo(fields.size() - 1)], input);
    case 2:
      return input.size() + UpTo(128) - 64;
    case 3:
      return OneIn(2) ? old << UpTo(16) : old >> UpTo(16);
    default:
      return old + UpTo(32) - 16;
  }
}

void Mutator::Change(absl::string_view other, std::string* input) {
  if (input->empty()) input->assign(1 + UpTo(15), '\0');
  const size_t at = UpTo(input->size() - 1);
  switch (UpTo(9)) {
    case 0:
    case 1:
      (*input)[at] = static_cast<char>((*input)[at] ^ (1 << UpTo(7)));
      break;
    case 2:
      (*input)[at] = static_cast<char>(UpTo(255));
      break;
    case 3:
    case 4:
      PutInteger(input);
      break;
    case 5:
      AddToInteger(input);
      break;
    case 6:
      CopyBlock(*input, OneIn(2), input);
      break;
    case 7:
      if (!other.empty()) CopyBlock(other, OneIn(2), input);
      break;
    case 8:
      input->erase(at, 1 + UpTo(OneIn(2) ? 8 : 1000));
      break;
    default:
      if (OneIn(2)) {
        input->resize(at);
      } else {
        // Joins the beginning of one input and the end of another.
        input->resize(at);
        input->append(other.substr(std::min(at, other.size())));
      }
      break;
  }
}

void Mutator::PutInteger(std::string* input) {
  const uint64_t value = kInteresting[UpTo(kInterestingCount - 1)];
  const size_t bytes = std::min(size_t{1} << UpTo(3), input->size());
  // Most fields of the formats are aligned.
  size_t at = UpTo(input->size() - bytes);
  if (!OneIn(4)) at -= at % bytes;
  std::memcpy(input->data() + at, &value, bytes);
}

void Mutator::AddToInteger(std::string* input) {
  const size_t bytes = std::min(size_t{1} << UpTo(3), input->size());
  size_t at = UpTo(input->size() - bytes);
  if (!OneIn(4)) at -= at % bytes;
  uint64_t value = 0;
  std::memcpy(&value, input->data() + at, bytes);
  value += UpTo(32) - 16;
  std::memcpy(input->data() + at, &value, bytes);
}

// Copies a random block of `from` to a random place. `from` may be `*input`.
void Mutator::CopyBlock(absl::string_view from, bool insert,
                        std::string* input) {
  const size_t begin = UpTo(from.size() - 1);
  const size_t longest = from.size() - begin;
  const std::string block(from.substr(
      begin,
      1 + UpTo(OneIn(2) ? std::min<size_t>(longest, 64) - 1 : longest - 1)));
  const size_t at = UpTo(input->size());
  if (insert) {
    input->insert(at, block);
  } else {
    input->replace(at, std::min(block.size(), input->size() - at), block);
  }
}

}  // namespace ringlog
