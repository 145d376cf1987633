// Reads files of version 1.0 of the formats, and files that a later version may
// write, which the test makes from them by the rules of the format pages.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/repair_checksums.h"
#include "ringlog/testing/golden/golden_file.h"
#include "ringlog/testing/golden/golden_ring.h"
#include "ringlog/testing/golden/golden_segments.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"
#include "zstd.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr char kRing[] = "wrapped.ring";
constexpr char kText[] = "text.log.zst";
constexpr char kJson[] = "json.jsonl.zst";
constexpr char kKilledRing[] =
    "program.host.20261124-030359.12345.00010203.ring";
constexpr char kKilledSegment[] =
    "program.host.20261124-030359.12345.00010203.000001.log.zst";

std::string PathOf(absl::string_view name) {
  return absl::StrCat("testing/golden/1.0/", name);
}
// Returns the content of a golden file. Rings are stored compressed.
std::string Golden(absl::string_view name) {
  return absl::EndsWith(name, ".ring")
             ? Decompress(PathOf(absl::StrCat(name, ".zst")))
             : ReadFile(PathOf(name));
}
std::string Expected(absl::string_view name) {
  return ReadFile(PathOf(absl::StrCat(name, ".txt")));
}

// Returns the log lines of an expected content, without its "#" lines.
std::string LogLines(const std::string& expected) {
  std::string lines;
  for (const absl::string_view line :
       absl::StrSplit(expected, '\n', absl::SkipEmpty())) {
    if (line[0] != '#') absl::StrAppend(&lines, line, "\n");
  }
  return lines;
}

std::string Print(const std::string& bytes) {
  const absl::StatusOr<RecoveredRing> ring =
      RecoverRing(bytes, RecoverFrom::kCursor);
  if (!ring.ok()) return ring.status().ToString();
  std::string out;
  for (const RecoveredRecord& found : ring->records) {
    Record r;
    EXPECT_TRUE(DecodeRecord(found.head, found.body, &r));
    absl::StrAppend(&out, "{\"position\":", found.position,
                    ",\"slots\":", found.slot_count, ",\"time_ns\":", r.time_ns,
                    ",\"tid\":", r.thread_id);
    absl::StrAppend(&out, ",\"line\":", r.line,
                    ",\"severity\":", static_cast<int>(r.severity),
                    ",\"file\":\"", r.file, "\",\"text\":\"", r.text, "\"}\n");
  }
  for (const Gap& gap : ring->gaps) {
    absl::StrAppend(&out, "{\"gap\":\"", GapCauseName(gap.cause),
                    "\",\"first\":", gap.first_position,
                    ",\"end\":", gap.end_position, "}\n");
  }
  return absl::StrCat(out, "# cut ", ring->live.truncated, ", dropped ",
                      ring->live.dropped[0][0], ", cursor ",
                      ring->cursor.end_position, ", end ", ring->end_position,
                      "\n");
}

int64_t Micros(int64_t time_ns) { return (time_ns - kGoldenTimeNs) / 1000; }

std::string PrintSegment(const std::string& path, uint64_t limit = kWholeFile) {
  auto reader = SegmentReader::Open(path, limit);
  if (!reader.ok()) return reader.status().ToString();
  std::string out;
  absl::string_view lines;
  SegmentReader::Result result;
  while ((result = (*reader)->Next(&lines)) != SegmentReader::Result::kEnd) {
    if (result == SegmentReader::Result::kRecord) {
      absl::StrAppend(&out, lines);
      continue;
    }
    const FrameMetadata& m = (*reader)->metadata();
    EXPECT_EQ(m.identity.ring_id, GoldenRingId());
    EXPECT_EQ(m.gaps.size(), m.gap_count);
    absl::StrAppend(&out, "# frame of segment ", m.identity.number,
                    ", positions ", m.summary.first_position, "..",
                    m.summary.end_position, ", records ",
                    absl::StrJoin(m.summary.records, " "));
    absl::StrAppend(&out, ", gaps ", m.gap_count, ", microseconds ",
                    Micros(m.summary.min_time_ns), "..",
                    Micros(m.summary.max_time_ns), ", bytes ",
                    m.summary.text_bytes, "\n");
  }
  for (const SkippedRegion& region : (*reader)->skipped()) {
    absl::StrAppend(&out, "# ", ToString(region), "\n");
  }
  return out + ((*reader)->is_closed() ? "# closed\n" : "");
}
std::string PrintSegmentBytes(const std::string& bytes) {
  const std::string path = MakeTestDirectory() + "/segment";
  WriteFile(path, bytes);
  return PrintSegment(path);
}

