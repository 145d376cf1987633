// Invariants checked:
//   - Reading ends, and returns no empty record.
//   - Skipped regions are in order, inside the file, disjoint, and at most as
//     many as documented. A truncation is the last region.
//   - Next() and NextRecords() return the same text, metadata and regions.
//   - A limit has the same effect as a file that ends there.
//   - A metadata frame lists at most the gaps that it counts, and at most the
//     documented number.

#include "ringlog/testing/fuzz/fuzz_segment.h"

#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/crc/crc32c.h"
#include "absl/log/check.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"

namespace ringlog {
namespace {

constexpr size_t kMaxText = 8 << 20;

// A file without a name.
class MemoryFile {
 public:
  explicit MemoryFile(absl::string_view bytes)
      : fd_(memfd_create("fuzz", MFD_CLOEXEC)) {
    PCHECK(fd_ >= 0);
    PCHECK(write(fd_, bytes.data(), bytes.size()) ==
           static_cast<ssize_t>(bytes.size()));
  }
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return absl::StrCat("/proc/self/fd/", fd_); }

 private:
  const int fd_;
};

void CheckRegions(const SegmentReader& reader, uint64_t file_bytes) {
  CHECK_LE(reader.skipped().size(), kMaxSkippedRegions + 1);
  uint64_t end = 0;
  for (const SkippedRegion& region : reader.skipped()) {
    CHECK_LE(end, region.begin) << ToString(region);
    CHECK_LE(region.begin, region.end) << ToString(region);
    CHECK(region.is_truncated || region.begin < region.end) << ToString(region);
    CHECK_LE(region.first_position, region.end_position) << ToString(region);
    CHECK_LE(region.unverified_begin, region.unverified_end)
        << ToString(region);
    CHECK_LE(region.unverified_end, file_bytes) << ToString(region);
    end = region.end;
    if (region.is_truncated) CHECK_EQ(&region, &reader.skipped().back());
  }
  CHECK_LE(end, file_bytes);
}

// The result of reading: length and checksum of the text, and all other results
// in full. `is_complete` is false if kMaxText ended the reading.
struct Reading {
  std::string summary;
  bool is_complete = true;
};

class Reader {
 public:
  Reader(SegmentReader* reader, bool one_by_one)
      : reader_(reader), one_by_one_(one_by_one) {}

  Reading Read() {
    Reading reading;
    absl::string_view lines;
    SegmentReader::Result result;
    while ((result = Next(&lines)) != SegmentReader::Result::kEnd) {
      if (result == SegmentReader::Result::kRecord) {
        TakeText(lines);
      } else {
        TakeMetadata(&reading.summary);
      }
      if (text_bytes_ > kMaxText) {
        reading.is_complete = false;
        return reading;
      }
    }
    AppendText(&reading.summary);
    for (const SkippedRegion& region : reader_->skipped()) {
      absl::StrAppend(&reading.summary, ToString(region), " ",
                      region.first_position, "..", region.end_position, " ",
                      region.unverified_begin, "..", region.unverified_end,
                      region.is_truncated ? " truncated\n" : "\n");
    }
    absl::StrAppend(&reading.summary, reader_->is_closed());
    return reading;
  }

 private:
  SegmentReader::Result Next(absl::string_view* lines) {
    return one_by_one_ ? reader_->Next(lines) : reader_->NextRecords(lines);
  }

  void TakeText(absl::string_view lines) {
    CHECK(!lines.empty());
    text_bytes_ += lines.size();
    crc_ = absl::ExtendCrc32c(crc_, lines);
  }

  void AppendText(std::string* out) const {
    absl::StrAppend(out, text_bytes_, " ", static_cast<uint32_t>(crc_), "\n");
  }

  void TakeMetadata(std::string* out) const {
    AppendText(out);
    const FrameMetadata& m = reader_->metadata();
    CHECK_LE(m.gaps.size(), kMaxFrameGaps);
    CHECK_LE(m.gaps.size(), m.gap_count);
    absl::StrAppend(out, m.identity.number, " ", m.summary.first_position, "..",
                    m.summary.end_position, " ", m.compressed_bytes, "\n");
  }

  SegmentReader* const reader_;
  const bool one_by_one_;
  size_t text_bytes_ = 0;
  absl::crc32c_t crc_{0};
};

Reading Read(absl::string_view bytes, uint64_t limit, bool one_by_one) {
  const MemoryFile file(bytes);
  const absl::StatusOr<std::unique_ptr<SegmentReader>> reader =
      SegmentReader::Open(file.path(), limit);
  if (!reader.ok()) return {reader.status().ToString()};
  Reading reading = Reader(reader->get(), one_by_one).Read();
  CheckRegions(**reader, bytes.size());
  return reading;
}

}  // namespace

int FuzzSegment(const uint8_t* data, size_t size) {
  const absl::string_view file(reinterpret_cast<const char*>(data), size);
  const Reading one_by_one = Read(file, kWholeFile, true);
  const Reading together = Read(file, kWholeFile, false);
  if (one_by_one.is_complete && together.is_complete) {
    CHECK_EQ(one_by_one.summary, together.summary);
  }
  // Reads a quarter of the inputs also with a limit. Equal inputs get the same
  // limit.
  const auto hash = static_cast<uint32_t>(absl::ComputeCrc32c(file));
  if (file.empty() || hash % 4 != 0) return 0;
  const size_t limit = 1 + hash / 4 % file.size();
  const Reading limited = Read(file, limit, false);
  const Reading truncated = Read(file.substr(0, limit), kWholeFile, false);
  if (limited.is_complete && truncated.is_complete) {
    CHECK_EQ(limited.summary, truncated.summary);
  }
  return 0;
}

}  // namespace ringlog
