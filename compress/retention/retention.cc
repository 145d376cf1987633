#include "ringlog/compress/retention/retention.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <tuple>

namespace ringlog {
namespace {

// A file that was begun later than this after now counts as the oldest.
constexpr absl::Duration kFutureSlack = absl::Hours(24);

// Finds the files that may be deleted.
class Candidates {
 public:
  Candidates(absl::Span<const LogFile> files, absl::Time now)
      : files_(files),
        now_(now),
        begun_(files.size()),
        modified_(files.size()) {
    FindTimes();
    FindLastSegments();
  }

  // Returns the segments that may be deleted, oldest first.
  std::vector<size_t> Segments() const {
    std::vector<size_t> found;
    for (size_t i = 0; i < files_.size(); ++i) {
      const LogFile& file = files_[i];
      if (file.kind != FileKind::kSegment || file.stays) continue;
      const auto last = last_segments_.find(file.ring_id);
      if (last != last_segments_.end() && last->second == file.segment_number) {
        continue;
      }
      found.push_back(i);
    }
    Sort(&found);
    return found;
  }

  // Returns the leftover rings that may be deleted, oldest first.
  std::vector<size_t> Leftovers() const {
    std::vector<size_t> found;
    for (size_t i = 0; i < files_.size(); ++i) {
      if (files_[i].kind == FileKind::kRing && !files_[i].stays) {
        found.push_back(i);
      }
    }
    Sort(&found);
    found.resize(found.size() - std::min(found.size(), kSparedLeftovers));
    return found;
  }

 private:
  // Sets the times of each file. The times of a segment are at least those of
  // the segments of its ring with lower numbers.
  void FindTimes() {
    std::vector<size_t> by_number(files_.size());
    for (size_t i = 0; i < by_number.size(); ++i) by_number[i] = i;
    std::sort(by_number.begin(), by_number.end(), [this](size_t a, size_t b) {
      return std::tie(files_[a].ring_id, files_[a].segment_number) <
             std::tie(files_[b].ring_id, files_[b].segment_number);
    });
    std::optional<size_t> before;
    for (const size_t i : by_number) {
      const LogFile& file = files_[i];
      begun_[i] = file.begun;
      modified_[i] = file.modified;
      if (file.kind != FileKind::kSegment) continue;
      if (before && files_[*before].ring_id == file.ring_id) {
        begun_[i] = std::max(begun_[i], begun_[*before]);
        modified_[i] = std::max(modified_[i], modified_[*before]);
      }
      before = i;
    }
  }

  void FindLastSegments() {
    for (const LogFile& file : files_) {
      if (file.kind == FileKind::kRing) last_segments_[file.ring_id];
    }
    for (const LogFile& file : files_) {
      const auto last = last_segments_.find(file.ring_id);
      if (file.kind == FileKind::kSegment && last != last_segments_.end()) {
        last->second = std::max(last->second, file.segment_number);
      }
    }
  }

  // Sorts by the time in the name, which has seconds, and then by the time of
  // the last write.
  void Sort(std::vector<size_t>* found) const {
    const auto key = [this](size_t i) {
      return std::make_tuple(begun_[i] <= now_ + kFutureSlack, begun_[i],
                             modified_[i], files_[i].ring_id,
                             files_[i].segment_number);
    };
    std::sort(found->begin(), found->end(),
              [&key](size_t a, size_t b) { return key(a) < key(b); });
  }

  const absl::Span<const LogFile> files_;
  const absl::Time now_;
  std::vector<absl::Time> begun_;
  std::vector<absl::Time> modified_;
  std::map<RingId, uint64_t> last_segments_;  // of rings among files_
};

// Usage after the deletions that were decided so far.
class Usage {
 public:
  Usage(absl::Span<const LogFile> files, const RetentionOptions& options,
        std::optional<uint64_t> free_bytes)
      : options_(options), free_bytes_(free_bytes) {
    for (const LogFile& file : files) {
      if (file.kind == FileKind::kSegment) ++segments_;
      BytesOf(file) += file.bytes;
    }
  }

  void Delete(const LogFile& file) {
    if (file.kind == FileKind::kSegment) --segments_;
    BytesOf(file) -= file.bytes;
    if (!file.is_elsewhere) {
      free_bytes_ = FreeBytesAfter(free_bytes_, file.bytes);
    }
  }

  // Returns true if a limit requires to delete another segment.
  bool HasExcessSegment() const {
    // Rings must not push out all segments.
    const uint64_t max = options_.max_bytes;
    const uint64_t ring_bytes = std::min(ring_bytes_, max - max / 4);
    return (options_.max_files != 0 && segments_ > options_.max_files) ||
           (max != 0 && segment_bytes_ > max - ring_bytes) || IsFull();
  }
  // Returns true if a limit requires to delete `ring`.
  bool IsExcess(const LogFile& ring) const {
    const uint64_t max = options_.max_bytes;
    if (ring.is_elsewhere) return max != 0 && far_ring_bytes_ > max;
    return (max != 0 && segment_bytes_ + ring_bytes_ > max) || IsFull();
  }

 private:
  uint64_t& BytesOf(const LogFile& file) {
    return file.kind == FileKind::kSegment ? segment_bytes_
           : file.is_elsewhere             ? far_ring_bytes_
                                           : ring_bytes_;
  }
  bool IsFull() const {
    return free_bytes_ && *free_bytes_ < options_.min_free_bytes;
  }

  const RetentionOptions& options_;
  uint64_t segments_ = 0;
  uint64_t segment_bytes_ = 0;
  uint64_t ring_bytes_ = 0;      // on the file system of the segments
  uint64_t far_ring_bytes_ = 0;  // elsewhere
  std::optional<uint64_t> free_bytes_;
};

}  // namespace

std::vector<size_t> ExcessFiles(absl::Span<const LogFile> files,
                                const RetentionOptions& options, absl::Time now,
                                std::optional<uint64_t> free_bytes) {
  Usage usage(files, options, free_bytes);
  const Candidates candidates(files, now);
  const std::vector<size_t> segments = candidates.Segments();
  std::vector<bool> excess(files.size());
  const auto add = [&](size_t i) {
    excess[i] = true;
    usage.Delete(files[i]);
  };
  // Files that are too old are the first, because their deletion may satisfy
  // the other limits.
  for (const size_t i : segments) {
    if (options.max_age > absl::ZeroDuration() &&
        files[i].modified < now - options.max_age) {
      add(i);
    }
  }
  for (const size_t i : segments) {
    if (!excess[i] && usage.HasExcessSegment()) add(i);
  }
  std::vector<size_t> all;
  std::copy_if(segments.begin(), segments.end(), std::back_inserter(all),
               [&](size_t i) { return excess[i]; });
  for (const size_t i : candidates.Leftovers()) {
    if (!usage.IsExcess(files[i])) continue;
    add(i);
    all.push_back(i);
  }
  return all;
}

std::optional<uint64_t> FreeBytesAfter(std::optional<uint64_t> free_bytes,
                                       uint64_t deleted_bytes) {
  if (!free_bytes) return std::nullopt;
  const uint64_t max = std::numeric_limits<uint64_t>::max();
  return *free_bytes + std::min(deleted_bytes, max - *free_bytes);
}

}  // namespace ringlog