template <typename Int>
Int IntAt(absl::string_view bytes, size_t offset) {
  Int value = 0;
  std::memcpy(&value, &bytes.at(offset), sizeof value);
  return value;
}
template <typename Int>
void Put(size_t offset, Int value, std::string* bytes) {
  std::memcpy(&bytes->at(offset), &value, sizeof value);
}

// Calls `change` with the payload of each metadata frame, without its checksum.
std::string WithMetadata(const std::string& segment,
                         const std::function<void(std::string*)>& change) {
  constexpr absl::string_view kBegin("\x57\x2a\x4d\x18", 4);
  std::string out;
  size_t at = 0;
  for (size_t next; (next = segment.find(kBegin, at)) != std::string::npos;) {
    const auto bytes = IntAt<uint32_t>(segment, next + 4);
    std::string payload = segment.substr(next + 8, bytes - 4);
    change(&payload);
    const auto changed = static_cast<uint32_t>(payload.size() + 4);
    out.append(segment, at, next - at).append(kBegin);
    out.append(reinterpret_cast<const char*>(&changed), sizeof changed);
    out.append(payload).append(4, '\0');
    at = next + 8 + bytes;
  }
  out.append(segment, at);
  RepairSegmentChecksums(&out);
  return out;
}

// Sets a field in both copies of the header.
template <typename Int>
std::string WithHeaderField(std::string ring, size_t offset, Int value) {
  Put(offset, value, &ring);
  Put(kRingHeaderCopyOffset + offset, value, &ring);
  RepairRingChecksums(&ring);
  return ring;
}

// Calls `f` with the offset of each cursor.
std::string WithCursors(std::string ring,
                        const std::function<void(size_t, std::string*)>& f) {
  f(kLiveOffset + offsetof(RingLive, cursor), &ring);
  f(kLiveOffset + offsetof(RingLive, cursor) + sizeof(PersistCursor), &ring);
  RepairRingChecksums(&ring);
  return ring;
}

std::string KilledDirectory(const std::string& ring) {
  std::string directory = MakeTestDirectory();
  WriteFile(absl::StrCat(directory, "/", kKilledRing), ring);
  WriteFile(absl::StrCat(directory, "/", kKilledSegment),
            Golden(kKilledSegment));
  return directory;
}

// Returns the log of the killed process before a recovery: the lines of the
// segment up to the cursor, then the records of the ring.
std::string ReadUnrecovered(const std::string& directory,
                            const std::string& bytes) {
  const auto ring = RecoverRing(bytes, RecoverFrom::kCursor);
  if (!ring.ok()) return ring.status().ToString();
  const auto cursor = DecodeSegmentCursor(ring->cursor);
  if (!cursor.ok()) return cursor.status().ToString();
  std::string lines = LogLines(PrintSegment(
      absl::StrCat(directory, "/", kKilledSegment), cursor->segment_bytes));
  auto gap = ring->gaps.begin();
  for (const RecoveredRecord& found : ring->records) {
    Record record;
    EXPECT_TRUE(DecodeRecord(found.head, found.body, &record));
    for (; gap != ring->gaps.end() && gap->first_position < found.position;
         ++gap) {
      AppendGap(LineFormat::kText, *gap, record.time_ns, &lines);
    }
    AppendRecord(LineFormat::kText, record, found.position, &lines);
  }
  return lines;
}

void ExpectRecovered(const std::string& ring) {
  const std::string directory = KilledDirectory(ring);
  EXPECT_EQ(ReadUnrecovered(directory, ring), Expected(kKilledRing));
  const RecoveredLeftovers recovery = RecoverLeftovers(directory, directory);
  EXPECT_THAT(recovery.errors, IsEmpty());
  EXPECT_THAT(recovery.recovered, SizeIs(1));
  EXPECT_THAT(FilesIn(directory, ""), SizeIs(1));
  EXPECT_EQ(AllText(directory), Expected(kKilledRing));
}

