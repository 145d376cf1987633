#include "ringlog/logsink/options.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace ringlog {
namespace {

template <typename T>
absl::Status Invalid(absl::string_view option, const T& value,
                     absl::string_view allowed) {
  return absl::InvalidArgumentError(absl::StrCat(
      "ringlog option ", option, " is ", value, "; allowed is ", allowed));
}

absl::Status CheckRotation(const RotationOptions& o) {
  if (o.max_segment_bytes != 0 && o.max_segment_bytes < 4096) {
    return Invalid("rotation.max_segment_bytes", o.max_segment_bytes,
                   "4096 or more, or 0 for no limit");
  }
  if (o.interval != absl::ZeroDuration() &&
      (o.interval < absl::Seconds(1) || o.interval > absl::Hours(366 * 24))) {
    return Invalid("rotation.interval", absl::FormatDuration(o.interval),
                   "1s to 8784h, or 0 for never");
  }
  if (absl::AbsDuration(o.offset) >= o.interval &&
      o.offset != absl::ZeroDuration()) {
    return Invalid("rotation.offset", absl::FormatDuration(o.offset),
                   "less than the interval, either way");
  }
  return absl::OkStatus();
}

absl::Status CheckRetention(const RingLogSinkOptions& o) {
  const RetentionOptions& retention = o.retention;
  const uint64_t least = o.rotation.max_segment_bytes + o.ring_bytes;
  if (retention.max_bytes != 0 && retention.max_bytes < least) {
    return Invalid("retention.max_bytes", retention.max_bytes,
                   absl::StrCat(least,
                                " or more, for a segment and the ring, or 0 "
                                "for no limit"));
  }
  if (retention.max_age < absl::ZeroDuration()) {
    return Invalid("retention.max_age", absl::FormatDuration(retention.max_age),
                   "0 for no limit, or more");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckOptions(const RingLogSinkOptions& o) {
  if (o.directory.empty()) {
    return Invalid("directory", "empty", "a directory for the log files");
  }
  if (o.ring_bytes < (64 << 10) || o.ring_bytes > (uint64_t{1} << 30)) {
    return Invalid("ring_bytes", o.ring_bytes, "65536 to 1073741824");
  }
  if (o.block_deadline < absl::ZeroDuration() ||
      o.block_deadline > absl::Hours(1)) {
    return Invalid("block_deadline", absl::FormatDuration(o.block_deadline),
                   "0 to 1h");
  }
  if (o.flush_interval < absl::Milliseconds(1) ||
      o.flush_interval > absl::Minutes(1)) {
    return Invalid("flush_interval", absl::FormatDuration(o.flush_interval),
                   "1ms to 1m");
  }
  if (o.sync_interval < absl::Milliseconds(1) ||
      o.sync_interval > absl::Minutes(1)) {
    return Invalid("sync_interval", absl::FormatDuration(o.sync_interval),
                   "1ms to 1m");
  }
  if (absl::Status s = CheckRotation(o.rotation); !s.ok()) return s;
  if (absl::Status s = CheckRetention(o); !s.ok()) return s;
  if ((o.segment_mode & 0600) != 0600 || (o.segment_mode & ~0777u) != 0) {
    return Invalid("segment_mode", absl::StrFormat("%#o", o.segment_mode),
                   "0600 to 0777, with 0600");
  }
  if (o.compression_level < 1 || o.compression_level > 19) {
    return Invalid("compression_level", o.compression_level, "1 to 19");
  }
  return absl::OkStatus();
}

}  // namespace ringlog
