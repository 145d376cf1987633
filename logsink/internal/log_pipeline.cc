#include "ringlog/logsink/internal/log_pipeline.h"

#include <fcntl.h>

#include <atomic>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/logsink/internal/resolved_options.h"
#include "ringlog/ring/os/directory_trust.h"
#include "ringlog/ring/os/shared_memory_directory.h"
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {
namespace {

// Creates the directory if it is missing. Refuses one to which a symlink of a
// foreign user leads, because logs could do harm there.
absl::Status PrepareDirectory(const std::string& path) {
  if (absl::Status s = MakeDirectory(path); !s.ok()) return s;
  return OpenTrustedDirectory(path, O_PATH).status();
}

// Creates the ring in /dev/shm, because `cause` prevents it from being in its
// directory.
absl::StatusOr<std::unique_ptr<Ring>> CreateInSharedMemory(
    const RingLogSinkOptions& options, const absl::Status& cause) {
  absl::StatusOr<std::unique_ptr<Ring>> ring;
  const absl::StatusOr<std::string> directory = MakeSharedMemoryDirectory();
  if (directory.ok()) {
    RingOptions ring_options = ToRingOptions(options);
    ring_options.segment_directory = options.directory;
    ring = Ring::CreateIn(*directory, &RingFileName, ring_options);
  } else {
    ring = directory.status();
  }
  if (!ring.ok()) {
    return absl::Status(cause.code(), absl::StrCat(cause.message(), "; ",
                                                   ring.status().message()));
  }
  // Once, also if each forked child has a ring there.
  static std::atomic<bool> was_reported{false};
  if (!was_reported.exchange(true)) {
    WarnRateLimited(absl::StrCat(
        cause.message(), "; rings are in ", *directory,
        " instead, and do not survive the restart of the machine"));
  }
  return ring;
}

absl::StatusOr<std::unique_ptr<Ring>> CreateRing(
    const RingLogSinkOptions& options, RingStorage storage) {
  if (storage == RingStorage::kMemory) {
    return Ring::CreateAnonymous(ToRingOptions(options));
  }
  for (const std::string& directory :
       {options.directory, options.ring_directory}) {
    if (absl::Status s = PrepareDirectory(directory); !s.ok()) return s;
  }
  absl::StatusOr<std::unique_ptr<Ring>> ring = Ring::CreateIn(
      options.ring_directory, &RingFileName, ToRingOptions(options));
  // Without locks, no process could see that the ring is in use. A ring that
  // other users may write to would not be recovered.
  if (absl::IsUnimplemented(ring.status())) {
    return CreateInSharedMemory(options, ring.status());
  }
  return ring;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LogPipeline>> LogPipeline::Create(
    const RingLogSinkOptions& options, RingStorage storage,
    BackgroundRecovery* recovery, Callbacks callbacks) {
  absl::StatusOr<std::unique_ptr<Ring>> ring = CreateRing(options, storage);
  if (!ring.ok()) return ring.status();
  std::unique_ptr<LogPipeline> log(
      new LogPipeline(*std::move(ring), std::move(callbacks)));
  if (options.overflow == OverflowPolicy::kOverwriteOldest) return log;
  absl::StatusOr<std::unique_ptr<Flusher>> flusher =
      Flusher::Start(log->ring(), log->FlusherOptionsOf(options), recovery);
  if (!flusher.ok()) {
    // The ring is empty, and without a flusher it is of no use.
    log->ring()->DeleteFile().IgnoreError();
    return flusher.status();
  }
  log->flusher_ = *std::move(flusher);
  return log;
}

LogPipeline::~LogPipeline() {
  if (Stop().ok()) DeleteFile().IgnoreError();
}

FlusherOptions LogPipeline::FlusherOptionsOf(
    const RingLogSinkOptions& options) const {
  FlusherOptions flusher = ToFlusherOptions(options);
  flusher.on_write = callbacks_.on_write;
  flusher.on_ring_lost = callbacks_.on_ring_lost;
  return flusher;
}

void LogPipeline::Reconfigure(const RingLogSinkOptions& options) {
  if (flusher_ != nullptr) flusher_->Reconfigure(FlusherOptionsOf(options));
}

absl::Status LogPipeline::Stop() {
  return flusher_ == nullptr ? absl::OkStatus() : flusher_->Stop();
}

// A crash report gets into a segment only by recovery.
absl::Status LogPipeline::DeleteFile() {
  if (flusher_ == nullptr || !ring_->crash_area().empty()) {
    return absl::OkStatus();
  }
  return ring_->DeleteFile();
}

}  // namespace ringlog
