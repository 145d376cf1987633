// Files that this project writes, and damaged ones, as independent_reader.py
// reads them, which was written from the two format pages alone: it finds what
// the project's own readers find.

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
#include "ringlog/testing/harness/long_mode.h"
#include "ringlog/testing/harness/read_segments.h"
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
  uint64_t UpTo(uint64_t most) { return random_() % (most + 1); }

  // What it prints of each file. One process reads them all, for it takes long
  // to start.
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

  // Its head is in head_, its text in text_.
  Record NewRecord(size_t most_text) {
    ++logged_;
    text_.assign(UpTo(most_text), static_cast<char>('a' + logged_ % 26));
    Record record;
    record.time_ns = 1795489439000000000 + logged_ * 1000;
    record.thread_id = static_cast<int64_t>(UpTo(100000));
    record.line = static_cast<int>(UpTo(5000));
    record.severity = static_cast<Severity>(UpTo(3));
    record.file = "file.cc";
    record.text = text_;
    const size_t size = EncodeRecordHead(record, absl::MakeSpan(buffer_));
    head_ = absl::string_view(buffer_, size);
    return record;
  }

  // What a signal handler of one of three threads has to say; rarely so much
  // that there is no room for it.
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

  // Whatever can happen to a ring, in any order.
  void DoSomething(Ring* ring) {
    const Record record = NewRecord(UpTo(3) == 0 ? 600 : 60);
    switch (UpTo(10)) {
      case 0:
        ring->Claim(record.severity, head_.size(), text_.size());
        break;  // and never committed
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
    for (uint64_t n = UpTo(120); n > 0; --n) DoSomething(ring->get());
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

  // A bit, a sector, the end, or a word; of all but the first header. Often of
  // what changes while the process lives, or of a crash report.
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
        SetAnyWord(&bytes);
        break;
      default:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << UpTo(7)));
    }
    WriteFile(path, bytes);
  }
  // One that its slot can have, turns before or ahead.
  void SetAnyWord(std::string* bytes) {
    const RingHeader header = *ParseRingHeader(*bytes);
    const uint64_t index = UpTo(header.slot_count - 1);
    const uint64_t word = (index + UpTo(6) * header.slot_count) << 3 | UpTo(5);
    std::memcpy(&(*bytes)[header.slots_offset + index * header.slot_bytes],
                &word, sizeof word);
  }
  // Many bytes, for a flipped bit may be one that one release of zstd looks at
  // and another does not. Without its first magic it is no zstd file to the
  // reader.
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

// As independent_reader.py prints it.
std::string Printed(const RecoveredRing& ring) {
  std::string out;
  for (const RecoveredRecord& found : ring.records) {
    Record record;
    if (!DecodeRecord(found.head, found.body, &record)) continue;
    absl::StrAppend(&out, "{\"position\":", found.position,
                    ",\"slots\":", found.slot_count,
                    ",\"time_ns\":", record.time_ns, ",\"tid\":", record.thread_id,
                    ",\"line\":", record.line,
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

TEST_F(IndependentReaderTest, FindsTheSameInRings) {
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

// What the reader finds, as independent_reader.py prints it.
struct PrintedSegment {
  std::string text;      // of it, the length and the checksum
  std::string metadata;  // and that there is a seek table
};

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

TEST_F(IndependentReaderTest, FindsTheSameInSegments) {
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
