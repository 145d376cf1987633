#include "ringlog/ring/gap.h"

#include <algorithm>
#include <cstddef>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "ringlog/ring/record.h"

namespace ringlog {
namespace {

bool IsDrop(GapCause cause) { return cause <= GapCause::kClosed; }

absl::string_view CauseText(GapCause cause) {
  switch (cause) {
    case GapCause::kRingFull:
      return "the ring was full";
    case GapCause::kTimedOut:
      return "the ring stayed full until the deadline";
    case GapCause::kOverwritten:
      return "newer records took their place";
    case GapCause::kClosed:
      return "the sink was closed";
    case GapCause::kUnfinished:
      return "still being written when the process died";
    case GapCause::kStuckWriter:
      return "the writer did not finish in time";
    case GapCause::kChecksumMismatch:
      return "the bytes are not those that were written";
    case GapCause::kMissing:
      return "the slot holds something else";
  }
  return "unknown cause";
}

// Returns the cause of a gap that is not a drop.
std::string Reason(const Gap& gap) {
  if (gap.cause == GapCause::kStuckWriter && gap.thread_id != 0) {
    return absl::StrCat("thread ", gap.thread_id, " did not finish in time");
  }
  return std::string(CauseText(gap.cause));
}

std::string DescribeDrop(const Gap& gap) {
  std::string counts;
  uint64_t total = 0;
  for (int i = 0; i < kSeverityCount; ++i) {
    const uint64_t count = gap.records[static_cast<size_t>(i)];
    if (count == 0) continue;
    total += count;
    absl::StrAppend(&counts, counts.empty() ? "" : ", ", count, " ",
                    SeverityName(static_cast<Severity>(i)));
  }
  return absl::StrCat(counts, total == 1 ? " record" : " records",
                      " dropped before position ", gap.end_position, ": ",
                      CauseText(gap.cause));
}

}  // namespace

absl::string_view GapCauseName(GapCause cause) {
  switch (cause) {
    case GapCause::kRingFull:
      return "ring_full";
    case GapCause::kTimedOut:
      return "timed_out";
    case GapCause::kOverwritten:
      return "overwritten";
    case GapCause::kClosed:
      return "closed";
    case GapCause::kUnfinished:
      return "unfinished";
    case GapCause::kStuckWriter:
      return "stuck_writer";
    case GapCause::kChecksumMismatch:
      return "checksum_mismatch";
    case GapCause::kMissing:
      return "missing";
  }
  return "unknown";
}

uint64_t TotalOf(const DropCounts& drops) {
  uint64_t total = 0;
  for (const auto& of_cause : drops) {
    total = std::accumulate(of_cause.begin(), of_cause.end(), total);
  }
  return total;
}

void AddDrops(const DropCounts& more, DropCounts* drops) {
  for (size_t cause = 0; cause < drops->size(); ++cause) {
    for (size_t severity = 0; severity < more[cause].size(); ++severity) {
      (*drops)[cause][severity] += more[cause][severity];
    }
  }
}

std::vector<Gap> DropGaps(const DropCounts& now, const DropCounts& before,
                          uint64_t position) {
  std::vector<Gap> gaps;
  for (size_t cause = 0; cause < now.size(); ++cause) {
    Gap gap;
    gap.cause = static_cast<GapCause>(cause);
    gap.first_position = gap.end_position = position;
    for (size_t i = 0; i < gap.records.size(); ++i) {
      // Counters decrease only in a damaged file.
      gap.records[i] =
          now[cause][i] - std::min(now[cause][i], before[cause][i]);
    }
    if (gap.records != Gap().records) gaps.push_back(gap);
  }
  return gaps;
}

bool IsLoss(GapCause cause) { return cause != GapCause::kUnfinished; }

std::string Describe(const Gap& gap) {
  if (IsDrop(gap.cause)) return DescribeDrop(gap);
  if (gap.end_position == gap.first_position + 1) {
    return absl::StrCat("position ", gap.first_position,
                        " missing: ", Reason(gap));
  }
  return absl::StrCat("positions ", gap.first_position, " to ",
                      gap.end_position - 1, " missing: ", Reason(gap));
}

}  // namespace ringlog
