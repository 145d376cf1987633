#include "ringlog/logsink/ring_log_sink.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <utility>

#include "absl/base/log_severity.h"
#include "absl/log/log_sink_registry.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/types/span.h"
#include "ringlog/compress/leftover.h"
#include "ringlog/compress/rotation.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

constexpr absl::Duration kFlushTimeout = absl::Seconds(1);

template <typename T>
absl::Status Invalid(absl::string_view option, const T& value,
                     absl::string_view allowed) {
  return absl::InvalidArgumentError(absl::StrCat(
      "ringlog option ", option, " is ", value, "; allowed is ", allowed));
}

absl::Status Check(const RingLogSinkOptions& o) {
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
  if (o.max_segment_bytes != 0 && o.max_segment_bytes < 4096) {
    return Invalid("max_segment_bytes", o.max_segment_bytes,
                   "4096 or more, or 0 for no limit");
  }
  if (o.compression_level < 1 || o.compression_level > 19) {
    return Invalid("compression_level", o.compression_level, "1 to 19");
  }
  return absl::OkStatus();
}

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

const std::string& RingDirectory(const RingLogSinkOptions& options) {
  return options.ring_directory.empty() ? options.directory
                                        : options.ring_directory;
}

RingOptions ToRingOptions(const RingLogSinkOptions& options) {
  RingOptions ring;
  const uint64_t slot_bytes =
      sizeof(SlotHeader) + ring.head_bytes + ring.body_bytes;
  ring.slot_count = 1;
  while (ring.slot_count * slot_bytes < options.ring_bytes) {
    ring.slot_count *= 2;
  }
  ring.overflow = options.overflow;
  ring.block_deadline = options.block_deadline;
  return ring;
}

FlusherOptions ToFlusherOptions(const RingLogSinkOptions& options) {
  FlusherOptions flusher;
  flusher.directory = options.directory;
  flusher.format = options.format;
  flusher.flush_interval = options.flush_interval;
  flusher.segment.compression_level = options.compression_level;
  flusher.rotation.max_segment_bytes = options.max_segment_bytes;
  return flusher;
}

Severity ToSeverity(absl::LogSeverity severity) {
  return static_cast<Severity>(absl::NormalizeLogSeverity(severity));
}

// Around LOG: it may be what is not working.
void Complain(absl::string_view what) {
  const std::string line = absl::StrCat("ringlog: ", what, "\n");
  if (write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RingLogSink>> RingLogSink::Create(
    const RingLogSinkOptions& options) {
  if (absl::Status s = Check(options); !s.ok()) return s;
  for (const std::string& directory :
       {options.directory, RingDirectory(options)}) {
    if (absl::Status s = MakeDirectory(directory); !s.ok()) return s;
  }
  absl::StatusOr<std::unique_ptr<Ring>> ring = Ring::CreateIn(
      RingDirectory(options), &RingFileName, ToRingOptions(options));
  if (!ring.ok()) return ring.status();
  return std::unique_ptr<RingLogSink>(
      new RingLogSink(*std::move(ring), options));
}

absl::StatusOr<std::unique_ptr<RingLogSink>> RingLogSink::CreateInMemory(
    const RingLogSinkOptions& options) {
  if (absl::Status s = Check(options); !s.ok()) return s;
  absl::StatusOr<std::unique_ptr<Ring>> ring =
      Ring::CreateAnonymous(ToRingOptions(options));
  if (!ring.ok()) return ring.status();
  return std::unique_ptr<RingLogSink>(
      new RingLogSink(*std::move(ring), options));
}

RingLogSink::RingLogSink(std::unique_ptr<Ring> ring,
                         const RingLogSinkOptions& options)
    : ring_(std::move(ring)), head_bytes_(ring_->header().head_bytes) {
  if (options.overflow != OverflowPolicy::kOverwriteOldest) {
    flusher_ = Flusher::Start(ring_.get(), ToFlusherOptions(options));
  }
}

RingLogSink::~RingLogSink() { Close().IgnoreError(); }

void RingLogSink::Send(const absl::LogEntry& entry) {
  Record record;
  record.severity = ToSeverity(entry.log_severity());
  // Relaxed: a record that races with Close() may go either way.
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
  if (!entry.stacktrace().empty()) {
    record.kind = RecordKind::kStackTrace;
    record.text = entry.stacktrace();
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

absl::Status RingLogSink::Close() {
  closed_.store(true, std::memory_order_relaxed);
  if (flusher_ == nullptr) return absl::OkStatus();
  absl::Status status = flusher_->Stop();
  if (status.ok() && !ring_->path().empty() && ring_->empty() &&
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
  SegmentWriterOptions segment;
  segment.compression_level = options.compression_level;
  const LeftoverSweep sweep =
      RecoverLeftovers(RingDirectory(options), options.directory, segment);
  if (!sweep.errors.empty()) {
    Complain(absl::StrCat(
        "cannot recover what a process that died has left: ",
        sweep.errors.front().message(), sweep.errors.size() > 1 ? "; " : "",
        sweep.errors.size() > 1
            ? absl::StrCat("and ", sweep.errors.size() - 1, " more")
            : "",
        "; the files stay"));
  }
  installation->recovered.Notify();
}

void RecoverInBackground(const RingLogSinkOptions& options,
                         Installation* installation) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  // Detached: the end of the process need not wait, for what it cuts short the
  // next start does again.
  std::thread([options, installation] {
    Recover(options, installation);
  }).detach();
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

// Runs after main() has returned and the destructors of static objects have
// run, which may all have logged.
__attribute__((destructor)) void CloseAtExit() {
  Installation* const installation = g_installation.load();
  // A forked child has neither the flusher nor a ring of its own.
  if (installation == nullptr || installation->owner != getpid()) return;
  absl::RemoveLogSink(installation->sink);
  if (absl::Status s = installation->sink->Close(); !s.ok()) {
    Complain(absl::StrCat(s.message(), "; the ring stays"));
  }
}

}  // namespace

absl::StatusOr<RingLogSink*> Install(const RingLogSinkOptions& options) {
  static std::atomic<bool> called{false};
  if (absl::Status s = Check(options); !s.ok()) return s;
  if (called.exchange(true)) {
    return absl::FailedPreconditionError(
        "ringlog::Install() has been called before in this process");
  }
  absl::StatusOr<std::unique_ptr<RingLogSink>> sink =
      RingLogSink::Create(options);
  if (!sink.ok()) {
    Complain(absl::StrCat(sink.status().message(),
                          "; records are kept in memory, and do not survive "
                          "the process before they are in a segment"));
    sink = RingLogSink::CreateInMemory(options);
    if (!sink.ok()) return sink.status();
  }
  auto* const installation = new Installation;
  installation->sink = sink->release();
  installation->owner = getpid();
  absl::AddLogSink(installation->sink);
  g_installation.store(installation);
  RecoverInBackground(options, installation);
  return installation->sink;
}

bool WaitForRecovery(absl::Duration timeout) {
  Installation* const installation = g_installation.load();
  return installation == nullptr ||
         installation->recovered.WaitForNotificationWithTimeout(timeout);
}

}  // namespace ringlog
