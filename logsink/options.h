// What an application can ask of its log sink.

#ifndef RINGLOG_LOGSINK_OPTIONS_H_
#define RINGLOG_LOGSINK_OPTIONS_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "absl/base/log_severity.h"
#include "absl/time/time.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/ring/overflow_policy.h"

namespace ringlog {

class ContextFields;
using ContextCallback = void (*)(ContextFields&);

// The defaults are what most programs keep. Only `directory` has none.
//
// Those that can be written as text are flags too (logsink/flags.h), and
// environment variables (logsink/environment.h): option_table.cc has a row for
// each. RingLogSink::Reconfigure() says which of them may change while the sink
// runs.
struct RingLogSinkOptions {
  // Where segments go; made if it does not exist and its parent does. What is
  // relative is so to the working directory of now.
  std::string directory;

  // Where segments go while `directory` cannot take them: it is missing, with
  // its parent, or a file; it may not be written, or is read-only; its disk is
  // full, or a quota used up. Another directory than `directory`, best on
  // another disk; empty: none, and what cannot be written waits in the ring.
  // Made at the first need, if its parent exists.
  //
  // At the fourth error of writing in a row, some 70 ms after the first, new
  // records go to a second ring, of ring_bytes too, with a flusher of its own
  // that writes here. LOG() does not wait for that; but a thread that waits for
  // room in the first ring, with kBlock, goes on doing so. A write that never
  // returns is no error. What the first ring holds stays in it, and is tried
  // again once a second. When all of it has been written, new records go to
  // `directory` again; but not if that ring's file has been deleted with the
  // directory, for then nothing in it would survive the process.
  //
  // A process that cannot make `directory`, or its ring, when it starts, begins
  // here at once, with its ring here if ring_directory takes none; it tries
  // again after a second, then more rarely, at last once a minute, whenever it
  // writes, and goes to `directory` when it can. With kOverwriteOldest, which
  // writes nothing while the process lives, it stays here.
  //
  // A line on stderr tells of each change, in the limits of its line a minute.
  // If neither directory can be written, records wait in the second ring, until
  // that is full. Each directory has its own rings, segments, symlink and
  // retention; what a crash leaves, the next start, or who lives meanwhile,
  // brings into the directory that it was meant for; as long as that cannot be
  // written, it stays.
  // `ringlog cat DIRECTORY FALLBACK` shows both, by time.
  std::string fallback_directory;

  // Where rings go; empty: to the segments. On a disk the ring survives
  // the restart of a container and of the machine, and a store into it may wait
  // for the disk, rarely, for some milliseconds. /dev/shm never waits; what it
  // holds is gone when the machine restarts.
  std::string ring_directory;

  // How much the flusher may be behind: 64 KiB to 1 GiB, rounded up to a power
  // of two. A record takes 512 bytes, or a multiple of that if it is long. Half
  // of this is the longest record.
  uint64_t ring_bytes = uint64_t{8} << 20;

  // What happens to records that find the ring full. With kOverwriteOldest
  // nothing is written while the process lives: the ring holds the last
  // records, for `ringlog cat`. When it has died the next start moves them into
  // a segment; or, within a minute, another process that lives and logs into
  // the same directory, with another policy.
  OverflowPolicy overflow = OverflowPolicy::kDropNewest;
  absl::Duration block_deadline = absl::Milliseconds(100);

  // Records below it are not stored. It is asked after absl::SetMinLogLevel()
  // and VLOG's levels, which stop a record before it is formatted: for what
  // other sinks shall have, and this one not. kInfinity stores none, FATAL
  // neither.
  absl::LogSeverityAtLeast min_severity = absl::LogSeverityAtLeast::kInfo;

  // Lines of text in glog's shape, or of JSON.
  LineFormat format = LineFormat::kText;

  // Lines of JSON say too of what a message was made. That of
  //
  //   LOG(INFO) << "Found " << n << " cookies";
  //
  // has "template":"Found {} cookies","args":["3"]. All messages of a statement
  // have one template, as long as it logs the same kinds of values. A message
  // without any literal has none, nor has one that Abseil has cut, or that has
  // more pieces than a record keeps: forty at the least. Lines of text stay as
  // they are.
  bool structured = false;

  // Called by Send() for each record, on the thread that logs, to say more of
  // it: see logsink/context_fields.h, also for how much. It must not log, throw
  // or wait; what it needs the thread should have at hand, as a thread_local.
  // Lines of JSON show it; lines of text stay as they are, for what reads them
  // takes all behind the "] " for the message.
  ContextCallback context = nullptr;

  // A record is in the ring at once, and handed to its segment after this time
  // and 5 ms at the latest; 1 ms to 1 minute.
  absl::Duration flush_interval = absl::Milliseconds(200);

  // What has been logged outlives the machine too, its power and its kernel,
  // but for records of the last sync_interval (and 5 ms): fdatasync(2) is
  // called before their slots are free. It is called for a megabyte at a time,
  // at the latest after sync_interval (1 ms to 1 minute), which then counts
  // instead of flush_interval, and at once for records of sync_severity and
  // above. LOG() does not wait for it; Flush() does. A file on which it has
  // failed is cut back and left; its records go into another one.
  bool sync = false;
  absl::Duration sync_interval = absl::Seconds(1);
  absl::LogSeverityAtLeast sync_severity = absl::LogSeverityAtLeast::kError;

  // When a segment is closed, and the next one begun. max_segment_bytes: at
  // least 4 KiB, or 0; interval: a second to a year, or 0; offset: less than
  // the interval, either way. RingLogSink::Rotate() and `ringlog rotate` do it
  // at once.
  RotationOptions rotation;

  // What is kept of this program's files in `directory`, and as much in
  // fallback_directory; see compress/retention.h. By default, everything.
  // max_bytes: at least a segment and the ring, or 0, and only with a rotation
  // by size or time, for a segment that never ends cannot be kept small. Each
  // process that runs has a ring, forked children that log too: leave room for
  // as many, and for those that are killed within a minute. Looked after by the
  // flusher: at the start, with each segment, and once a minute.
  RetentionOptions retention;

  // The permission bits of segments, less the umask; 0600 are always among
  // them, or nobody could recover. The ring is its user's alone.
  mode_t segment_mode = 0640;

  // Called with the path of each segment to which this process will write
  // nothing more, by the flusher's thread: to upload it, say, or to tell
  // somebody. It may take long, but nothing is written meanwhile, and the ring
  // fills: better hand the path to a thread of your own. It may use LOG,
  // though with OverflowPolicy::kBlock it waits in vain for room in a full
  // ring, but not RingLogSink::Rotate() or Close(). Signals are blocked in it,
  // which a process that it starts inherits. With Install() the last call comes
  // at the very end of the process, when static objects have been destroyed.
  // A segment that it was told of stays as it is, even if the process dies; of
  // one that recovery closes nobody is told. With a fallback_directory there
  // are two such threads, which may call it at once.
  std::function<void(const std::string& path)> on_segment_closed;

  // How many records RingLogSink::Recent() knows, at most 1000000; they take
  // memory, and the flusher time. 0: none.
  int recent_records = 0;

  // Of zstd, 1 to 19. On logs 1 compresses as well as 3, and faster.
  int compression_level = 1;
};

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_OPTIONS_H_
