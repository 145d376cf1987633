#include "ringlog/compress/leftover.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/batch_builder.h"
#include "ringlog/compress/rotation.h"
#include "ringlog/compress/segment_format.h"
#include "ringlog/compress/segment_writer.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/read_segments.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string Message(int n) {
  return absl::StrCat("record ", n, std::string(n * 37 % 1500, 'x'));
}

// A process with a ring and a flusher, whose every step can be its last. The
// flusher's steps are made here one by one, in the flusher's order.
class Victim {
 public:
  explicit Victim(const std::string& directory) : directory_(directory) {
    RingOptions options;
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
    std::copy(std::begin(ring_->header().ring_id),
              std::end(ring_->header().ring_id), identity.ring_id.begin());
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
const std::vector<std::function<void(Victim*)>>& Life() {
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
  };
  return *life;
}

std::vector<std::string> Texts(const std::string& directory) {
  std::vector<std::string> texts;
  for (const std::string& line : AllLines(directory)) {
    texts.push_back(line.substr(line.find("] ") + 2));
  }
  return texts;
}

std::vector<std::string> Messages(int count) {
  std::vector<std::string> messages;
  for (int i = 0; i < count; ++i) messages.push_back(Message(i));
  return messages;
}

absl::StatusOr<LeftoverReport> Recover(const std::string& directory) {
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

TEST_P(LifeTest, EveryRecordIsInTheSegmentsOnce) {
  const std::string directory = MakeTestDirectory();
  const int logged = LiveAndDie(directory);
  const absl::StatusOr<LeftoverReport> report = Recover(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->gaps, 0);
  EXPECT_EQ(Texts(directory), Messages(logged));
  EXPECT_THAT(FilesIn(directory, ".ring"), IsEmpty());
}

// A recovery that is killed has written some of what the next one writes. It
// may have got to any byte, and whatever it was, the result is the same.
TEST_P(LifeTest, ARecoveryThatWasKilledIsDoneAgainWithTheSameResult) {
  const std::string directory = MakeTestDirectory();
  LiveAndDie(directory);
  const std::string ring_path = FilesIn(directory, ".ring")[0];
  const std::string ring = ReadFile(ring_path);
  const absl::StatusOr<LeftoverReport> report = Recover(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  ASSERT_FALSE(report->segment_path.empty());
  const std::string result = ReadFile(report->segment_path);
  const std::vector<std::string> segments = FilesIn(directory, ".zst");

  const auto parsed = RecoverRing(ring, RecoverFrom::kCursor);
  ASSERT_TRUE(parsed.ok());
  uint64_t persisted_bytes = 0;
  if (parsed->cursor.sequence != 0) {
    const auto cursor = DecodeSegmentCursor(
        absl::string_view(reinterpret_cast<const char*>(parsed->cursor.state),
                          parsed->cursor.state_bytes));
    ASSERT_TRUE(cursor.ok());
    persisted_bytes = cursor->segment_bytes;
  }
  // All of the first, and then a sample, for each is a whole recovery.
  for (size_t length = persisted_bytes; length <= result.size();
       length += length < persisted_bytes + 40 ? 1 : 13) {
    WriteFile(ring_path, ring);
    WriteFile(report->segment_path, result.substr(0, length));
    const absl::StatusOr<LeftoverReport> again = Recover(directory);
    ASSERT_TRUE(again.ok()) << again.status() << " at " << length;
    ASSERT_EQ(ReadFile(again->segment_path), result) << " at " << length;
    ASSERT_EQ(FilesIn(directory, ".zst"), segments) << " at " << length;
  }
}

TEST_P(LifeTest, WithoutItsSegmentTheRingsOwnRecordsAreKept) {
  const std::string directory = MakeTestDirectory();
  const int logged = LiveAndDie(directory);
  for (const std::string& path : FilesIn(directory, ".zst")) {
    unlink(path.c_str());
  }
  const absl::StatusOr<LeftoverReport> report = Recover(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  const std::vector<std::string> all = Messages(logged);
  const std::vector<std::string> texts = Texts(directory);
  EXPECT_EQ(texts, std::vector<std::string>(
                       all.end() - static_cast<ptrdiff_t>(report->records),
                       all.end()));
}

INSTANTIATE_TEST_SUITE_P(EndsAfterEveryStep, LifeTest,
                         ::testing::Range(size_t{0}, Life().size()));

TEST(LeftoverTest, UnfinishedRecordsAreNamedInTheLog) {
  const std::string directory = MakeTestDirectory();
  uint64_t position;
  {
    Victim victim(directory);
    victim.Log(2);
    position = victim.ring()->Claim(Severity::kInfo, 40, 10)->position;
    victim.Log(1);
  }
  const absl::StatusOr<LeftoverReport> report = Recover(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->records, 3);
  EXPECT_EQ(report->gaps, 1);
  EXPECT_THAT(AllText(directory),
              HasSubstr(absl::StrCat("position ", position, " missing")));
}

TEST(LeftoverTest, ARingThatIsInUseIsNotTouched) {
  const std::string directory = MakeTestDirectory();
  Victim victim(directory);
  victim.Log(3);
  const std::string before = ReadFile(victim.ring()->path());
  EXPECT_TRUE(absl::IsFailedPrecondition(Recover(directory).status()));
  EXPECT_EQ(ReadFile(victim.ring()->path()), before);
  EXPECT_THAT(FilesIn(directory, ".zst"), IsEmpty());
}

// A process that closed the ring without emptying it, and still runs.
TEST(LeftoverTest, ARingWhoseProcessLivesIsNotTouched) {
  const std::string directory = MakeTestDirectory();
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  int go_on[2];
  ASSERT_EQ(pipe(go_on), 0);
  const pid_t child = fork();
  if (child == 0) {
    { Victim(directory).Log(3); }
    char c = 'x';
    if (write(ready[1], &c, 1) != 1 || read(go_on[0], &c, 1) != 1) _exit(1);
    _exit(0);
  }
  char c;
  ASSERT_EQ(read(ready[0], &c, 1), 1);
  EXPECT_TRUE(absl::IsFailedPrecondition(Recover(directory).status()));
  ASSERT_EQ(write(go_on[1], "x", 1), 1);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  const absl::StatusOr<LeftoverReport> report = Recover(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(Texts(directory), Messages(3));
}

TEST(LeftoverTest, ADamagedRingStaysAndDoesNotKeepOthersFromRecovery) {
  const std::string directory = MakeTestDirectory();
  { Victim(directory).Log(3); }
  const std::string first = FilesIn(directory, ".ring")[0];
  std::string bytes = ReadFile(first);
  for (const size_t header : {size_t{0}, size_t{kRingHeaderCopyOffset}}) {
    bytes[header + 100] = static_cast<char>(bytes[header + 100] ^ 1);
  }
  WriteFile(first, bytes);
  { Victim(directory).Log(2); }
  const LeftoverSweep sweep =
      RecoverLeftovers(directory, directory, SegmentWriterOptions());
  EXPECT_THAT(sweep.recovered, SizeIs(1));
  ASSERT_THAT(sweep.errors, SizeIs(1));
  EXPECT_THAT(sweep.errors[0].message(), HasSubstr(first));
  EXPECT_EQ(FilesIn(directory, ".ring"), std::vector<std::string>{first});
  EXPECT_EQ(Texts(directory), Messages(2));
}

TEST(LeftoverTest, ADamagedHeaderWithAWholeCopyCostsNothing) {
  const std::string directory = MakeTestDirectory();
  { Victim(directory).Log(3); }
  const std::string ring = FilesIn(directory, ".ring")[0];
  std::string bytes = ReadFile(ring);
  bytes[100] = static_cast<char>(bytes[100] ^ 1);
  WriteFile(ring, bytes);
  const absl::StatusOr<LeftoverReport> report = Recover(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(Texts(directory), Messages(3));
}

TEST(LeftoverTest, ARingThatNeverGotItsNameIsRemoved) {
  const std::string directory = MakeTestDirectory();
  const std::string path =
      directory + "/program.host.20261124-034019.12345.5f3a9c1b.ring.tmp";
  WriteFile(path, std::string(4096, '\0'));
  WriteFile(directory + "/other.tmp", "not ours");
  RecoverLeftovers(directory, directory, SegmentWriterOptions());
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(std::filesystem::exists(directory + "/other.tmp"));
}

TEST(LeftoverTest, DropsThatTheLogDoesNotTellOfAreTold) {
  const std::string directory = MakeTestDirectory();
  {
    Victim victim(directory);
    victim.Log(3);
    victim.ring()->CountDrop(DropCause::kRingFull, Severity::kWarning);
  }
  const absl::StatusOr<LeftoverReport> report = Recover(directory);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(AllText(directory), HasSubstr("1 WARNING record dropped"));
}

TEST(LeftoverTest, ADirectoryThatCannotBeReadIsAnError) {
  const LeftoverSweep sweep =
      RecoverLeftovers("/nonexistent", "/nonexistent", SegmentWriterOptions());
  ASSERT_THAT(sweep.errors, SizeIs(1));
  EXPECT_THAT(sweep.errors[0].message(), HasSubstr("/nonexistent"));
}

}  // namespace
}  // namespace ringlog
