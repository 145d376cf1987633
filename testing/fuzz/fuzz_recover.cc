// Invariants checked:
//   - Recovery ends, and each ring that it reports as recovered is deleted.
//   - A second recovery changes nothing.
//   - A recovery of the same ring again, as if its deletion had failed, changes
//     nothing: no record is doubled or lost.
//   - libzstd accepts each segment that was not in the input.
//   - No file is left except rings and segments.

#include "ringlog/testing/fuzz/fuzz_recover.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>

#include "absl/log/check.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fuzz/fuzz_place.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

constexpr char kSomeRing[] = "p.h.20261124-034019.12345.00010203.ring";
constexpr char kSomeSegment[] =
    "p.h.20261124-034019.12345.00010203.000001.log.zst";

// Empties the directory and returns its path.
const std::string& EmptyDirectory() {
  static const auto* const place = new FuzzPlace("ringlog-fuzz-recover");
  for (const auto& entry : std::filesystem::directory_iterator(place->path())) {
    std::filesystem::remove(entry.path());
  }
  return place->path();
}

using Files = std::map<std::string, std::string>;
Files ReadDirectory(const std::string& path) {
  Files files;
  for (const std::string& file : FilesIn(path, "")) {
    files[file] = ReadFile(file);
  }
  return files;
}

// Describes the differences between two listings.
std::string Changes(const Files& before, const Files& after) {
  std::string changes;
  for (const auto& [path, content] : before) {
    const auto found = after.find(path);
    if (found == after.end()) {
      absl::StrAppend(&changes, path, " is deleted\n");
    } else if (found->second != content) {
      absl::StrAppend(&changes, path, " had ", content.size(),
                      " bytes, now different ", found->second.size(), "\n");
    }
  }
  for (const auto& [path, content] : after) {
    if (before.count(path) == 0) absl::StrAppend(&changes, path, " is new\n");
  }
  return changes;
}

void CheckFiles(const Files& files, const std::string& given_segment) {
  for (const auto& [path, content] : files) {
    CHECK(absl::EndsWith(path, ".ring") || absl::EndsWith(path, ".zst"))
        << path;
    if (!absl::EndsWith(path, ".zst") || path == given_segment) continue;
    bool complete = false;
    Decompress(path, &complete);
    CHECK(complete) << path;
  }
}

}  // namespace

RecoverInput SplitRecoverInput(absl::string_view input) {
  uint32_t segment_bytes = 0;
  if (input.size() < sizeof segment_bytes) return {input, {}};
  const size_t both = input.size() - sizeof segment_bytes;
  std::memcpy(&segment_bytes, input.data() + both, sizeof segment_bytes);
  const size_t ring = both - segment_bytes % (both + 1);
  return {input.substr(0, ring), input.substr(ring, both - ring)};
}

std::string JoinRecoverInput(absl::string_view ring,
                             absl::string_view segment) {
  std::string input = absl::StrCat(ring, segment);
  const auto segment_bytes = static_cast<uint32_t>(segment.size());
  input.append(reinterpret_cast<const char*>(&segment_bytes),
               sizeof segment_bytes);
  return input;
}

RecoverNames RecoverNamesFor(absl::string_view ring_bytes) {
  const absl::StatusOr<RecoveredRing> ring =
      RecoverRing(ring_bytes, RecoverFrom::kCursor);
  if (!ring.ok()) return {kSomeRing, kSomeSegment};
  absl::StatusOr<SegmentCursor> cursor = DecodeSegmentCursor(ring->cursor);
  if (!cursor.ok()) {
    return {RingFileName(ring->header),
            SegmentFileName(ring->header, 1, ring->header.created_unix_ns,
                            LineFormat::kText)};
  }
  cursor->segment_number = std::max<uint64_t>(cursor->segment_number, 1);
  return {RingFileName(ring->header), SegmentFileName(ring->header, *cursor)};
}

int FuzzRecover(const uint8_t* data, size_t size) {
  const RecoverInput input = SplitRecoverInput(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  const std::string& path = EmptyDirectory();
  const RecoverNames names = RecoverNamesFor(input.ring);
  const std::string ring = absl::StrCat(path, "/", names.ring);
  const std::string segment = absl::StrCat(path, "/", names.segment);
  if (!input.segment.empty()) WriteFile(segment, std::string(input.segment));
  const auto recover = [&] {
    const RecoveredLeftovers recovery = RecoverLeftovers(path, path);
    for (const LeftoverReport& report : recovery.recovered) {
      CHECK_EQ(report.ring_path, ring);
      CHECK_NE(access(ring.c_str(), F_OK), 0);
      CHECK(!report.segment_path.empty() ||
            (report.records == 0 && report.gaps.empty()));
    }
    return ReadDirectory(path);
  };
  WriteFile(ring, std::string(input.ring));
  const Files first = recover();
  CheckFiles(first, input.segment.empty() ? "" : segment);
  CHECK_EQ(Changes(first, recover()), "") << "by a second recovery";
  WriteFile(ring, std::string(input.ring));
  CHECK_EQ(Changes(first, recover()), "")
      << "by a recovery of the same ring again";
  return 0;
}

}  // namespace ringlog
