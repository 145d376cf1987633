#include "ringlog/logsink/internal/read_counters.h"

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/relaxed.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/slot.h"

namespace ringlog {

RingLogSinkCounters ReadCounters(const Ring& ring) {
  const FlusherCounters& flusher = ring.flusher_counters();
  RingLogSinkCounters c;
  c.written_records = LoadRelaxed(&flusher.records);
  c.text_bytes = LoadRelaxed(&flusher.text_bytes);
  c.compressed_bytes = LoadRelaxed(&flusher.compressed_bytes);
  c.segments = LoadRelaxed(&flusher.segments);
  c.dropped = ring.dropped();
  c.dropped_records = TotalOf(c.dropped);
  c.cut_records = ring.truncated();
  c.write_errors = LoadRelaxed(&flusher.write_errors);
  c.last_error =
      static_cast<absl::StatusCode>(LoadRelaxed(&flusher.last_error));
  c.deleted_files = LoadRelaxed(&flusher.deleted_files);
  c.delete_errors = LoadRelaxed(&flusher.delete_errors);
  c.lag = absl::Nanoseconds(LoadRelaxed(&flusher.lag_ns));
  if (const int64_t ns = LoadRelaxed(&flusher.last_write_time_ns); ns != 0) {
    c.last_write_time = absl::FromUnixNanos(ns);
  }
  c.skipped_slots = LoadRelaxed(&flusher.skipped_slots);
  c.ring_slots = ring.header().slot_count;
  c.used_slots = ring.used_slots();
  return c;
}

void AddCounters(const RingLogSinkCounters& counters,
                 RingLogSinkCounters* sum) {
  for (const auto member :
       {&RingLogSinkCounters::written_records, &RingLogSinkCounters::text_bytes,
        &RingLogSinkCounters::compressed_bytes, &RingLogSinkCounters::segments,
        &RingLogSinkCounters::dropped_records,
        &RingLogSinkCounters::cut_records, &RingLogSinkCounters::write_errors,
        &RingLogSinkCounters::deleted_files,
        &RingLogSinkCounters::delete_errors,
        &RingLogSinkCounters::skipped_slots, &RingLogSinkCounters::ring_slots,
        &RingLogSinkCounters::used_slots}) {
    sum->*member += counters.*member;
  }
  AddDrops(counters.dropped, &sum->dropped);
  if (sum->last_error == absl::StatusCode::kOk) {
    sum->last_error = counters.last_error;
  }
  sum->lag = std::max(sum->lag, counters.lag);
  sum->last_write_time =
      std::max(sum->last_write_time, counters.last_write_time);
}

}  // namespace ringlog
