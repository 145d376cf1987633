// Compares the hex dumps in ring/FORMAT.md with the bytes that the code writes.

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/crash_area.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_test_fixture.h"
#include "ringlog/ring/slot.h"
#include "ringlog/ring/slot_word.h"
#include "ringlog/testing/harness/hex_dump.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

TEST(FormatPageTest, CrashCellMatchesPage) {
  alignas(kCacheLineBytes) unsigned char memory[2 * sizeof(CrashCell)] = {};
  uint8_t id[16];
  for (size_t i = 0; i < sizeof id; ++i) id[i] = static_cast<uint8_t>(i);
  const CrashArea area(absl::MakeSpan(memory), ChecksumSeed(id));
  area.Append(12345, 1795399384123456789,
              "*** SIGSEGV received at time=1795399384 ***\n");
  EXPECT_THAT(ReadFile("ring/FORMAT.md"),
              ::testing::HasSubstr(
                  "\n\n" +
                  HexDump(absl::string_view(
                      reinterpret_cast<char*>(memory) + sizeof(CrashCell),
                      sizeof(CrashCell))) +
                  "\n"));
}

TEST(FormatPageTest, SlotMatchesPage) {
  constexpr size_t kSlotCount = 2;
  constexpr size_t kSlotBytes = 128;
  constexpr uint64_t kPosition = 6;
  alignas(kCacheLineBytes) unsigned char memory[kSlotCount * kSlotBytes] = {};
  RingLive live = {};
  live.tail = live.released = kPosition;
  uint8_t id[16];
  for (size_t i = 0; i < sizeof id; ++i) id[i] = static_cast<uint8_t>(i);
  Slots::Layout layout;
  layout.live = &live;
  layout.slots = memory;
  layout.slot_count = kSlotCount;
  layout.slot_bytes = kSlotBytes;
  layout.first_position = kPosition;
  layout.seed = ChecksumSeed(id);
  Slots slots(layout);

  Record record;
  record.time_ns = 1795399384123456789;
  record.thread_id = 12345;
  record.line = 42;
  record.severity = Severity::kWarning;
  record.file = "file.cc";
  record.text = "hello";
  char head[kRecordHeadFixedBytes + 16];
  const size_t head_bytes = EncodeRecordHead(record, absl::MakeSpan(head));
  ASSERT_EQ(slots.AdvanceTail(1, kSlotCount), kPosition);
  ASSERT_TRUE(slots.ClaimSlot(kPosition));
  slots.FillSlot(kPosition, 0, 1, static_cast<uint8_t>(record.severity),
                 {head, head_bytes}, record.text);
  ASSERT_TRUE(slots.CommitSlot(kPosition));

  const absl::string_view slot(
      reinterpret_cast<const char*>(slots.SlotOf(kPosition)),
      sizeof(SlotHeader) + head_bytes + record.text.size());
  EXPECT_THAT(ReadFile("ring/FORMAT.md"),
              ::testing::HasSubstr("\n\n" + HexDump(slot) + "\n"));
}

}  // namespace
}  // namespace ringlog
