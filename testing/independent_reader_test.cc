// Compares the readers of this project with independent_reader.py, which was
// written from the two format pages alone.
//
// Invariants checked, for random rings and segments, half of them damaged:
//   - Both readers find the same records and gaps in a ring.
//   - Both readers find the same text in a segment, and the same metadata if
//     the segment is intact.
//
// Oracle: independent_reader.py. Prints its seed.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/batch_builder.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/test_seed.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::StartsWith;

constexpr int kFiles = 400;
constexpr int kFilesInLongMode = 20000;

class IndependentReaderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* program : {"python3", "zstd"}) {
      if (RunProgram(program, {"--version"}).exit_status != 0) {
        GTEST_SKIP() << program << " is not installed";
      }
    }
    directory_ = MakeTestDirectory();
  }

  static int Files() { return IsLongMode() ? kFilesInLongMode : kFiles; }
  uint64_t UpTo(uint64_t limit) { return random_() % (limit + 1); }

  // Returns the output of the reader for each file. One process reads all
  // files, because its start takes long.
  static std::vector<std::string> Read(const std::string& kind,
                                       const std::vector<std::string>& paths) {
    std::vector<std::string> arguments = {"testing/independent_reader.py",
                                          kind};
    arguments.insert(arguments.end(), paths.begin(), paths.end());
    const ToolRun run = RunProgram("python3", arguments);
    std::vector<std::string> printed;
    std::string one;
    for (const absl::string_view line :
         absl::StrSplit(run.out, '\n', absl::SkipEmpty())) {
      absl::StrAppend(&one, line, "\n");
      if (!absl::StartsWith(line, "{\"file\":\"/")) continue;
      printed.push_back(std::move(one));
      one.clear();
    }
    EXPECT_EQ(printed.size(), paths.size()) << run.err;
    printed.resize(paths.size());
    return printed;
  }

  // Makes a random record. Its head is in head_, its text in text_.
  Record NewRecord(size_t max_text) {
    ++logged_;
    text_.assign(UpTo(max_text), static_cast<char>('a' + logged_ % 26));
    Record record;
    record.time_ns = kTestTimeNs + logged_ * 1000;
    record.thread_id = static_cast<int64_t>(UpTo(100000));
    record.line = static_cast<int>(UpTo(5000));
    record.severity = static_cast<Severity>(UpTo(3));
    record.file = "file.cc";
    record.text = text_;
    const size_t size = EncodeRecordHead(record, absl::MakeSpan(buffer_));
    head_ = absl::string_view(buffer_, size);
    return record;
  }

  // Writes a piece of a crash report from one of three threads. A few pieces
  // exceed the space in the crash area.
  void Report(Ring* ring, const Record& record) {
    const auto tid = static_cast<int32_t>(UpTo(2));
    switch (UpTo(3)) {
      case 0:
        ring->crash_area().End(tid, record.time_ns);
        break;
      case 1:
        ring->crash_area().Append(
            tid, record.time_ns,
            UpTo(1) == 0 ? "*** SIGBUS received" : "*** Signal 64 received");
        break;
      default:
        ring->crash_area().Append(
            tid, record.time_ns,
            std::string(UpTo(50) == 0 ? 40000 : 1 + UpTo(100), 'r'));
    }
  }

  // Makes one random step in the life of a ring.
  void RandomStep(Ring* ring) {
    const Record record = NewRecord(UpTo(3) == 0 ? 600 : 60);
    switch (UpTo(10)) {
      case 0:
        ring->Claim(record.severity, head_.size(), text_.size());
        break;  // never committed
      case 1:
        if (const auto claim =
                ring->Claim(record.severity, head_.size(), text_.size())) {
          ring->Abandon(*claim);
        }
        break;
      case 2:
        if (const std::optional<uint64_t> pending = ring->pending()) {
          ring->Skip(*pending + 1);
        }
        break;
      case 3:
      case 4:
        for (uint64_t n = UpTo(6); n > 0 && ring->Take(); --n) {
        }
        break;
      case 5:
        ring->PublishCursor(ring->take_position(), "");
        if (UpTo(1) == 0) ring->Release();
        break;
      case 6:
        Report(ring, record);
        break;
      default:
        ring->Append(record.severity, head_, text_);
    }
  }

  std::string MakeRing() {
    RingOptions options;
    options.slot_count = 32;
    options.head_bytes = 64;
    options.body_bytes = 100;
    std::string path = absl::StrCat(directory_, "/", ++files_, ".ring");
    auto ring = Ring::Create(path, options);
    EXPECT_TRUE(ring.ok()) << ring.status();
    (*ring)->PublishCursor((*ring)->take_position(), "");
    for (uint64_t n = UpTo(120); n > 0; --n) RandomStep(ring->get());
    return path;
  }

  std::string MakeSegment() {
    std::string path = absl::StrCat(directory_, "/", ++files_, ".zst");
    SegmentIdentity identity;
    identity.ring_id[3] = 7;
    identity.number = UpTo(1000);
    SegmentWriterOptions options;
    options.frame_bytes = 2000;
    auto writer = SegmentWriter::Create(path, identity, options);
    EXPECT_TRUE(writer.ok()) << writer.status();
    BatchBuilder builder(LineFormat::kText, 1);
    uint64_t position = 1;
    for (uint64_t batches = 1 + UpTo(8); batches > 0; --batches) {
      for (uint64_t records = 1 + UpTo(20); records > 0; --records) {
        NewRecord(200);
        builder.AddRecord(position++, 1, head_, text_);
      }
      EXPECT_TRUE((*writer)->AddBatch(builder.batch()).ok());
      EXPECT_TRUE((*writer)->Write().ok());
      builder.Clear();
    }
    EXPECT_TRUE((*writer)->AddEnd().ok());
    EXPECT_TRUE((*writer)->Write().ok());
    return path;
  }

  // Damages a bit, a sector, the end, or a slot's word, anywhere after the
  // first header. Prefers the fields that change while the process lives, and
  // crash reports.
  void Damage(const std::string& path) {
    std::string bytes = ReadFile(path);
    size_t at =
        kRingHeaderCopyOffset + UpTo(bytes.size() - kRingHeaderCopyOffset - 1);
    if (UpTo(3) == 0) at = kLiveOffset + UpTo(sizeof(RingLive) - 1);
    if (UpTo(3) == 0) at = kCrashOffset + UpTo(2047);
    switch (UpTo(3)) {
      case 0:
        bytes.resize(at);
        break;
      case 1:
        for (size_t i = at / 512 * 512; i < (at / 512 + 1) * 512; ++i) {
          if (i < bytes.size()) bytes[i] = '\0';
        }
        break;
      case 2:
        SetRandomWord(&bytes);
        break;
      default:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << UpTo(7)));
    }
    WriteFile(path, bytes);
  }
  // Sets the word of a random slot to a random state and a position that uses
  // the slot, in one of seven laps.
  void SetRandomWord(std::string* bytes) {
    const RingHeader header = *ParseRingHeader(*bytes);
    const uint64_t index = UpTo(header.slot_count - 1);
    const uint64_t word = (index + UpTo(6) * header.slot_count) << 3 | UpTo(5);
    std::memcpy(&(*bytes)[header.slots_offset + index * header.slot_bytes],
                &word, sizeof word);
  }
  // Damages 64 bytes, because releases of zstd differ in whether they notice a
  // single flipped bit. Spares the magic at the beginning, because the reader
  // does not recognize a segment without it.
  void DamageSegment(const std::string& path) {
    std::string bytes = ReadFile(path);
    const size_t begin =
        sizeof(uint32_t) + UpTo(bytes.size() - sizeof(uint32_t) - 1);
    for (size_t i = begin; i < std::min(bytes.size(), begin + 64); ++i) {
      bytes[i] = static_cast<char>(bytes[i] ^ 0x55);
    }
    WriteFile(path, bytes);
  }

  std::mt19937_64 random_{TestSeed()};
  std::string directory_;
  int files_ = 0;
  int64_t logged_ = 0;
  char buffer_[64];
  absl::string_view head_;
  std::string text_;
};

