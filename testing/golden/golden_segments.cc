#include "ringlog/testing/golden/golden_segments.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/log/check.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/batch_builder.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/golden/golden_ring.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

// A text, and its form in each format.
struct Text {
  absl::string_view text;
  absl::string_view lines;
  absl::string_view json;  // the value of "text"
};
constexpr Text kTexts[] = {
    {"plain", "plain", "\"plain\""},
    {"", "", "\"\""},
    {"two\nlines", "two\n\tlines", "\"two\\nlines\""},
    {"\n\nI20261124 03:03:59.000000 7 file.cc:1] forged\n",
     "\n\t\n\tI20261124 03:03:59.000000 7 file.cc:1] forged\n\t",
     "\"\\n\\nI20261124 03:03:59.000000 7 file.cc:1] forged\\n\""},
    {"tab\tquote\"back\\slash", "tab\tquote\"back\\slash",
     "\"tab\\tquote\\\"back\\\\slash\""},
    {"caf\xc3\xa9 \xe2\x82\xac", "caf\xc3\xa9 \xe2\x82\xac",
     "\"caf\xc3\xa9 \xe2\x82\xac\""},
    {"no \xff UTF-8", "no \xff UTF-8",
     "\"no \xef\xbf\xbd UTF-8\",\"text_base64\":\"bm8g/yBVVEYtOA==\""},
};

// The name and description of each cause of a gap.
struct Cause {
  absl::string_view name;
  absl::string_view because;
};
constexpr Cause kCauses[] = {
    {"ring_full", "the ring was full"},
    {"timed_out", "the ring stayed full until the deadline"},
    {"overwritten", "newer records took their place"},
    {"closed", "the sink was closed"},
    {"unfinished", "still being written when the process died"},
    {"stuck_writer", "the writer did not finish in time"},
    {"checksum_mismatch", "the bytes are not those that were written"},
    {"missing", "the slot holds something else"},
};
constexpr size_t kDropCauses = 4;

constexpr absl::string_view kSeverities[] = {"INFO", "WARNING", "ERROR",
                                             "FATAL"};

// A segment, and the content that a reader must find in it.
class SegmentMaker {
 public:
  explicit SegmentMaker(LineFormat format)
      : path_(MakeTestDirectory() + "/segment"),
        is_json_(format == LineFormat::kJson),
        batch_(format, kFirst) {
    SegmentIdentity identity;
    identity.ring_id = GoldenRingId();
    identity.number = 7;
    identity.format = format;
    SegmentWriterOptions options;
    options.frame_bytes = 1;  // one batch in each frame
    auto writer = SegmentWriter::Create(path_, identity, options);
    CHECK_OK(writer);
    writer_ = *std::move(writer);
  }

  void AddRecord(size_t cut_bytes = 0) {
    const Text& text = kTexts[static_cast<size_t>(number_) % std::size(kTexts)];
    const std::string logged =
        absl::StrCat(text.text, std::string(cut_bytes, 'z'));
    const auto slots = static_cast<uint32_t>(1 + number_ % 3);
    batch_.AddRecord(position_, slots, GoldenHead(number_, logged), text.text);
    const auto severity = static_cast<size_t>(number_ % 4);
    if (is_json_) {
      absl::StrAppend(&lines_, Json(number_, kSeverities[severity]),
                      ",\"tid\":7,\"file\":\"file.cc\",\"line\":", number_,
                      ",\"text\":", text.json);
      if (cut_bytes != 0) {
        absl::StrAppend(&lines_, ",\"cut_bytes\":", cut_bytes);
      }
      absl::StrAppend(&lines_, ",\"position\":", position_, "}\n");
    } else {
      absl::StrAppend(&lines_, "IWEF"[severity] + Head(number_, 7),
                      "file.cc:", number_, "] ", text.lines, "\n");
      if (cut_bytes != 0) {
        absl::StrAppend(&lines_, " [", cut_bytes, " bytes cut]\n");
      }
    }
    if (!times_) times_ = {number_, number_};
    times_->second = number_++;
    position_ += slots;
    ++records_[severity];
  }

