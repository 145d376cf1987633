// Reads images of rings while their owners write.

#include "ringlog/tools/decode/ring_image.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/overflow_policy.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_recovery.h"
#include "ringlog/ring/ring_test_fixture.h"

namespace ringlog {
namespace {

// Called before a pread(2), after `g_readings_left` other calls.
std::function<void()> g_at_reading;
int g_readings_left = 0;

struct Items {
  std::vector<uint64_t> records;
  std::string gaps;
};

Items ItemsOf(RingImage* image, RecoverFrom from) {
  Items items;
  EXPECT_TRUE(image->Restart(from).ok());
  while (true) {
    const absl::StatusOr<RingRecovery::Item> item = image->Next();
    EXPECT_TRUE(item.ok()) << item.status();
    if (!item.ok() || *item == RingRecovery::Item::kEnd) return items;
    if (*item == RingRecovery::Item::kGap) {
      absl::StrAppend(&items.gaps, Describe(image->gap()), "\n");
    } else {
      items.records.push_back(image->record().position);
    }
  }
}

std::vector<uint64_t> Positions(uint64_t begin, uint64_t end) {
  std::vector<uint64_t> positions;
  for (uint64_t p = begin; p < end; ++p) positions.push_back(p);
  return positions;
}

// Number of INFO records that LargeRing() holds: seven eighths of the slots.
constexpr uint64_t kCapacity = 3584;

// Returns options of a ring that fills several windows of FileSource.
RingOptions LargeRing() {
  RingOptions options = SmallRing();
  options.slot_count = 4096;
  return options;
}

void Persist(TestRing* ring) {
  ring->ReadAll();
  ring->ring().PublishCursor(ring->ring().take_position(), "");
  ring->Release();
}

// Makes one image for each pread(2) of an image. In each image, the owner runs
// `act` before that pread(2). `check` gets the image and the tail before `act`.
void ActAtEachReading(
    const RingOptions& options, const std::function<void(TestRing*)>& act,
    const std::function<void(RingImage*, uint64_t tail)>& check) {
  bool has_acted = true;
  for (int reading = 0; has_acted; ++reading) {
    SCOPED_TRACE(absl::StrCat("reading ", reading));
    TestRing ring(options);
    for (int i = 0; i < 5000; ++i) {
      ring.Write("old");
      if (i == 3000 && options.overflow != OverflowPolicy::kOverwriteOldest) {
        Persist(&ring);
      }
    }
    const uint64_t tail = ring.ring().tail_position();
    has_acted = false;
    g_readings_left = reading;
    g_at_reading = [&] {
      has_acted = true;
      act(&ring);
    };
    absl::StatusOr<RingImage> image = RingImage::Read(ring.path());
    g_at_reading = nullptr;
    ASSERT_TRUE(image.ok()) << image.status();
    check(&*image, tail);
  }
}

TEST(RingImageTest, ReturnsRecordsFromCursorDuringPersisting) {
  const auto act = [](TestRing* ring) {
    Persist(ring);
    for (int i = 0; i < 3000; ++i) ring->Write("new");
  };
  ActAtEachReading(LargeRing(), act, [](RingImage* image, uint64_t tail) {
    const uint64_t persisted = image->cursor().end_position;
    const Items items = ItemsOf(image, RecoverFrom::kCursor);
    EXPECT_EQ(items.gaps, "");
    const uint64_t end = image->summary().end_position;
    EXPECT_GE(end, tail);
    EXPECT_EQ(items.records, Positions(persisted, end));
    const Items all = ItemsOf(image, RecoverFrom::kEverything);
    EXPECT_EQ(all.gaps, "");
    EXPECT_GE(all.records.size(), items.records.size());
  });
}

TEST(RingImageTest, ReturnsNoGapDuringEviction) {
  RingOptions options = LargeRing();
  options.overflow = OverflowPolicy::kOverwriteOldest;
  const auto act = [](TestRing* ring) {
    for (int i = 0; i < 1000; ++i) ring->Write("new");
  };
  ActAtEachReading(options, act, [](RingImage* image, uint64_t tail) {
    const Items items = ItemsOf(image, RecoverFrom::kCursor);
    EXPECT_EQ(items.gaps, "");
    ASSERT_FALSE(items.records.empty());
    EXPECT_EQ(items.records,
              Positions(items.records.front(), image->summary().end_position));
    EXPECT_GE(items.records.back() + 1, tail);
    // At most the evicted records are missing.
    EXPECT_GE(items.records.size(), kCapacity - 1000u);
  });
}

}  // namespace
}  // namespace ringlog

extern "C" ssize_t pread(int fd, void* buffer, size_t bytes, off_t offset) {
  if (ringlog::g_at_reading != nullptr && ringlog::g_readings_left-- == 0) {
    std::exchange(ringlog::g_at_reading, {})();
  }
  return syscall(SYS_pread64, fd, buffer, bytes, offset);
}
