#include "ringlog/testing/logged_ring.h"

#include <cstddef>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment_format.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/read_segments.h"

namespace ringlog {
namespace {

// Does what a process does.
class Victim {
 public:
  Victim() {
    RingOptions options;
    options.slot_count = 64;
    options.head_bytes = 48;
    options.body_bytes = 48;
    options.first_position = (uint64_t{1} << 32) - 100;
    auto ring = Ring::Create(MakeTestDirectory() + "/victim.ring", options);
    EXPECT_TRUE(ring.ok()) << ring.status();
    ring_ = *std::move(ring);
  }

  void Log(uint64_t slots) {
    const uint64_t position = ring_->tail_position();
    Record record;
    record.time_ns = 1795489439000000000 + static_cast<int64_t>(position);
    record.line = LoggedLine(position);
    record.file = "f.cc";
    const std::string text = absl::StrCat(
        "record ", position,
        std::string((slots - 1) * 96, static_cast<char>('a' + position % 26)));
    record.text = text;
    char head[48];
    const size_t head_bytes = EncodeRecordHead(record, absl::MakeSpan(head));
    EXPECT_EQ(ring_->Append(Severity::kInfo,
                            absl::string_view(head, head_bytes), text),
              Ring::AppendResult::kAppended);
    logged_.ever[position] = {text, slots};
  }
  void Persist(int records) {
    while (records-- > 0 && ring_->Take()) {
    }
    ring_->PublishCursor(ring_->take_position(),
                         EncodeSegmentCursor(SegmentCursor()));
  }
  void Release() { ring_->Release(); }
  void LeaveUnfinished() {
    logged_.unfinished.insert(
        ring_->Claim(Severity::kInfo, 40, 10).value().position);
  }
  void AbandonOne() { ring_->Abandon(*ring_->Claim(Severity::kInfo, 40, 10)); }

  LoggedRing Die() {
    logged_.bytes = ReadFile(ring_->path());
    logged_.pending = {logged_.ever.lower_bound(ring_->take_position()),
                       logged_.ever.end()};
    return logged_;
  }

 private:
  std::unique_ptr<Ring> ring_;
  LoggedRing logged_;
};

}  // namespace

LoggedRing MakeLoggedRing() {
  Victim victim;
  for (int turn = 0; turn < 4; ++turn) {
    for (uint64_t i = 0; i < 30; ++i) victim.Log(i % 3 == 1 ? 3 : 1);
    victim.Persist(1000);
    victim.Release();
  }
  for (uint64_t i = 0; i < 6; ++i) victim.Log(i % 2 == 0 ? 3 : 1);
  victim.Persist(4);
  for (uint64_t i = 0; i < 8; ++i) victim.Log(i % 2 == 0 ? 1 : 3);
  victim.LeaveUnfinished();
  victim.Log(3);
  victim.AbandonOne();
  for (uint64_t i = 0; i < 6; ++i) victim.Log(i % 2 == 0 ? 1 : 3);
  victim.Log(1);
  victim.Persist(3);
  return victim.Die();
}

}  // namespace ringlog
