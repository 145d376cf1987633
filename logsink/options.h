// RingLogSinkOptions: the options of a log sink.

#ifndef RINGLOG_LOGSINK_OPTIONS_H_
#define RINGLOG_LOGSINK_OPTIONS_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "absl/base/log_severity.h"
#include "absl/time/time.h"
#include "ringlog/compress/log_options.h"  // IWYU pragma: export
#include "ringlog/ring/overflow_policy.h"  // IWYU pragma: export

namespace ringlog {

class ContextFields;
using ContextCallback = void (*)(ContextFields&);

// Most programs set `directory` and keep the other defaults.
//
// Each option that can be written as text is also a flag (flags.h) and an
// environment variable (environment.h). RingLogSink::Reconfigure() lists the
// options that may change while the sink runs.
struct RingLogSinkOptions {
  // Directory of the segments. Created if it does not exist and its parent
  // does, with mode 0750 less the rights that the umask takes from the group. A
  // relative path is resolved when the sink is created. Required.
  //
  // It should belong to the program, and not be in /tmp. If another user can
  // delete files in it, the start reports that on stderr, with the command that
  // prevents it, and the program logs all the same. A symlink of another user
  // is refused, as a directory that cannot be used, unless root or the owner of
  // the directory that it is in has made it.
  //
  // If the directory is renamed, deleted or replaced, or if a symlink to it now
  // points elsewhere, no later start would find the ring. The process notices
  // that within ten seconds, and creates another ring at the path. New records
  // go there, and the records of the former ring to the directory that it is
  // in. stderr reports both rings. (With kOverwriteOldest, the process does not
  // notice it.)
  std::string directory;

  // Directory of the segments while `directory` cannot be written, because
  //
  //   - it and its parent are missing, or it is not a directory,
  //   - permission is denied, or the file system is read-only, or
  //   - the disk or a quota is full.
  //
  // Must differ from `directory`, and is best on another disk. Created when it
  // is first needed, if its parent exists. Default: empty, which means none;
  // records that cannot be written wait in the ring.
  //
  // Failing over. After four write errors in a row, new records go to a second
  // ring of ring_bytes, whose own flusher writes here. The fourth error comes
  // about 70 ms after the first one, or some seconds after it while retention
  // deletes files from a full disk. LOG() does not wait for that. (With kBlock,
  // a thread that is already waiting for room in the first ring goes on
  // waiting.) A write that never returns is not an error.
  //
  // Failing back. The first ring keeps its records, and its flusher retries
  // once a second. When all of them are written, new records go to `directory`
  // again. If the first ring was deleted together with its directory, another
  // one is created first.
  //
  // Start. If `directory` or its ring cannot be created, the process logs here
  // from the start; its ring is here too if the ring cannot be created in
  // ring_directory.
  // The sink retries `directory` when it writes: after a second, then at
  // intervals that double up to a minute. With kOverwriteOldest, which writes
  // nothing while the process lives, the process stays here.
  //
  // Each change is reported on stderr, at most one line a minute. If neither
  // directory can be written, records wait in the second ring until it is full.
  // Each directory has its own rings, segments, symlink and retention. Recovery
  // moves a leftover ring only into the directory that it belongs to; while
  // that directory cannot be written, the ring stays.
  // `ringlog cat DIRECTORY FALLBACK` prints both, by time.
  std::string fallback_directory;

  // Directory of the rings. On a disk, a ring survives the restart of a
  // container and of the machine, but a store into it may rarely wait for the
  // disk, for some milliseconds. In /dev/shm a store never waits, but the ring
  // does not survive the restart of the machine. If the file system has no
  // locks, the ring is in a private directory of the user, /dev/shm/ringlog-UID
  // or /dev/shm/ringlog-UID.N, and stderr reports that. Default: empty, which
  // means the directory of the segments.
  std::string ring_directory;

  // Size of the ring in bytes: 64 KiB to 1 GiB, rounded up to a power of two.
  // The ring has the records that the flusher has not written yet. A record
  // takes a multiple of 512 bytes; the longest record takes half of the ring.
  // Default: 8 MiB. Cost: the same amount of memory, and of disk if
  // ring_directory is on a disk.
  uint64_t ring_bytes = uint64_t{8} << 20;

  // Policy for records if the ring is full. With kOverwriteOldest nothing is
  // written while the process lives, and `ringlog cat` prints the newest
  // records from the ring. After the process has died, recovery moves them into
  // a segment: at the next start, or within a minute by another live process
  // that logs into the same directory with another policy. Default:
  // kDropNewest.
  OverflowPolicy overflow = OverflowPolicy::kDropNewest;

  // Longest wait for room with kBlock: 0 to 1 hour. Default: 100 ms.
  absl::Duration block_deadline = absl::Milliseconds(100);

