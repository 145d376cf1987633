#include "ringlog/testing/golden/golden_ring.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/repair_checksums.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

constexpr absl::string_view kFile = "file.cc";
constexpr size_t kHeadBytes = 40 + kFile.size();
constexpr size_t kPayloadBytes = 96;
constexpr uint64_t kSlots = 64;
// Slots that INFO may use. A sixteenth of the ring is reserved for FATAL, and
// another one for WARNING and above.
constexpr uint64_t kForInfo = 56;
// A record may take half of the ring.
constexpr size_t kLongestText = kSlots / 2 * kPayloadBytes - kHeadBytes;
constexpr uint64_t kFirstPosition = (uint64_t{1} << 32) - 40;

// A ring, and the content that a reader must find in it.
class Script {
 public:
  Script() : path_(MakeTestDirectory() + "/a.ring") {
    RingOptions options;
    options.slot_count = kSlots;
    options.head_bytes = 48;
    options.body_bytes = 48;
    options.first_position = kFirstPosition;
    options.program = "program";
    options.host = "host";
    auto ring = Ring::Create(path_, options);
    CHECK_OK(ring);
    ring_ = *std::move(ring);
  }

  // Logs `count` records with texts of all lengths up to three slots.
  void Log(int count) {
    for (int i = 0; i < count; ++i) {
      std::string text = absl::StrCat("message ", number_, " ");
      text.append(static_cast<size_t>(number_ * 37 % 150), 'x');
      Append(std::move(text));
    }
  }
  void LogShort() { Append("short"); }
  void LogTooLong() { Append(std::string(5000, 'y')); }

  // Claims a record that is never committed.
  void Claim(size_t text_bytes) {
    const uint64_t slots = SlotsOf(text_bytes);
    CHECK(ring_->Claim(Severity::kInfo, kHeadBytes, text_bytes).has_value());
    claims_.push_back({tail_, slots});
    tail_ += slots;
  }
  void Abandon() {
    const auto claim = ring_->Claim(Severity::kInfo, kHeadBytes, 1);
    CHECK(claim.has_value());
    ring_->Abandon(*claim);
    ++tail_;
  }
  // Skips the oldest claim.
  void Skip() {
    CHECK_EQ(ring_->pending().value_or(0), claims_.front().first);
    CHECK(ring_->Skip(claims_.front().first + claims_.front().second)
              .has_value());
    claims_.erase(claims_.begin());
  }

  void Take(int count) {
    for (; count > 0; --count) CHECK(ring_->Take().has_value());
  }
  void TakeAll() {
    while (ring_->Take().has_value()) {
    }
  }
  // Publishes a cursor: all records taken so far are persisted.
  void Publish() {
    SegmentCursor cursor;
    cursor.segment_number = 3;
    cursor.segment_open_time_ns = kGoldenTimeNs;
    cursor.segment_bytes = cursor.frame_offset = 1000;
    cursor_ = ring_->take_position();
    ring_->PublishCursor(cursor_, EncodeSegmentCursor(cursor));
  }
  void Release() {
    ring_->Release();
    released_ = ring_->take_position();
  }
  bool IsFull() const { return tail_ - released_ >= kForInfo; }

  GoldenFile Finish() {
    GoldenFile file;
    ring_.reset();
    file.bytes = AsGolden(ReadFile(path_));
    for (const auto& [position, line] : records_) {
      if (position >= cursor_) file.expected += line;
    }
    for (const auto& [position, slots] : claims_) {
      absl::StrAppend(&file.expected,
                      "{\"gap\":\"unfinished\",\"first\":", position,
                      ",\"end\":", position + slots, "}\n");
    }
    absl::StrAppend(&file.expected, "# cut ", cut_, ", dropped ", dropped_,
                    ", cursor ", cursor_, ", end ", tail_, "\n");
    return file;
  }

 private:
  static uint64_t SlotsOf(size_t text_bytes) {
    return (kHeadBytes + text_bytes + kPayloadBytes - 1) / kPayloadBytes;
  }

