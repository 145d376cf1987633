#include "ringlog/logsink/internal/log_pipeline.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/logsink/internal/resolved_options.h"

namespace ringlog {
namespace {

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0777) == 0) return absl::OkStatus();
  const int error = errno;
  struct stat st;
  if (error == EEXIST && stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
    return absl::OkStatus();
  }
  const absl::string_view reason = error == ENOENT
                                       ? ": its parent directory does not exist"
                                   : error == EEXIST  ? ": a file has this name"
                                   : error == ENOTDIR ? ": its parent is a file"
                                                      : "";
  return absl::ErrnoToStatus(error == EEXIST ? ENOTDIR : error,
                             absl::StrCat("make directory ", path, reason));
}

absl::StatusOr<std::unique_ptr<Ring>> CreateRing(
    const RingLogSinkOptions& options, RingStorage storage) {
  if (storage == RingStorage::kMemory) {
    return Ring::CreateAnonymous(ToRingOptions(options));
  }
  for (const std::string& directory :
       {options.directory, options.ring_directory}) {
    if (absl::Status s = MakeDirectory(directory); !s.ok()) return s;
  }
  return Ring::CreateIn(options.ring_directory, &RingFileName,
                        ToRingOptions(options));
}

}  // namespace

absl::StatusOr<std::unique_ptr<LogPipeline>> LogPipeline::Create(
    const RingLogSinkOptions& options, RingStorage storage,
    BackgroundRecovery* recovery,
    std::function<void(const absl::Status&)> on_write) {
  absl::StatusOr<std::unique_ptr<Ring>> ring = CreateRing(options, storage);
  if (!ring.ok()) return ring.status();
  std::unique_ptr<LogPipeline> log(
      new LogPipeline(*std::move(ring), std::move(on_write)));
  if (options.overflow == OverflowPolicy::kOverwriteOldest) return log;
  absl::StatusOr<std::unique_ptr<Flusher>> flusher =
      Flusher::Start(log->ring(), log->FlusherOptionsOf(options), recovery);
  if (!flusher.ok()) {
    // The ring is empty, and without a flusher it is of no use.
    unlink(log->ring()->path().c_str());
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
  flusher.on_write = on_write_;
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
  if (flusher_ == nullptr || ring_->path().empty() ||
      !ring_->crash_area().empty() || unlink(ring_->path().c_str()) == 0 ||
      errno == ENOENT) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(errno, absl::StrCat("delete ", ring_->path()));
}

}  // namespace ringlog
