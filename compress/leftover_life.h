// The life of a process with a ring, one step of its flusher after the other,
// for tests of what each of them leaves.

#ifndef RINGLOG_COMPRESS_LEFTOVER_LIFE_H_
#define RINGLOG_COMPRESS_LEFTOVER_LIFE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "ringlog/compress/batch_builder.h"
#include "ringlog/compress/leftover.h"
#include "ringlog/compress/line_format.h"
#include "ringlog/compress/rotation.h"
#include "ringlog/compress/segment_format.h"
#include "ringlog/compress/segment_writer.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/read_segments.h"

namespace ringlog {

inline std::string Message(int n) {
  return absl::StrCat("record ", n,
                      std::string(static_cast<size_t>(n * 37 % 1500), 'x'));
}

// A process with a ring and a flusher, whose every step can be its last. The
// flusher's steps are made here one by one, in the flusher's order.
class Victim {
 public:
  explicit Victim(const std::string& directory,
                  const std::string& segment_directory = "")
      : directory_(directory) {
    RingOptions options;
    options.segment_directory = segment_directory;
    options.slot_count = 64;
    options.program = "program";
    options.host = "host";
    auto ring = Ring::CreateIn(directory_, RingFileName, options);
    EXPECT_TRUE(ring.ok()) << ring.status();
    ring_ = *std::move(ring);
    batch_.emplace(LineFormat::kText, ring_->take_position());
  }

  void Log(int count) {
    for (int i = 0; i < count; ++i) {
      const std::string text = Message(logged_++);
      Record record;
      record.time_ns = 1795489439000000000 + logged_;
      record.file = "file.cc";
      record.line = logged_;
      record.text = text;
      char head[128];
      const size_t size = EncodeRecordHead(record, absl::MakeSpan(head));
      ASSERT_EQ(
          ring_->Append(record.severity, absl::string_view(head, size), text),
          Ring::AppendResult::kAppended);
    }
  }

  void NameSegment() {
    cursor_.segment_number += 1;
    cursor_.segment_open_time_ns =
        1795489439000000000 +
        static_cast<int64_t>(cursor_.segment_number) * 1000000000;
    cursor_.segment_bytes = cursor_.frame_offset = 0;
    cursor_.open_frame = FrameSummary();
    ring_->PublishCursor(persisted_, EncodeSegmentCursor(cursor_));
  }
  void CreateSegment() {
    SegmentIdentity identity;
    identity.ring_id = RingIdOf(ring_->header());
    identity.number = cursor_.segment_number;
    SegmentWriterOptions options;
    options.frame_bytes = 3000;
    auto writer = SegmentWriter::Create(
        absl::StrCat(
            directory_, "/",
            SegmentFileName(ring_->header(), cursor_.segment_number,
                            cursor_.segment_open_time_ns, LineFormat::kText)),
        identity, options);
    ASSERT_TRUE(writer.ok()) << writer.status();
    writer_ = *std::move(writer);
  }
  void Take(int count) {
    for (int i = 0; i < count; ++i) {
      const std::optional<Ring::Taken> taken = ring_->Take();
      ASSERT_TRUE(taken.has_value());
      batch_->AddRecord(taken->slots.position, taken->slots.slot_count,
                        taken->head, taken->body);
    }
  }
  void Write() {
    ASSERT_TRUE(writer_->AddBatch(batch_->batch()).ok());
    ASSERT_TRUE(writer_->Write().ok());
  }
  void Publish() {
    const int64_t open_time_ns = cursor_.segment_open_time_ns;
    cursor_ = writer_->cursor();
    cursor_.segment_open_time_ns = open_time_ns;
    persisted_ = batch_->end_position();
    ring_->PublishCursor(persisted_, EncodeSegmentCursor(cursor_));
  }
  void Release() {
    ring_->Release();
    batch_->Clear();
  }
  void EndSegment() {
    ASSERT_TRUE(writer_->AddEnd().ok());
    ASSERT_TRUE(writer_->Write().ok());
    writer_.reset();
  }

  Ring* ring() { return ring_.get(); }
  int logged() const { return logged_; }

 private:
  const std::string directory_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<SegmentWriter> writer_;
  std::optional<BatchBuilder> batch_;
  SegmentCursor cursor_;
  uint64_t persisted_ = 0;
  int logged_ = 0;
};

// A life with three batches in two segments. It may end after any of these.
inline const std::vector<std::function<void(Victim*)>>& Life() {
  static const auto* const life = new std::vector<std::function<void(Victim*)>>{
      [](Victim* v) { v->Log(10); },
      [](Victim* v) { v->NameSegment(); },
      [](Victim* v) { v->CreateSegment(); },
      [](Victim* v) { v->Take(4); },
      [](Victim* v) { v->Write(); },
      [](Victim* v) { v->Publish(); },
      [](Victim* v) { v->Release(); },
      [](Victim* v) { v->Log(5); },
      [](Victim* v) { v->Take(3); },
      [](Victim* v) { v->Write(); },
      [](Victim* v) { v->Publish(); },
      [](Victim* v) { v->Release(); },
      [](Victim* v) { v->Take(1); },
      [](Victim* v) { v->Write(); },
      [](Victim* v) { v->Publish(); },
      [](Victim* v) { v->Release(); },
      [](Victim* v) { v->EndSegment(); },
      [](Victim* v) { v->NameSegment(); },
      [](Victim* v) { v->CreateSegment(); },
      [](Victim* v) { v->Take(2); },
      [](Victim* v) { v->Write(); },
      [](Victim* v) { v->Publish(); },
      [](Victim* v) { v->Release(); },
      [](Victim* v) { v->Log(3); },
      [](Victim* v) { v->EndSegment(); },
      [](Victim* v) { v->NameSegment(); },
  };
  return *life;
}

inline std::vector<std::string> Texts(const std::string& directory) {
  std::vector<std::string> texts;
  for (const std::string& line : AllLines(directory)) {
    texts.push_back(line.substr(line.find("] ") + 2));
  }
  return texts;
}

inline std::vector<std::string> Messages(int count) {
  std::vector<std::string> messages;
  for (int i = 0; i < count; ++i) messages.push_back(Message(i));
  return messages;
}

inline absl::StatusOr<LeftoverReport> Recover(const std::string& directory) {
  const std::vector<std::string> rings = FilesIn(directory, ".ring");
  if (rings.size() != 1) return absl::NotFoundError("no ring");
  return RecoverLeftover(rings[0], directory, SegmentWriterOptions());
}

class LifeTest : public ::testing::TestWithParam<size_t> {
 protected:
  // Lives up to the step and dies; returns how many records were logged.
  int LiveAndDie(const std::string& directory) {
    Victim victim(directory);
    for (size_t i = 0; i <= GetParam(); ++i) Life()[i](&victim);
    return victim.logged();
  }
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_LEFTOVER_LIFE_H_