  // Records below this severity are not stored. absl::SetMinLogLevel() and the
  // levels of VLOG apply first, and stop a record before it is formatted; use
  // min_severity for records that other sinks must receive. kInfinity stores no
  // record, not even FATAL ones. Default: kInfo.
  absl::LogSeverityAtLeast min_severity = absl::LogSeverityAtLeast::kInfo;

  // Form of the lines in segments. Default: kText.
  LineFormat format = LineFormat::kText;

  // If true, JSON lines also have the template and the arguments of a message.
  //
  //   LOG(INFO) << "Found " << n << " cookies";
  //
  // gives "template":"Found {} cookies","args":["3"]. All messages of one
  // statement have the same template, as long as the types of their values are
  // the same. A message has no template if
  //
  //   - it has no literal,
  //   - Abseil has truncated it, or
  //   - it has more pieces than a record can hold, which is at least 40.
  //
  // Text lines do not change. Default: false.
  bool structured = false;

  // Called by Send() for each record, on the logging thread, to add fields to
  // the record (context_fields.h). Must not log, throw or wait; should only
  // read data that the thread has ready, such as a thread_local. JSON lines
  // show the fields. Text lines do not change, because their readers treat
  // everything after "] " as the message. Default: none.
  ContextCallback context = nullptr;

  // Longest time, plus 5 ms, from LOG() until the flusher hands the record to
  // its segment: 1 ms to 1 minute. The record is in the ring, and thus safe
  // from the death of the process, before LOG() returns. Default: 200 ms.
  absl::Duration flush_interval = absl::Milliseconds(200);

  // If true, records also survive the death of the machine (power loss, kernel
  // panic), except for those of the last sync_interval and 5 ms: the flusher
  // calls fdatasync(2) before it releases their slots. Default: false.
  //
  // Cost: one fdatasync(2) per megabyte of text, and at least one every
  // sync_interval (1 ms to 1 minute, default 1 s), which replaces
  // flush_interval; one at once for each record of sync_severity or above
  // (default kError). LOG() does not wait for it, but Flush() does.
  //
  // If fdatasync(2) fails, the flusher truncates the file to the bytes that are
  // safe, and writes the records into another file.
  bool sync = false;
  absl::Duration sync_interval = absl::Seconds(1);
  absl::LogSeverityAtLeast sync_severity = absl::LogSeverityAtLeast::kError;

  // The conditions for closing a segment. Valid values:
  //
  //   max_segment_bytes  at least 4 KiB, or 0
  //   interval           1 second to 1 year, or 0
  //   offset             absolute value less than `interval`
  //
  // RingLogSink::Rotate() and `ringlog rotate` close a segment at once.
  RotationOptions rotation;

  // Limits for the files of this program in `directory`. The same limits apply
  // to fallback_directory. Default: no limits.
  //
  // max_bytes must be 0, or at least the sum of rotation.max_segment_bytes and
  // the size of the ring's file, which is ring_bytes and 72 KiB: 72.1 MiB with
  // default options. If max_segment_bytes is 0, the size of the ring's file is
  // enough. max_bytes also requires a rotation by size or by time, because a
  // segment that is never closed cannot be kept small. Each live process has a
  // ring, and so has each forked child that logs: leave room for their rings,
  // and for those of children that were killed within the last minute. A thread
  // applies the limits at the start, with each new segment, and once a minute.
  RetentionOptions retention;

  // Permission bits of segments, before the umask applies, which takes nothing
  // from the owner. Must contain 0600, because recovery writes to segments. The
  // ring is always 0600.
  // Default: 0640.
  mode_t segment_mode = 0640;

  // Called with the path of each segment that this process will not write to
  // again; for example, to upload it. Default: none.
  //
  // Context: the flusher's thread. All signals except those of faults are
  // blocked there, and a process that the callback starts inherits this mask.
  // With a fallback_directory there are two such threads, which may call it at
  // the same time. With Install(), the last call comes at the very end of the
  // process, after the destructors of static objects.
  //
  // The flusher does not write during the call, so the ring fills: hand the
  // path to another thread if the work takes long. The callback may use LOG,
  // but with kBlock a full ring gets no room during the call. It must not call
  // RingLogSink::Rotate() or Close().
  //
  // A segment whose path was passed does not change any more, even if the
  // process dies. If its directory was renamed meanwhile, the path has the
  // former name. Recovery does not call it for segments that recovery closes.
  std::function<void(const std::string& path)> on_segment_closed;

  // Number of records that RingLogSink::Recent() can return, at most 1,000,000.
  // Default: 0. Cost: the memory of their lines, and some time of the flusher.
  int recent_records = 0;

  // zstd compression level, 1 to 19. Default: 1, which compresses logs as well
  // as 3, and faster.
  int compression_level = 1;
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_OPTIONS_H_
