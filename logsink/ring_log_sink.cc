#include "ringlog/logsink/ring_log_sink.h"

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <utility>

#include "absl/base/log_severity.h"
#include "absl/log/log_sink_registry.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/types/span.h"
#include "ringlog/compress/background_thread.h"
#include "ringlog/compress/complain.h"
#include "ringlog/compress/leftover.h"
#include "ringlog/compress/rotation.h"
#include "ringlog/logsink/entry_extension.h"
#include "ringlog/logsink/option_table.h"
#include "ringlog/logsink/resolved_options.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

constexpr absl::Duration kFlushTimeout = absl::Seconds(1);
constexpr absl::Duration kRotateTimeout = absl::Seconds(10);
// How long the end of the process waits for the recovery of leftovers.
constexpr absl::Duration kRecoveryTimeout = absl::Seconds(1);

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0777) == 0) return absl::OkStatus();
  const int error = errno;
  struct stat st;
  if (error == EEXIST && stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode)) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(error == EEXIST ? ENOTDIR : error,
                             absl::StrCat("make directory ", path));
}

Severity ToSeverity(absl::LogSeverity severity) {
  return static_cast<Severity>(absl::NormalizeLogSeverity(severity));
}

}  // namespace

absl::StatusOr<std::unique_ptr<RingLogSink>> RingLogSink::Create(
    const RingLogSinkOptions& options) {
  if (absl::Status s = CheckOptions(options); !s.ok()) return s;
  const RingLogSinkOptions resolved = Resolved(options);
  for (const std::string& directory :
       {resolved.directory, resolved.ring_directory}) {
    if (absl::Status s = MakeDirectory(directory); !s.ok()) return s;
  }
  return Start(Ring::CreateIn(resolved.ring_directory, &RingFileName,
                              ToRingOptions(resolved)),
               resolved);
}

absl::StatusOr<std::unique_ptr<RingLogSink>> RingLogSink::CreateInMemory(
    const RingLogSinkOptions& options) {
  if (absl::Status s = CheckOptions(options); !s.ok()) return s;
  const RingLogSinkOptions resolved = Resolved(options);
  return Start(Ring::CreateAnonymous(ToRingOptions(resolved)), resolved);
}

absl::StatusOr<std::unique_ptr<RingLogSink>> RingLogSink::Start(
    absl::StatusOr<std::unique_ptr<Ring>> ring,
    const RingLogSinkOptions& options) {
  if (!ring.ok()) return ring.status();
  std::unique_ptr<RingLogSink> sink(new RingLogSink(*std::move(ring), options));
  if (options.overflow == OverflowPolicy::kOverwriteOldest) return sink;
  absl::StatusOr<std::unique_ptr<Flusher>> flusher =
      Flusher::Start(sink->ring_.get(), ToFlusherOptions(options));
  if (!flusher.ok()) {
    // There is nothing in it, and nobody would empty it.
    unlink(sink->ring_path().c_str());
    return flusher.status();
  }
  sink->flusher_ = *std::move(flusher);
  return sink;
}

RingLogSink::RingLogSink(std::unique_ptr<Ring> ring,
                         const RingLogSinkOptions& options)
    : ring_(std::move(ring)),
      min_severity_(static_cast<int>(options.min_severity)),
      options_(options),
      head_bytes_(ring_->header().head_bytes),
      structured_(HasExtension(options) && options.structured),
      context_(HasExtension(options) ? options.context : nullptr),
      owner_(getpid()) {}

RingLogSink::~RingLogSink() { Close().IgnoreError(); }

void RingLogSink::Send(const absl::LogEntry& entry) {
  Record record;
  record.severity = ToSeverity(entry.log_severity());
  // Relaxed: it orders nothing.
  if (static_cast<int>(record.severity) <
      min_severity_.load(std::memory_order_relaxed)) {
    return;
  }
  // Relaxed: one that races with Close() finds the ring sealed.
  if (closed_.load(std::memory_order_relaxed)) {
    ring_->CountDrop(DropCause::kClosed, record.severity);
    return;
  }
  record.time_ns = absl::ToUnixNanos(entry.timestamp());
  record.tid = entry.tid();
  record.file = entry.source_filename();
  record.line = entry.source_line();
  record.verbosity = entry.verbosity();
  record.text = entry.text_message();
  std::array<char, kMaxExtensionBytes> extension;
  if (!entry.stacktrace().empty()) {
    record.kind = RecordKind::kStackTrace;
    record.text = entry.stacktrace();
  } else if (structured_ || context_ != nullptr) {
    record.extension =
        MakeExtension(entry, structured_, context_, absl::MakeSpan(extension));
  }
  // Formatted before the ring is asked for slots: nothing of ours can stop
  // between claim and commit but the death of the process.
  std::array<char, kMaxHeadBytes> head;
  const size_t head_size =
      EncodeRecordHead(record, absl::MakeSpan(head.data(), head_bytes_));
  ring_->Append(record.severity, absl::string_view(head.data(), head_size),
                record.text);
}

void RingLogSink::Flush() {
  if (flusher_ != nullptr && !closed_.load(std::memory_order_relaxed)) {
    flusher_->Flush(kFlushTimeout);
  }
}

std::vector<std::string> RingLogSink::Recent(size_t count) {
  if (flusher_ == nullptr) return {};
  Flush();
  return flusher_->Recent(count);
}