  void AddGap(size_t cause) {
    Gap gap;
    gap.cause = static_cast<GapCause>(cause);
    gap.first_position = gap.end_position = position_;
    std::string description;
    std::string records;
    if (cause < kDropCauses) {
      gap.records = {cause + 1, 2, 0, 0};
      gap.first_time_ns = kGoldenTimeNs + 1;
      gap.last_time_ns = kGoldenTimeNs + 2;
      description =
          absl::StrCat(cause + 1, " INFO, 2 WARNING records dropped before ",
                       "position ", position_);
      records =
          absl::StrCat(",\"records\":{\"INFO\":", cause + 1, ",\"WARNING\":2},",
                       "\"first_time\":\"2026-11-24T03:03:59.000000001Z\",",
                       "\"last_time\":\"2026-11-24T03:03:59.000000002Z\"");
    } else {
      gap.end_position += cause % 2 + 1;
      description = cause % 2 == 0
                        ? absl::StrCat("position ", position_, " missing")
                        : absl::StrCat("positions ", position_, " to ",
                                       position_ + 1, " missing");
    }
    batch_.AddGap(gap, kGoldenTimeNs + int64_t{number_} * 1000);
    AddGapLine(
        absl::StrCat(description, ": ", kCauses[cause].because),
        absl::StrCat("{\"cause\":\"", kCauses[cause].name,
                     "\",\"first_position\":", gap.first_position,
                     ",\"end_position\":", gap.end_position, records, "}"));
    position_ = gap.end_position;
    ++gaps_;
  }

  void EndFrame() {
    CHECK_OK(writer_->AddBatch(batch_.batch()));
    CHECK_OK(writer_->Write());
    batch_.Clear();
    absl::StrAppend(&expected_, lines_, "# frame of segment 7, positions ",
                    begin_, "..", position_, ", records ", records_[0], " ",
                    records_[1], " ", records_[2], " ", records_[3]);
    absl::StrAppend(&expected_, ", gaps ", gaps_, ", microseconds ",
                    times_ ? times_->first : 0, "..",
                    times_ ? times_->second : 0, ", bytes ", lines_.size(),
                    "\n");
    lines_.clear();
    records_ = {};
    gaps_ = 0;
    times_.reset();
    begin_ = position_;
  }

  GoldenFile Finish() {
    CHECK_OK(writer_->AddEnd());
    CHECK_OK(writer_->Write());
    return {"", ReadFile(path_), expected_ + "# closed\n"};
  }

 private:
  static constexpr uint64_t kFirst = 1000;

  static std::string Head(int number, int tid) {
    return absl::StrFormat("20261124 03:03:59.%06d %d ", number, tid);
  }
  static std::string Json(int number, absl::string_view severity) {
    return absl::StrFormat(
        R"({"time":"2026-11-24T03:03:59.%09dZ","severity":"%s")", number * 1000,
        severity);
  }

  void AddGapLine(absl::string_view description, absl::string_view object) {
    if (is_json_) {
      absl::StrAppend(&lines_, Json(number_, "WARNING"), ",\"gap\":", object,
                      ",\"text\":\"", description, "\"}\n");
    } else {
      absl::StrAppend(&lines_, "W", Head(number_, 0), "ringlog:0] ",
                      description, "\n ", object, "\n");
    }
  }

  const std::string path_;
  const bool is_json_;
  BatchBuilder batch_;
  std::unique_ptr<SegmentWriter> writer_;

  int number_ = 0;
  uint64_t position_ = kFirst;
  std::string expected_;
  // State of the current frame.
  std::string lines_;
  uint64_t begin_ = kFirst;
  std::array<uint64_t, 4> records_ = {};
  uint64_t gaps_ = 0;
  std::optional<std::pair<int, int>> times_;
};

GoldenFile MakeSegment(LineFormat format) {
  SegmentMaker maker(format);
  for (size_t frame = 0; frame < 10; ++frame) {
    for (int i = 0; i < 3; ++i) maker.AddRecord();
    if (frame < std::size(kCauses)) maker.AddGap(frame);
    if (frame == 8) maker.AddRecord(/*cut_bytes=*/1234);
    if (frame != 9) maker.AddRecord();
    maker.EndFrame();
  }
  return maker.Finish();
}

