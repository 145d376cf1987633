#include "ringlog/compress/flusher/flusher_options.h"

#include <exception>

#include "absl/base/config.h"
#include "absl/strings/str_cat.h"
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {

SegmentSequenceOptions SequenceOptions(const FlusherOptions& options) {
  SegmentSequenceOptions segments;
  segments.directory = options.directory;
  segments.format = options.format;
  segments.segment = options.segment;
  segments.sync = options.sync;
  return segments;
}

void CallOnSegmentClosed(const FlusherOptions& options,
                         const std::string& path) {
  if (options.on_segment_closed == nullptr) return;
#ifdef ABSL_HAVE_EXCEPTIONS
  try {
    options.on_segment_closed(path);
  } catch (const std::exception& e) {
    WarnRateLimited(absl::StrCat("on_segment_closed threw: ", e.what()));
  } catch (...) {
    WarnRateLimited("on_segment_closed threw");
  }
#else
  options.on_segment_closed(path);
#endif
}

}  // namespace ringlog