TEST(GoldenTest, RingHasLoggedRecords) {
  EXPECT_EQ(Print(Golden(kRing)), Expected(kRing));
}

TEST(GoldenTest, SegmentsHaveLoggedRecords) {
  EXPECT_EQ(PrintSegment(PathOf(kText)), Expected(kText));
  EXPECT_EQ(PrintSegment(PathOf(kJson)), Expected(kJson));
}

TEST(GoldenTest, ZstdAloneReadsTheLines) {
  for (const char* name : {kText, kJson}) {
    bool complete = false;
    EXPECT_EQ(Decompress(PathOf(name), &complete), LogLines(Expected(name)));
    EXPECT_TRUE(complete) << name;
  }
}

TEST(GoldenTest, KilledProcessIsReadAndRecovered) {
  ExpectRecovered(Golden(kKilledRing));
}

TEST(GoldenTest, IndependentReaderAgrees) {
  for (const char* program : {"python3", "zstd"}) {
    if (RunProgram(program, {"--version"}).exit_status != 0) {
      GTEST_SKIP() << program << " is not installed";
    }
  }
  const std::string reader = "testing/independent_reader.py";
  const std::string ring = MakeTestDirectory() + "/ring";
  WriteFile(ring, Golden(kRing));
  EXPECT_THAT(RunProgram("python3", {reader, "ring", ring}).out,
              StartsWith(LogLines(Expected(kRing)) + "{\"file\""));
  for (const char* name : {kText, kJson}) {
    const std::string lines = LogLines(Expected(name));
    const ToolRun run =
        RunProgram("python3", {reader, "segment", PathOf(name)});
    EXPECT_EQ(run.exit_status, 0) << run.err;
    EXPECT_THAT(run.out,
                StartsWith(absl::StrCat(
                    "{\"bytes\":", lines.size(), ",\"crc32c\":",
                    static_cast<uint32_t>(absl::ComputeCrc32c(lines)), "}\n")));
  }
}

TEST(GoldenTest, UnknownIncompatibleFlagIsRefused) {
  const auto header = ParseRingHeader(WithHeaderField(
      Golden(kRing), offsetof(RingHeader, incompatible_flags), uint32_t{4}));
  EXPECT_TRUE(absl::IsUnimplemented(header.status())) << header.status();
  EXPECT_THAT(header.status().message(), HasSubstr("features 00000004"));
}

TEST(GoldenTest, UnknownCompatibleFlagIsIgnored) {
  EXPECT_EQ(Print(WithHeaderField(Golden(kRing),
                                  offsetof(RingHeader, compatible_flags), ~0u)),
            Expected(kRing));
}

TEST(GoldenTest, NewerMajorVersionOfRingIsRefused) {
  const auto header = ParseRingHeader(WithHeaderField(
      Golden(kRing), offsetof(RingHeader, major_version), uint16_t{2}));
  EXPECT_TRUE(absl::IsUnimplemented(header.status())) << header.status();
  EXPECT_THAT(header.status().message(), HasSubstr("version 2.0"));
}

TEST(GoldenTest, NewerMajorVersionOfMetadataIsRefused) {
  const std::string printed =
      PrintSegmentBytes(WithMetadata(Golden(kText), [](std::string* payload) {
        Put(8, uint16_t{2}, payload);
      }));
  EXPECT_THAT(printed, HasSubstr("metadata frame: format version 2"));
  EXPECT_THAT(printed, ::testing::Not(HasSubstr("# frame")));
}

TEST(GoldenTest, NewerMajorVersionOfCursorIsRefused) {
  const std::string ring =
      WithCursors(Golden(kKilledRing), [](size_t at, std::string* bytes) {
        Put(at + offsetof(PersistCursor, state), uint16_t{2}, bytes);
      });
  const std::string directory = KilledDirectory(ring);
  const RecoveredLeftovers recovery = RecoverLeftovers(directory, directory);
  ASSERT_THAT(recovery.errors, SizeIs(1));
  EXPECT_TRUE(absl::IsUnimplemented(recovery.errors[0])) << recovery.errors[0];
  EXPECT_THAT(recovery.errors[0].message(),
              HasSubstr("segment cursor: format version 2"));
  EXPECT_EQ(ReadFile(absl::StrCat(directory, "/", kKilledRing)), ring);
  EXPECT_EQ(ReadFile(absl::StrCat(directory, "/", kKilledSegment)),
            Golden(kKilledSegment));
}