// Returns the content of a ring in the format of independent_reader.py.
std::string Printed(const RecoveredRing& ring) {
  std::string out;
  for (const RecoveredRecord& found : ring.records) {
    Record record;
    if (!DecodeRecord(found.head, found.body, &record)) continue;
    absl::StrAppend(&out, "{\"position\":", found.position,
                    ",\"slots\":", found.slot_count,
                    ",\"time_ns\":", record.time_ns,
                    ",\"tid\":", record.thread_id, ",\"line\":", record.line,
                    ",\"severity\":", static_cast<int>(record.severity));
    absl::StrAppend(&out, ",\"file\":\"", record.file, "\",\"text\":\"",
                    record.text, "\"}\n");
  }
  for (const Gap& gap : ring.gaps) {
    absl::StrAppend(&out, "{\"gap\":\"", GapCauseName(gap.cause),
                    "\",\"first\":", gap.first_position,
                    ",\"end\":", gap.end_position, "}\n");
  }
  return out;
}

TEST_F(IndependentReaderTest, AgreesOnRings) {
  std::vector<std::string> paths;
  for (int i = 0; i < Files(); ++i) {
    paths.push_back(MakeRing());
    if (i % 2 == 1) Damage(paths.back());
  }
  const std::vector<std::string> read = Read("ring", paths);
  for (size_t i = 0; i < paths.size(); ++i) {
    const std::string bytes = ReadFile(paths[i]);
    const auto ring = RecoverRing(bytes, RecoverFrom::kCursor);
    ASSERT_TRUE(ring.ok()) << ring.status();
    ASSERT_THAT(read[i], StartsWith(absl::StrCat(Printed(*ring), "{\"file\"")))
        << paths[i];
  }
}