absl::Status RingLogSink::Reconfigure(const RingLogSinkOptions& options) {
  // Another thread of the parent may have held the mutex.
  if (getpid() != owner_) {
    return absl::FailedPreconditionError("the log sink is the parent's");
  }
  if (absl::Status s = CheckOptions(options); !s.ok()) return s;
  const RingLogSinkOptions resolved = Resolved(options);
  absl::MutexLock lock(&options_mutex_);
  if (absl::Status s = CheckChange(options_, resolved); !s.ok()) return s;
  options_ = resolved;
  min_severity_.store(static_cast<int>(options_.min_severity),
                      std::memory_order_relaxed);
  if (flusher_ != nullptr) flusher_->Reconfigure(ToFlusherOptions(options_));
  return absl::OkStatus();
}

absl::Status RingLogSink::Rotate() {
  if (flusher_ == nullptr) {
    return absl::FailedPreconditionError(
        "with kOverwriteOldest there are no segments");
  }
  return flusher_->Rotate(kRotateTimeout);
}

absl::Status RingLogSink::Close() {
  // The ring and its flusher are the parent's.
  if (getpid() != owner_) return absl::OkStatus();
  if (flusher_ == nullptr) {
    closed_.store(true, std::memory_order_relaxed);
    return absl::OkStatus();
  }
  // Until the ring is sealed it takes what comes.
  absl::Status status = flusher_->Stop();
  closed_.store(status.ok(), std::memory_order_relaxed);
  if (status.ok() && !ring_->path().empty() &&
      unlink(ring_->path().c_str()) != 0 && errno != ENOENT) {
    return absl::ErrnoToStatus(errno, absl::StrCat("delete ", ring_->path()));
  }
  return status;
}

// ---- Install ----

namespace {

// Made once, never destroyed: threads may log until the process has ended.
struct Installation {
  RingLogSink* sink = nullptr;
  pid_t owner = 0;
  absl::Notification recovered;
};

std::atomic<Installation*> g_installation{nullptr};

void Recover(const RingLogSinkOptions& options, Installation* installation) {
  const SegmentWriterOptions segment = ToFlusherOptions(options).segment;
  std::vector<absl::Status> errors =
      RecoverLeftovers(options.directory, options.directory, segment).errors;
  if (options.ring_directory != options.directory) {
    const LeftoverSweep elsewhere =
        RecoverLeftovers(options.ring_directory, options.directory, segment);
    errors.insert(errors.end(), elsewhere.errors.begin(),
                  elsewhere.errors.end());
  }
  if (!errors.empty()) {
    Complain(absl::StrCat(
        "cannot recover what a process that died has left: ",
        errors.front().message(), errors.size() > 1 ? "; " : "",
        errors.size() > 1 ? absl::StrCat("and ", errors.size() - 1, " more")
                          : "",
        "; the files stay"));
  }
  installation->recovered.Notify();
}

void RecoverInBackground(const RingLogSinkOptions& options,
                         Installation* installation) {
  const absl::StatusOr<pthread_t> thread = StartBackgroundThread(
      "ringlog-recover",
      [options, installation] { Recover(options, installation); });
  if (!thread.ok()) {
    Complain(absl::StrCat(thread.status().message(),
                          "; what a process that died has left stays"));
    installation->recovered.Notify();
    return;
  }
  // The end of the process need not wait: what it cuts short the next start
  // does again.
  pthread_detach(*thread);
}

// Runs after main() has returned and the destructors of static objects have
// run, which may all have logged.
__attribute__((destructor)) void CloseAtExit() {
  Installation* const installation = g_installation.load();
  // Still registered, if the program has not removed it: threads may log.
  if (installation == nullptr || installation->owner != getpid()) return;
  // Or a program that never lives long would leave all to the next start.
  installation->recovered.WaitForNotificationWithTimeout(kRecoveryTimeout);
  if (absl::Status s = installation->sink->Close(); !s.ok()) {
    Complain(
        absl::StrCat(s.message(), installation->sink->ring_path().empty()
                                      ? "; what has not been written is lost"
                                      : "; the ring stays"));
  }
}

}  // namespace

absl::StatusOr<RingLogSink*> Install(const RingLogSinkOptions& options) {
  static std::atomic<bool> called{false};
  if (absl::Status s = CheckOptions(options); !s.ok()) return s;
  const RingLogSinkOptions resolved = Resolved(options);
  if (called.exchange(true)) {
    return absl::FailedPreconditionError(
        "ringlog::Install() has been called before in this process");
  }
  absl::StatusOr<std::unique_ptr<RingLogSink>> sink =
      RingLogSink::Create(resolved);
  if (!sink.ok()) {
    Complain(absl::StrCat(sink.status().message(),
                          "; records are kept in memory, and do not survive "
                          "the process before they are in a segment"));
    sink = RingLogSink::CreateInMemory(resolved);
    if (!sink.ok()) {
      called.store(false);
      return sink.status();
    }
  }
  auto* const installation = new Installation;
  installation->sink = sink->release();
  installation->owner = getpid();
  absl::AddLogSink(installation->sink);
  g_installation.store(installation);
  RecoverInBackground(resolved, installation);
  return installation->sink;
}

bool WaitForRecovery(absl::Duration timeout) {
  Installation* const installation = g_installation.load();
  return installation == nullptr ||
         installation->recovered.WaitForNotificationWithTimeout(timeout);
}

}  // namespace ringlog
