// Processes that log through an installed sink and die, and what the decoder
// then makes of their files; for tests.

#ifndef RINGLOG_LOGSINK_DYING_PROCESS_H_
#define RINGLOG_LOGSINK_DYING_PROCESS_H_

#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/ring/record.h"

namespace ringlog {

// Runs `body` in a child process, which has no thread of this one, and then
// exit(0); returns how it ended, as waitpid(2) says it. What it prints on
// stderr is left out.
int RunToDeath(const std::function<void()>& body);

// Options of a sink with a small ring in `directory`/ring, and segments in
// `directory`/log.
RingLogSinkOptions DyingOptions(const std::string& directory);

// Install(), or the end of the process with status 100.
RingLogSink* MustInstall(const RingLogSinkOptions& options);

// Logs until the ring is full for INFO. The flusher cannot empty it: there is a
// file where its directory was.
void FillRing(RingLogSink* sink, const RingLogSinkOptions& options);

struct LoggedRecord {
  Severity severity = Severity::kInfo;
  int64_t tid = 0;
  std::string file;
  int line = 0;
  std::string text;
};
bool operator==(const LoggedRecord& a, const LoggedRecord& b);
std::ostream& operator<<(std::ostream& out, const LoggedRecord& record);

// All that the decoder finds in the files of DyingOptions(directory), but gaps.
// Nothing may be damaged, nor lost but for want of room in the ring.
std::vector<LoggedRecord> ReadLog(const std::string& directory);

// The same before and after the next start of the program has recovered what
// there is: they have to be equal, and no ring may be left.
std::vector<LoggedRecord> ReadLogAndRecover(const std::string& directory);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_DYING_PROCESS_H_
