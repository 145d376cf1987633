#include "ringlog/logsink/internal/resolved_options.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/numeric/bits.h"
#include "ringlog/logsink/internal/entry_encoder.h"
#include "ringlog/logsink/internal/option_table.h"
#include "ringlog/ring/os/shared_memory_directory.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

// Returns "logs" for "logs/".
std::filesystem::path WithoutSlash(const std::filesystem::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

// Returns an absolute path, because the program may change its working
// directory later.
std::string Absolute(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute =
      std::filesystem::absolute(path, error).lexically_normal();
  if (error) return path;
  return WithoutSlash(absolute).string();
}

// Resolves the symbolic links in the part of `path` that exists.
std::filesystem::path WithoutLinks(const std::string& path) {
  std::error_code error;
  const std::filesystem::path canonical =
      std::filesystem::weakly_canonical(path, error);
  return WithoutSlash(error ? std::filesystem::path(path) : canonical);
}

}  // namespace

RingLogSinkOptions Resolved(RingLogSinkOptions options) {
  options.directory = Absolute(options.directory);
  options.ring_directory = options.ring_directory.empty()
                               ? options.directory
                               : Absolute(options.ring_directory);
  if (!options.fallback_directory.empty()) {
    options.fallback_directory = Absolute(options.fallback_directory);
  }
  return options;
}

absl::StatusOr<RingLogSinkOptions> CheckAndResolve(
    const RingLogSinkOptions& options) {
  if (absl::Status s = CheckOptions(options); !s.ok()) return s;
  RingLogSinkOptions resolved = Resolved(options);
  if (!resolved.fallback_directory.empty() &&
      WithoutLinks(resolved.fallback_directory) ==
          WithoutLinks(resolved.directory)) {
    return InvalidOption("ringlog option fallback_directory",
                         options.fallback_directory,
                         "a directory other than option directory, or nothing");
  }
  return resolved;
}

RingLogSinkOptions FallbackOptions(RingLogSinkOptions options) {
  if (options.ring_directory == options.directory) {
    options.ring_directory = options.fallback_directory;
  }
  options.directory = options.fallback_directory;
  return options;
}

RingOptions ToRingOptions(const RingLogSinkOptions& options) {
  RingOptions ring;
  const uint64_t slot_bytes =
      sizeof(SlotHeader) + ring.head_bytes + ring.body_bytes;
  if (HasExtension(options)) {
    ring.body_bytes -=
        static_cast<uint32_t>(kExtendedHeadBytes) - ring.head_bytes;
    ring.head_bytes = static_cast<uint32_t>(kExtendedHeadBytes);
  }
  ring.slot_count =
      absl::bit_ceil((options.ring_bytes + slot_bytes - 1) / slot_bytes);
  ring.overflow = options.overflow;
  ring.block_deadline = options.block_deadline;
  ring.segment_mode = options.segment_mode;
  if (options.ring_directory != options.directory) {
    ring.segment_directory = options.directory;
  }
  return ring;
}

FlusherOptions ToFlusherOptions(const RingLogSinkOptions& options) {
  FlusherOptions flusher;
  flusher.directory = options.directory;
  flusher.format = options.format;
  flusher.flush_interval = options.flush_interval;
  flusher.sync = options.sync;
  flusher.sync_interval = options.sync_interval;
  flusher.sync_severity =
      std::min(static_cast<int>(options.sync_severity), kSeverityCount);
  flusher.segment.compression_level = options.compression_level;
  flusher.recent_records = static_cast<size_t>(options.recent_records);
  flusher.segment.mode = options.segment_mode;
  flusher.rotation = options.rotation;
  flusher.retention = options.retention;
  flusher.on_segment_closed = options.on_segment_closed;
  return flusher;
}

BackgroundRecovery::Options ToRecoveryOptions(
    const RingLogSinkOptions& options) {
  BackgroundRecovery::Options recovery;
  std::vector<RingLogSinkOptions> all = {options};
  if (!options.fallback_directory.empty()) {
    all.push_back(FallbackOptions(options));
  }
  const std::vector<std::string> shared = SharedMemoryDirectories(geteuid());
  for (const RingLogSinkOptions& one : all) {
    recovery.directories.push_back({one.directory, one.ring_directory});
    for (const std::string& rings : shared) {
      recovery.directories.push_back({one.directory, rings});
    }
  }
  recovery.segment = ToFlusherOptions(options).segment;
  return recovery;
}

}  // namespace ringlog