  void Append(std::string text) {
    const int number = number_++;
    const absl::string_view head = GoldenHead(number, text);
    const auto severity = static_cast<Severity>(number % 4);
    const size_t logged_bytes = text.size();
    text.resize(std::min(text.size(), kLongestText));
    const uint64_t slots = SlotsOf(text.size());
    const bool fits = number % 4 != 0 || tail_ + slots - released_ <= kForInfo;
    const bool is_truncated = fits && text.size() < logged_bytes;
    // The text before truncation.
    std::string logged = text;
    logged.resize(logged_bytes, 'y');
    CHECK(ring_->Append(severity, head, logged) ==
          (!fits          ? Ring::AppendResult::kDropped
           : is_truncated ? Ring::AppendResult::kTruncated
                          : Ring::AppendResult::kAppended))
        << number;
    if (!fits) {
      ++dropped_;
      return;
    }
    cut_ += is_truncated ? 1 : 0;
    records_.emplace_back(
        tail_, absl::StrCat(
                   "{\"position\":", tail_, ",\"slots\":", slots,
                   ",\"time_ns\":", kGoldenTimeNs + int64_t{number} * 1000,
                   ",\"tid\":7,\"line\":", number, ",\"severity\":", number % 4,
                   ",\"file\":\"", kFile, "\",\"text\":\"", text, "\"}\n"));
    tail_ += slots;
  }

  const std::string path_;
  std::unique_ptr<Ring> ring_;
  int number_ = 0;
  uint64_t tail_ = kFirstPosition;
  uint64_t released_ = kFirstPosition;
  uint64_t cursor_ = kFirstPosition;
  uint64_t cut_ = 0;
  uint64_t dropped_ = 0;  // all with severity INFO
  std::vector<std::pair<uint64_t, std::string>> records_;
  std::vector<std::pair<uint64_t, uint64_t>> claims_;  // position, slots
};

}  // namespace

RingId GoldenRingId() {
  RingId id;
  for (size_t i = 0; i < id.size(); ++i) id[i] = static_cast<uint8_t>(i);
  return id;
}

std::string AsGolden(std::string ring) {
  RingHeader header;
  std::memcpy(&header, ring.data(), sizeof header);
  const RingId id = GoldenRingId();
  std::copy(id.begin(), id.end(), header.ring_id);
  std::fill(std::begin(header.boot_id), std::end(header.boot_id), uint8_t{1});
  header.process_id = kGoldenProcessId;
  header.process_start_ticks = 67890;
  header.created_unix_ns = kGoldenTimeNs;
  header.monotonic_anchor_ns = 1000000000;
  std::memcpy(&ring[0], &header, sizeof header);
  std::memcpy(&ring[kRingHeaderCopyOffset], &header, sizeof header);
  RepairRingChecksums(&ring);
  return ring;
}

absl::string_view GoldenHead(int number, absl::string_view text) {
  static char head[64];
  Record record;
  record.time_ns = kGoldenTimeNs + int64_t{number} * 1000;
  record.thread_id = 7;
  record.line = number;
  record.severity = static_cast<Severity>(number % 4);
  record.file = kFile;
  record.text = text;
  return {head, EncodeRecordHead(record, absl::MakeSpan(head))};
}

GoldenFile GoldenRing() {
  Script script;
  // Fills the ring for more than a lap and persists everything.
  for (int i = 0; i < 4; ++i) {
    script.Log(10);
    script.TakeAll();
    script.Publish();
    script.Release();
  }
  script.Claim(100);
  script.LogShort();
  script.Skip();
  script.TakeAll();
  script.Publish();
  script.Release();
  // Records that are not persisted.
  script.LogTooLong();
  script.Log(2);
  script.Abandon();
  script.Claim(10);
  script.Log(1);
  script.Claim(200);
  script.LogShort();
  script.Take(2);
  while (!script.IsFull()) script.LogShort();
  // One of these four records is INFO. It finds no free slot.
  for (int i = 0; i < 4; ++i) script.LogShort();
  GoldenFile file = script.Finish();
  file.name = "wrapped.ring";
  return file;
}

}  // namespace ringlog
