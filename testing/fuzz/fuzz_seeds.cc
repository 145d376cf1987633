#include "ringlog/testing/fuzz/fuzz_seeds.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>

#include "absl/log/check.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/crash_area.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/repair_checksums.h"
#include "ringlog/testing/fixtures/sample_segment.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/fuzz/fuzz_directory.h"
#include "ringlog/testing/fuzz/fuzz_recover.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

// A header cell and seven cells.
constexpr size_t kCompactCrashBytes = 512;

// Returns `file` with a small crash area and the id of another boot. Therefore
// its owner counts as dead.
std::string DeadAndCompact(const std::string& file) {
  RingHeader header;
  std::memcpy(&header, file.data(), sizeof header);
  const std::string crash_area =
      file.substr(header.crash_offset, kCompactCrashBytes);
  const uint64_t slots = header.slots_offset;
  std::fill(std::begin(header.boot_id), std::end(header.boot_id), uint8_t{1});
  header.process_id = 12345;
  header.crash_offset = header.live_offset + sizeof(RingLive);
  header.crash_bytes = kCompactCrashBytes;
  header.slots_offset = header.crash_offset + kCompactCrashBytes;
  header.file_bytes =
      header.slots_offset + header.slot_count * header.slot_bytes;
  std::string out =
      file.substr(0, header.crash_offset) + crash_area + file.substr(slots);
  std::memcpy(&out[0], &header, sizeof header);
  std::memcpy(&out[kRingHeaderCopyOffset], &header, sizeof header);
  RepairRingChecksums(&out);
  return out;
}

void Append(Ring* ring, size_t text_bytes) {
  const std::string text(text_bytes, 't');
  Record record;
  record.time_ns = kTestTimeNs;
  record.thread_id = 7;
  record.line = 42;
  record.severity = static_cast<Severity>(text_bytes % 4);
  record.file = "f.cc";
  record.text = text;
  LogRecord(record, ring);
}

void Report(Ring* ring) {
  const CrashArea& area = ring->crash_area();
  area.Append(7, kTestTimeNs, "*** SIGSEGV received at time=1 ***\n");
  area.Append(8, kTestTimeNs, std::string(50, 'r'));
  area.End(7, kTestTimeNs);
}

// Returns steps in the life of a ring. Each seed makes one step more than the
// previous seed.
std::vector<std::function<void(Ring*)>> RingSteps() {
  return {
      [](Ring*) {},
      [](Ring* ring) { Append(ring, 5); },
      [](Ring* ring) { Append(ring, 200); },
      [](Ring* ring) { ring->Take(); },
      [](Ring* ring) { ring->PublishCursor(ring->take_position(), "state"); },
      [](Ring* ring) { ring->Release(); },
      [](Ring* ring) { ring->Claim(Severity::kInfo, 40, 10); },
      [](Ring* ring) { Append(ring, 20); },
      [](Ring* ring) {
        if (const auto claim = ring->Claim(Severity::kInfo, 40, 10)) {
          ring->Abandon(*claim);
        }
      },
      [](Ring* ring) { ring->Take(); },
      [](Ring* ring) { ring->PublishCursor(ring->take_position(), "other"); },
      [](Ring* ring) { ring->Release(); },
      [](Ring* ring) {
        if (const std::optional<uint64_t> pending = ring->pending()) {
          ring->Skip(*pending + 1);
        }
      },
      [](Ring* ring) {
        for (int i = 0; i < 8; ++i) Append(ring, 30);
      },
      Report,
      [](Ring* ring) { ring->Take(); },
  };
}

void FlipByteAt(size_t at, std::string* bytes) {
  (*bytes)[at % bytes->size()] =
      static_cast<char>((*bytes)[at % bytes->size()] ^ 0x10);
}

// Returns the segment that the ring's cursor names; empty if there is none.
std::string NamedSegment(const std::string& directory,
                         const std::string& ring_bytes) {
  const absl::StatusOr<RecoveredRing> ring =
      RecoverRing(ring_bytes, RecoverFrom::kCursor);
  CHECK_OK(ring);
  const absl::StatusOr<SegmentCursor> cursor =
      DecodeSegmentCursor(ring->cursor);
  if (!cursor.ok()) return "";
  const std::string name =
      SegmentFileName(ring->header, cursor->segment_number,
                      cursor->segment_open_time_ns, cursor->format);
  for (const std::string& path : FilesIn(directory, name)) {
    return ReadFile(path);
  }
  return "";
}

}  // namespace

