#include "ringlog/compress/retention/retention.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <tuple>

namespace ringlog {
namespace {

constexpr absl::Duration kFutureSlack = absl::Hours(24);

// The files that may be deleted, the oldest first.
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

  std::vector<size_t> Segments() const {
    std::vector<size_t> found;
    for (size_t i = 0; i < files_.size(); ++i) {
      const LogFile& file = files_[i];
      if (file.kind != FileKind::kSegment || file.stays) continue;
      const auto last = last_segments_.find(file.ring_id_prefix);
      if (last != last_segments_.end() && last->second == file.segment_number) {
        continue;
      }
      found.push_back(i);
    }
    Sort(&found);
    return found;
  }

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
      return std::tie(files_[a].ring_id_prefix, files_[a].segment_number) <
             std::tie(files_[b].ring_id_prefix, files_[b].segment_number);
    });
    std::optional<size_t> before;
    for (const size_t i : by_number) {
      const LogFile& file = files_[i];
      begun_[i] = file.begun;
      modified_[i] = file.modified;
      if (file.kind != FileKind::kSegment) continue;
      if (before && files_[*before].ring_id_prefix == file.ring_id_prefix) {
        begun_[i] = std::max(begun_[i], begun_[*before]);
        modified_[i] = std::max(modified_[i], modified_[*before]);
      }
      before = i;
    }
  }

  void FindLastSegments() {
    for (const LogFile& file : files_) {
      if (file.kind == FileKind::kRing) last_segments_[file.ring_id_prefix];
    }
    for (const LogFile& file : files_) {
      const auto last = last_segments_.find(file.ring_id_prefix);
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
                             modified_[i], files_[i].ring_id_prefix,
                             files_[i].segment_number);
    };
    std::sort(found->begin(), found->end(),
              [&key](size_t a, size_t b) { return key(a) < key(b); });
  }

  const absl::Span<const LogFile> files_;
  const absl::Time now_;
  std::vector<absl::Time> begun_;
  std::vector<absl::Time> modified_;
  std::map<uint32_t, uint64_t> last_segments_;  // of rings among files_
};

// Usage after the deletions that were decided so far.
struct Usage {
  uint64_t segments = 0;
  uint64_t bytes = 0;
  std::optional<uint64_t> free_bytes;

  void Delete(const LogFile& file) {
    if (file.kind == FileKind::kSegment) --segments;
    bytes -= file.bytes;
    if (!file.is_elsewhere) free_bytes = FreeBytesAfter(free_bytes, file.bytes);
  }
  bool IsOverBytes(const RetentionOptions& options) const {
    return (options.max_bytes != 0 && bytes > options.max_bytes) ||
           (free_bytes && *free_bytes < options.min_free_bytes);
  }
  bool IsOver(const RetentionOptions& options) const {
    return (options.max_files != 0 && segments > options.max_files) ||
           IsOverBytes(options);
  }
};

}  // namespace

std::vector<size_t> ExcessFiles(absl::Span<const LogFile> files,
                                const RetentionOptions& options, absl::Time now,
                                std::optional<uint64_t> free_bytes) {
  Usage usage;
  usage.free_bytes = free_bytes;
  for (const LogFile& file : files) {
    if (file.kind == FileKind::kSegment) ++usage.segments;
    usage.bytes += file.bytes;
  }
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
    if (!excess[i] && usage.IsOver(options)) add(i);
  }
  std::vector<size_t> all;
  std::copy_if(segments.begin(), segments.end(), std::back_inserter(all),
               [&](size_t i) { return excess[i]; });
  for (const size_t i : candidates.Leftovers()) {
    if (!usage.IsOverBytes(options)) break;
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