// The content of a segment in the format of independent_reader.py.
struct PrintedSegment {
  std::string text;      // length and checksum of the text
  std::string metadata;  // also whether there is a seek table
};

// Reads a segment to its end.
PrintedSegment Printed(SegmentReader* reader) {
  PrintedSegment printed;
  std::string text;
  size_t frames = 0;
  absl::string_view lines;
  SegmentReader::Result result;
  while ((result = reader->NextRecords(&lines)) !=
         SegmentReader::Result::kEnd) {
    if (result == SegmentReader::Result::kRecord) {
      absl::StrAppend(&text, lines);
      continue;
    }
    ++frames;
    const FrameMetadata& m = reader->metadata();
    absl::StrAppend(&printed.metadata, "{\"number\":", m.identity.number,
                    ",\"first\":", m.summary.first_position,
                    ",\"end\":", m.summary.end_position, ",\"records\":[");
    absl::StrAppend(&printed.metadata, absl::StrJoin(m.summary.records, ","),
                    "],\"gaps\":", m.gap_count,
                    ",\"compressed\":", m.compressed_bytes,
                    ",\"text\":", m.summary.text_bytes, "}\n");
  }
  printed.text = absl::StrCat(
      "{\"bytes\":", text.size(),
      ",\"crc32c\":", static_cast<uint32_t>(absl::ComputeCrc32c(text)), "}\n");
  absl::StrAppend(&printed.metadata,
                  "{\"seek_table\":true,\"entries\":", 2 * frames, "}\n");
  return printed;
}

TEST_F(IndependentReaderTest, AgreesOnSegments) {
  std::vector<std::string> paths;
  for (int i = 0; i < Files(); ++i) {
    paths.push_back(MakeSegment());
    if (i % 2 == 1) DamageSegment(paths.back());
  }
  const std::vector<std::string> read = Read("segment", paths);
  for (size_t i = 0; i < paths.size(); ++i) {
    auto reader = SegmentReader::Open(paths[i]);
    ASSERT_TRUE(reader.ok()) << reader.status();
    const PrintedSegment expected = Printed(reader->get());
    ASSERT_THAT(read[i], StartsWith(expected.text)) << paths[i];
    if (i % 2 == 1) continue;
    ASSERT_EQ(read[i],
              absl::StrCat(expected.text, expected.metadata, "{\"file\":\"",
                           paths[i], "\",\"status\":0}\n"));
  }
}

}  // namespace
}  // namespace ringlog
