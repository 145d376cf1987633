#include "ringlog/compress/segment/data_ranges.h"

#include <errno.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <optional>

namespace ringlog {
namespace {

// After the end of each file.
constexpr uint64_t kNowhere = std::numeric_limits<off_t>::max();

// Returns the offset of the first data of `fd` at or after `offset`, with the
// whence SEEK_DATA, or of the first hole, with SEEK_HOLE. Returns kNowhere if
// there is none, and nullopt if the file system does not report holes.
std::optional<uint64_t> Seek(int fd, uint64_t offset, int whence) {
  const off_t found = lseek(fd, static_cast<off_t>(offset), whence);
  if (found >= 0) return static_cast<uint64_t>(found);
  if (errno == ENXIO) return kNowhere;
  return std::nullopt;
}

// Returns the data at or after `offset`, empty at kNowhere if there is none, or
// nullopt if the file system does not report it.
std::optional<FileRange> SeekRange(int fd, uint64_t offset) {
  const std::optional<uint64_t> begin = Seek(fd, offset, SEEK_DATA);
  if (!begin.has_value() || *begin < offset) return std::nullopt;
  if (*begin == kNowhere) return FileRange{kNowhere, kNowhere};
  const std::optional<uint64_t> end = Seek(fd, *begin, SEEK_HOLE);
  if (!end.has_value() || *end <= *begin) return std::nullopt;
  return FileRange{*begin, *end};
}

// Returns true if the bytes at `offset` are zeros, as those of a hole are.
bool IsZero(int fd, uint64_t offset, uint64_t limit) {
  char bytes[512];
  const auto size =
      static_cast<size_t>(std::min<uint64_t>(sizeof bytes, limit - offset));
  const ssize_t got = pread(fd, bytes, size, static_cast<off_t>(offset));
  return got >= 0 &&
         std::all_of(bytes, bytes + got, [](char c) { return c == 0; });
}

}  // namespace

FileRange DataRanges::Next(Fd fd, uint64_t offset, uint64_t limit) {
  if (is_unreliable_ || offset >= limit) return {offset, limit};
  if (offset < known_from_ || offset >= known_.end) {
    const int file = fd();
    const std::optional<FileRange> found = SeekRange(file, offset);
    const bool has_hole = found.has_value() && found->begin > offset;
    if (!found.has_value() || (has_hole && !IsZero(file, offset, limit))) {
      is_unreliable_ = true;
      return {offset, limit};
    }
    known_from_ = offset;
    known_ = *found;
  }
  const uint64_t begin = std::min(std::max(offset, known_.begin), limit);
  return {begin, std::max(begin, std::min(known_.end, limit))};
}

uint64_t DataRanges::LastEnd(Fd fd, uint64_t limit) {
  if (limit == 0 || Next(fd, limit - 1, limit).begin < limit) return limit;
  const FileRange first = Next(fd, 0, limit);
  if (is_unreliable_) return limit;
  if (first.begin == limit) return 0;
  // Data is at `last`, and no data at or after `end`.
  uint64_t last = first.begin;
  uint64_t end = limit - 1;
  while (end - last > 1) {
    const uint64_t middle = last + (end - last) / 2;
    const std::optional<uint64_t> data = Seek(fd(), middle, SEEK_DATA);
    if (!data.has_value()) return limit;
    if (*data < limit) {
      last = std::max(middle, *data);
    } else {
      end = middle;
    }
  }
  return Next(fd, end, limit).begin < limit ? limit : end;
}

}  // namespace ringlog
