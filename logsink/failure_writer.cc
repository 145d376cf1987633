#include "ringlog/logsink/failure_writer.h"

#include "ringlog/logsink/internal/crash_report_writer.h"

namespace ringlog {

void FailureWriter(const char* text) {
  if (text != nullptr) {
    AppendToCrashReport(text);
  } else {
    EndCrashReport();
  }
}

}  // namespace ringlog
