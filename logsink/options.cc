#include "ringlog/logsink/options.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace ringlog {
namespace {

template <typename T>
absl::Status Invalid(absl::string_view option, const T& value,
                     absl::string_view allowed) {
  return absl::InvalidArgumentError(absl::StrCat(
      "ringlog option ", option, " is ", value, "; allowed is ", allowed));
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
  if (o.max_segment_bytes != 0 && o.max_segment_bytes < 4096) {
    return Invalid("max_segment_bytes", o.max_segment_bytes,
                   "4096 or more, or 0 for no limit");
  }
  if (o.compression_level < 1 || o.compression_level > 19) {
    return Invalid("compression_level", o.compression_level, "1 to 19");
  }
  return absl::OkStatus();
}

}  // namespace ringlog