TEST(GoldenTest, LongerHeaderOfNewerMinorVersionIsRead) {
  constexpr uint32_t kLonger = 700;
  std::string ring = Golden(kRing);
  for (const size_t header : {size_t{0}, size_t{kRingHeaderCopyOffset}}) {
    Put(header + offsetof(RingHeader, minor_version), uint16_t{1}, &ring);
    Put(header + offsetof(RingHeader, header_bytes), kLonger, &ring);
    const size_t known = header + offsetof(RingHeader, crc32c);
    ring.replace(known, kLonger - known + header, kLonger - known + header,
                 '\xab');
  }
  RepairRingChecksums(&ring);
  EXPECT_EQ(Print(ring), Expected(kRing));
}

// Adds fields before the gaps, and makes each gap longer.
TEST(GoldenTest, LongerMetadataOfNewerMinorVersionIsRead) {
  constexpr size_t kFixedBytes = 144;
  constexpr size_t kGapBytes = 72;
  const std::string longer =
      WithMetadata(Golden(kText), [](std::string* payload) {
        std::string gaps;
        for (size_t at = kFixedBytes; at < payload->size(); at += kGapBytes) {
          gaps += payload->substr(at, kGapBytes) + std::string(8, '\xab');
        }
        *payload =
            payload->substr(0, kFixedBytes) + std::string(24, '\xab') + gaps;
        Put(10, uint16_t{1}, payload);
        Put(12, uint32_t{kFixedBytes + 24}, payload);
        Put(134, uint16_t{kGapBytes + 8}, payload);
      });
  EXPECT_EQ(PrintSegmentBytes(longer), Expected(kText));
}

TEST(GoldenTest, LongerCursorOfNewerMinorVersionIsRead) {
  ExpectRecovered(
      WithCursors(Golden(kKilledRing), [](size_t at, std::string* bytes) {
        const size_t state = at + offsetof(PersistCursor, state);
        const size_t size_at = at + offsetof(PersistCursor, state_bytes);
        const auto known = IntAt<uint32_t>(*bytes, size_t{size_at});
        Put(state + 2, uint16_t{1}, bytes);
        Put(size_at, known + 40, bytes);
        bytes->replace(state + known, 40, 40, '\xab');
      }));
}

// If this test fails, the format has changed. Either the change is a mistake,
// or it needs a new text in FORMAT.md, a new version, and new golden files.
TEST(GoldenTest, CodeWritesGoldenBytes) {
  const auto without_compressed_size = [](std::string* payload) {
    Put(40, uint64_t{0}, payload);  // the compressed size of the frame
  };
  const auto metadata = [&](const std::string& segment) {
    std::vector<std::string> all;
    WithMetadata(segment, [&](std::string* payload) {
      without_compressed_size(payload);
      all.push_back(*payload);
    });
    return all;
  };
  std::vector<GoldenFile> files = GoldenKilled();
  files.push_back(GoldenText());
  files.push_back(GoldenJson());
  for (const GoldenFile& file : files) {
    if (ZSTD_versionNumber() == 10507) {
      EXPECT_TRUE(file.bytes == Golden(file.name)) << file.name;
    }
    if (file.name == kKilledRing) continue;
    EXPECT_EQ(metadata(file.bytes), metadata(Golden(file.name))) << file.name;
    const std::string path = MakeTestDirectory() + "/segment";
    WriteFile(path, file.bytes);
    EXPECT_EQ(Decompress(path), Decompress(PathOf(file.name)));
  }
  const GoldenFile ring = GoldenRing();
  EXPECT_TRUE(ring.bytes == Golden(kRing));
  EXPECT_EQ(ring.expected, Expected(kRing));
}

}  // namespace
}  // namespace ringlog