// The process that is killed: a ring, a segment writer, and the lines logged so
// far.
class KilledProcess {
 public:
  explicit KilledProcess(std::string directory)
      : directory_(std::move(directory)) {
    RingOptions options;
    options.slot_count = 64;
    options.head_bytes = 48;
    options.body_bytes = 48;
    options.program = "program";
    options.host = "host";
    auto ring = Ring::Create(directory_ + "/ring", options);
    CHECK_OK(ring);
    ring_ = *std::move(ring);
    batch_.emplace(LineFormat::kText, ring_->take_position());
    SegmentIdentity identity;
    identity.ring_id = GoldenRingId();
    auto writer = SegmentWriter::Create(directory_ + "/segment", identity, {});
    CHECK_OK(writer);
    writer_ = *std::move(writer);
  }

  void Log(int count) {
    for (; count > 0; --count, ++number_) {
      const std::string text = absl::StrCat(
          "message ", number_, " ",
          std::string(static_cast<size_t>(number_ * 37 % 150), 'x'));
      CHECK(ring_->Append(static_cast<Severity>(number_ % 4),
                          GoldenHead(number_, text),
                          text) == Ring::AppendResult::kAppended);
      absl::StrAppendFormat(&expected_,
                            "%c20261124 03:03:59.%06d 7 file.cc:%d] %s\n",
                            "IWEF"[number_ % 4], number_, number_, text);
    }
  }
  void Flush(int count, bool publish) {
    for (; count > 0; --count) {
      const std::optional<Ring::Taken> taken = ring_->Take();
      CHECK(taken.has_value());
      batch_->AddRecord(taken->slots.position, taken->slots.slot_count,
                        taken->head, taken->body);
    }
    CHECK_OK(writer_->AddBatch(batch_->batch()));
    CHECK_OK(writer_->Write());
    batch_->Clear();
    if (!publish) return;
    SegmentCursor cursor = writer_->cursor();
    cursor.segment_open_time_ns = kGoldenTimeNs;
    ring_->PublishCursor(ring_->take_position(), EncodeSegmentCursor(cursor));
    ring_->Release();
  }
  // Claims a record of one slot and does not commit it.
  void Claim() {
    const uint64_t position = ring_->tail_position();
    CHECK(ring_->Claim(Severity::kInfo, 47, 10).has_value());
    // The line of a gap has the time of the record after it.
    const std::string line = absl::StrFormat(
        "W20261124 03:03:59.%06d 0 ringlog:0] position %d missing: still being "
        "written when the process died\n {\"cause\":\"unfinished\","
        "\"first_position\":%d,\"end_position\":%d}\n",
        number_, position, position, position + 1);
    expected_ += line;
  }

  std::vector<GoldenFile> Finish() {
    ring_.reset();
    const std::string name = "program.host.20261124-030359.12345.00010203";
    return {
        {name + ".ring", AsGolden(ReadFile(directory_ + "/ring")), expected_},
        {name + ".000001.log.zst", ReadFile(directory_ + "/segment"), ""}};
  }

 private:
  const std::string directory_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<SegmentWriter> writer_;
  std::optional<BatchBuilder> batch_;
  int number_ = 0;
  std::string expected_;
};

}  // namespace

GoldenFile GoldenText() {
  GoldenFile file = MakeSegment(LineFormat::kText);
  file.name = "text.log.zst";
  return file;
}

GoldenFile GoldenJson() {
  GoldenFile file = MakeSegment(LineFormat::kJson);
  file.name = "json.jsonl.zst";
  return file;
}

std::vector<GoldenFile> GoldenKilled() {
  KilledProcess process(MakeTestDirectory());
  process.Log(12);
  process.Flush(4, /*publish=*/true);  // a complete frame
  process.Flush(3, /*publish=*/true);  // part of the open frame
  process.Flush(2, /*publish=*/false);
  process.Claim();
  process.Log(3);
  return process.Finish();
}

}  // namespace ringlog