std::vector<std::string> RingSeeds() {
  RingOptions options;
  options.slot_count = 8;
  options.head_bytes = 48;
  options.body_bytes = 48;
  options.first_position = (uint64_t{1} << 32) - 3;
  options.program = "p";
  options.host = "h";
  const std::string path = MakeTestDirectory() + "/a.ring";
  auto ring = Ring::Create(path, options);
  CHECK_OK(ring);
  std::vector<std::string> seeds;
  for (const auto& step : RingSteps()) {
    step(ring->get());
    seeds.push_back(DeadAndCompact(ReadFile(path)));
  }
  std::string damaged = seeds.back();
  FlipByteAt(100, &damaged);  // in the header
  FlipByteAt(damaged.size() - 100, &damaged);
  seeds.push_back(damaged.substr(0, damaged.size() - 40));
  // Without headers, recovery finds the slots only where version 1.0 has them.
  std::string headless = ReadFile(path);
  FlipByteAt(100, &headless);
  FlipByteAt(kRingHeaderCopyOffset + 100, &headless);
  seeds.push_back(headless);
  return seeds;
}

std::vector<std::string> SegmentSeeds() {
  std::vector<std::string> seeds = {
      MakeSampleSegment(LineFormat::kText, 1, 1).bytes,
      MakeSampleSegment(LineFormat::kText, 3, 2).bytes,
      MakeSampleSegment(LineFormat::kJson, 2, 3).bytes,
  };
  for (size_t i = 1; i < 10; ++i) {
    const std::string intact = seeds[i % 3];
    seeds.push_back(intact.substr(0, intact.size() * i / 10));
    seeds.push_back(intact);
    FlipByteAt(intact.size() * i / 10, &seeds.back());
  }
  return seeds;
}

std::vector<std::string> RecoverSeeds() {
  std::vector<std::string> seeds;
  for (size_t end = 1; end <= TwoSegmentScript().size(); ++end) {
    const std::string directory = MakeTestDirectory();
    {
      ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
      process.Run(TwoSegmentScript(), end);
      if (end % 2 == 0) Report(process.ring());
    }
    const std::string ring = ReadFile(FilesIn(directory, ".ring").at(0));
    std::string segment = NamedSegment(directory, ring);
    std::string dead = DeadAndCompact(ring);
    seeds.push_back(JoinRecoverInput(dead, segment));
    if (!segment.empty()) FlipByteAt(segment.size() / 2, &segment);
    // Flips a byte of a cursor or of a field next to it.
    FlipByteAt(4096 + 512 + end * 40, &dead);
    seeds.push_back(JoinRecoverInput(dead, segment));
  }
  return seeds;
}

std::vector<std::string> DirectorySeeds() {
  const std::vector<std::string> inputs = RecoverSeeds();
  std::vector<std::string> seeds;
  for (size_t i = 0; i < inputs.size(); ++i) {
    DirectoryInput input;
    input.recover_input = inputs[i];
    input.step = static_cast<uint8_t>(i);
    // All inputs together have each content under each name, and each kind.
    for (size_t j = 0; j < 4; ++j) {
      HostileFile file;
      file.content = static_cast<uint8_t>(i + j);
      file.name = static_cast<uint8_t>(i / 3 + 2 * j);
      file.kind = static_cast<uint8_t>(j == 3 ? i : 0);
      file.mode = static_cast<uint8_t>(i % 5 == 0 ? 0 : 3);
      file.owner = static_cast<uint8_t>(i % 3);
      file.hole_bits = static_cast<uint8_t>(j == 2 ? i : 0);
      input.files.push_back(file);
    }
    seeds.push_back(JoinDirectoryInput(input));
  }
  return seeds;
}

std::vector<std::string> LinesSeeds() {
  std::vector<std::string> seeds;
  for (const LineFormat format : {LineFormat::kText, LineFormat::kJson}) {
    const std::string first(1, static_cast<char>(format));
    const SampleSegment sample = MakeSampleSegment(format, 3, 4);
    for (const SampleSegment::Frame& frame : sample.frames) {
      seeds.push_back(first + frame.text);
    }
    for (const std::string& record : sample.records) {
      seeds.push_back(first + record);
    }
  }
  return seeds;
}

}  // namespace ringlog
