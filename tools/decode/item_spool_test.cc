#include "ringlog/tools/decode/item_spool.h"

#include <stdlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_recovery.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

RecoveredRecord MakeRecord(uint64_t position, absl::string_view body) {
  RecoveredRecord record;
  record.position = position;
  record.slot_count = 2;
  record.head = "head";
  record.body = body;
  return record;
}

Gap MakeGap(uint64_t position) {
  Gap gap;
  gap.cause = GapCause::kChecksumMismatch;
  gap.first_position = position;
  gap.end_position = position + 3;
  return gap;
}

std::vector<std::string> ItemsOf(ItemSpool* spool) {
  std::vector<std::string> items;
  if (absl::Status s = spool->Restart(); !s.ok()) return {s.ToString()};
  while (true) {
    const absl::StatusOr<RingRecovery::Item> item = spool->Next();
    if (!item.ok()) return {item.status().ToString()};
    if (*item == RingRecovery::Item::kEnd) return items;
    if (*item == RingRecovery::Item::kGap) {
      items.push_back(Describe(spool->gap()));
      continue;
    }
    const RecoveredRecord& r = spool->record();
    items.push_back(absl::StrCat(r.is_crash_report ? "crash " : "", r.position,
                                 "+", r.slot_count, " ", r.head, " ", r.body));
  }
}

class ItemSpoolTest : public ::testing::Test {
 protected:
  ItemSpoolTest() { setenv("TMPDIR", directory_.c_str(), 1); }
  ~ItemSpoolTest() override { unsetenv("TMPDIR"); }

  void Add(ItemSpool* spool) {
    RecoveredRecord crash = MakeRecord(9, "crash");
    crash.is_crash_report = true;
    for (const absl::Status& status :
         {spool->Add(MakeRecord(1, "a")), spool->Add(MakeGap(3)),
          spool->Add(MakeRecord(6, "")), spool->Add(crash)}) {
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  void ExpectItems(ItemSpool* spool) {
    for (int i = 0; i < 2; ++i) {
      EXPECT_THAT(ItemsOf(spool),
                  ElementsAre("1+2 head a", Describe(MakeGap(3)), "6+2 head ",
                              "crash 9+2 head crash"));
    }
  }

  const std::string directory_ = MakeTestDirectory();
  SpoolRoom room_;
};

TEST_F(ItemSpoolTest, ReturnsItemsFromMemory) {
  const size_t room = room_.bytes;
  ItemSpool spool(&room_);
  Add(&spool);
  EXPECT_EQ(room_.bytes, room - spool.bytes());
  ExpectItems(&spool);
}

// The number of bytes decides which item is the first one in the file.
TEST_F(ItemSpoolTest, ReturnsItemsFromFile) {
  for (size_t room = 0; room < 150; ++room) {
    room_.bytes = room;
    ItemSpool spool(&room_);
    Add(&spool);
    EXPECT_GE(room_.bytes, room - std::min<size_t>(room, spool.bytes()));
    ExpectItems(&spool);
  }
}

TEST_F(ItemSpoolTest, ReturnsLongItems) {
  room_.bytes = 3 << 20;
  ItemSpool spool(&room_);
  std::vector<std::string> expected;
  for (uint64_t i = 0; i < 8; ++i) {
    const std::string body(1 << 20, static_cast<char>('a' + i));
    ASSERT_TRUE(spool.Add(MakeRecord(i, body)).ok());
    expected.push_back(absl::StrCat(i, "+2 head ", body));
  }
  EXPECT_EQ(ItemsOf(&spool), expected);
}

TEST_F(ItemSpoolTest, SpoolWithoutItemsIsEmpty) {
  ItemSpool spool(&room_);
  EXPECT_THAT(ItemsOf(&spool), ElementsAre());
}

TEST_F(ItemSpoolTest, FileHasNoName) {
  room_.bytes = 0;
  ItemSpool spool(&room_);
  Add(&spool);
  EXPECT_THAT(FilesIn(directory_, ""), ElementsAre());
}

TEST_F(ItemSpoolTest, ErrorOfTheFileNamesTheDirectory) {
  setenv("TMPDIR", "/nonexistent", 1);
  room_.bytes = 0;
  ItemSpool spool(&room_);
  const absl::Status status = spool.Add(MakeGap(1));
  EXPECT_THAT(status.ToString(),
              HasSubstr("create a file in /nonexistent: No such file or "
                        "directory; TMPDIR can name a directory with more "
                        "room"));
}

}  // namespace
}  // namespace ringlog
