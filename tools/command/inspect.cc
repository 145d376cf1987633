#include "ringlog/tools/command/inspect.h"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ringlog/compress/recovery/resume_point.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/crash_area.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_recovery.h"
#include "ringlog/tools/command/message.h"
#include "ringlog/tools/command/output.h"
#include "ringlog/tools/decode/memory_guard.h"
#include "ringlog/tools/decode/ring_image.h"

namespace ringlog {
namespace {

std::string UtcTime(int64_t time_ns) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%E6S UTC",
                          absl::FromUnixNanos(time_ns), absl::UTCTimeZone());
}

// Returns the C string in `field`, or all of it.
template <size_t kSize>
absl::string_view Text(const char (&field)[kSize]) {
  return {field, strnlen(field, kSize)};
}

std::string Hex(const uint8_t* bytes, size_t size) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes), size));
}

// The counted records and the gaps of a ring.
struct RingContent {
  // More gaps are only counted: a damaged ring may have millions.
  static constexpr size_t kMaxListedGaps = 1000;

  uint64_t records = 0;
  std::vector<Gap> gaps;  // the first kMaxListedGaps
  uint64_t other_gaps = 0;
  bool has_loss = false;
  std::vector<CrashReport> crash_reports;
};

absl::StatusOr<RingContent> ReadContent(RingImage* image) {
  RingContent content;
  for (const auto& cause : image->summary().live.dropped) {
    for (const uint64_t count : cause) content.has_loss |= count != 0;
  }
  if (absl::Status s = image->Restart(RecoverFrom::kCursor); !s.ok()) return s;
  while (true) {
    const absl::StatusOr<RingRecovery::Item> item = image->Next();
    if (!item.ok()) return item.status();
    if (*item == RingRecovery::Item::kEnd) break;
    if (*item == RingRecovery::Item::kRecord) {
      ++content.records;
      continue;
    }
    content.has_loss |= IsLoss(image->gap().cause);
    if (content.gaps.size() < RingContent::kMaxListedGaps) {
      content.gaps.push_back(image->gap());
    } else {
      ++content.other_gaps;
    }
  }
  absl::StatusOr<std::vector<CrashReport>> reports = image->crash_reports();
  if (!reports.ok()) return reports.status();
  content.crash_reports = *std::move(reports);
  return content;
}

// Formats the facts about one ring as lines of a name and a value.
class Page {
 public:
  Page(const RingImage& image, const RingContent& content)
      : image_(image),
        content_(content),
        ring_(image.summary()),
        header_(ring_.header) {}

  std::string Make(absl::string_view path) {
    absl::StrAppend(&out_, VisibleLine(path), "\n");
    AddHeader();
    AddContent();
    AddDrops();
    AddFlusher();
    AddCursor();
    AddGaps();
    AddCrashReports();
    return std::move(out_);
  }

 private:
  // Adds a line, also if the value has line breaks: a ring has names of any
  // bytes.
  void Line(absl::string_view name, absl::string_view value) {
    absl::StrAppendFormat(&out_, "  %-16s%s\n", name, VisibleLine(value));
  }

  void AddHeader() {
    if (image_.header_is_rebuilt()) {
      Line("header",
           absl::StrCat("damaged, and its copy too; rebuilt from the slots, "
                        "which do not name the owner: ",
                        image_.DescribeRebuilt()));
    } else {
      AddOwner();
    }
    Line("version",
         absl::StrCat(header_.major_version, ".", header_.minor_version));
    Line("file", absl::StrCat(
                     image_.file_bytes(), " bytes",
                     image_.file_bytes() < header_.file_bytes
                         ? absl::StrCat(", truncated from ", header_.file_bytes)
                         : ""));
    Line("slots",
         absl::StrCat(header_.slot_count, " of ", header_.slot_bytes,
                      " bytes, the head of a record up to ", header_.head_bytes,
                      ", ", header_.body_bytes, " of body in addition"));
  }

  void AddOwner() {
    Line("ring id", Hex(header_.ring_id, sizeof header_.ring_id));
    Line("program", image_.program());
    Line("host", Text(header_.host));
    if (header_.segment_directory[0] != '\0') {
      Line("segments", Text(header_.segment_directory));
    }
    Line("process",
         absl::StrCat(header_.process_id, ", ",
                      image_.owner_may_be_alive() ? "alive" : "dead"));
    Line("created", UtcTime(header_.created_unix_ns));
  }

  void AddContent() {
    const SlotCounts& n = ring_.slots;
    std::string states;
    for (const auto& [name, count] :
         {std::pair("never used", n.never_used), std::pair("free", n.free),
          std::pair("being written", n.filling), std::pair("filled", n.filled),
          std::pair("taken by the flusher", n.persisting),
          std::pair("skipped", n.skipped), std::pair("damaged", n.damaged),
          std::pair("truncated", n.absent)}) {
      if (count == 0) continue;
      absl::StrAppend(&states, states.empty() ? "" : ", ", count, " ", name);
    }
    Line("slots now", states);
    Line("positions", absl::StrCat(header_.first_position, " to ",
                                   ring_.end_position, " claimed, those below ",
                                   ring_.live.released, " free again"));
    const uint64_t released = std::min(ring_.live.released, ring_.end_position);
    Line("in use", absl::StrCat(std::min(ring_.end_position - released,
                                         header_.slot_count),
                                " of ", header_.slot_count, " slots"));
    Line("not persisted", absl::StrCat(content_.records, " records"));
    Line("shortened", absl::StrCat(ring_.live.truncated,
                                   " records longer than the ring allows"));
  }

  void AddDrops() {
    uint64_t total = 0;
    for (const auto& cause : ring_.live.dropped) {
      for (const uint64_t count : cause) total += count;
    }
    Line("dropped", absl::StrCat(total, " records"));
    if (total == 0) return;
    absl::StrAppendFormat(&out_, "    %-14s", "");
    for (int s = 0; s < kSeverityCount; ++s) {
      absl::StrAppendFormat(&out_, "%12s",
                            SeverityName(static_cast<Severity>(s)));
    }
    out_ += '\n';
    for (int cause = 0; cause < kDropCauseCount; ++cause) {
      absl::StrAppendFormat(&out_, "    %-14s",
                            GapCauseName(static_cast<GapCause>(cause)));
      for (const uint64_t count : ring_.live.dropped[cause]) {
        absl::StrAppendFormat(&out_, "%12d", count);
      }
      out_ += '\n';
    }
  }

  void AddFlusher() {
    const FlusherCounters& f = ring_.live.flusher;
    Line(
        "flusher",
        absl::StrCat(f.records, " records, ", f.text_bytes, " bytes of lines, ",
                     f.compressed_bytes, " bytes written, ", f.segments,
                     " segments begun, ", f.skipped_slots, " slots skipped"));
    if (f.last_write_time_ns != 0) {
      Line("last write",
           absl::StrCat(UtcTime(f.last_write_time_ns), ", of records up to ",
                        absl::FormatDuration(absl::Nanoseconds(f.lag_ns)),
                        " old"));
    }
    if (f.deleted_files != 0 || f.delete_errors != 0) {
      Line("limits", absl::StrCat(f.deleted_files, " files deleted, ",
                                  f.delete_errors, " errors"));
    }
    if (f.write_errors != 0) {
      Line("write errors",
           absl::StrCat(f.write_errors, ", the last: ",
                        absl::StatusCodeToString(
                            static_cast<absl::StatusCode>(f.last_error))));
    }
  }

  void AddCursor() {
    if (image_.cursor_state() == CursorState::kNone) {
      Line("persist cursor", "none published: no record is in a segment");
      return;
    }
    if (image_.cursor_state() == CursorState::kDamaged) {
      Line("persist cursor", "damaged");
      return;
    }
    const PersistCursor& cursor = image_.cursor();
    Line("persist cursor",
         absl::StrCat("every position below ", cursor.end_position,
                      " (publication ", cursor.sequence, ")"));
    const absl::StatusOr<SegmentCursor> state = DecodeCursorState(cursor);
    if (!state.ok()) {
      Line("segment", absl::StrCat("unknown: ", state.status().message()));
      return;
    }
    if (state->segment_number == 0) {
      Line("segment", "none begun");
      return;
    }
    if (state->names_unstarted_segment()) {
      Line("segment",
           absl::StrCat("number ", state->segment_number, " is next"));
      return;
    }
    const std::string name =
        image_.header_is_rebuilt()
            ? absl::StrCat("number ", state->segment_number)
            : SegmentFileName(header_, *state);
    Line("segment",
         absl::StrCat(name, ", ", state->segment_bytes, " bytes of it"));
  }

  void AddGaps() {
    for (const Gap& gap : content_.gaps) Line("gap", Describe(gap));
    if (content_.other_gaps != 0) {
      Line("gaps", absl::StrCat("and ", content_.other_gaps, " more"));
    }
  }

  void AddCrashReports() {
    for (const CrashReport& report : content_.crash_reports) {
      Line("crash report",
           absl::StrCat(
               "thread ", report.thread_id, ", ",
               report.signal != 0 ? absl::StrCat("signal ", report.signal, ", ")
                                  : "",
               UtcTime(report.time_ns),
               report.is_complete ? "" : ", its end is missing",
               report.lost_bytes != 0
                   ? absl::StrCat(", ", report.lost_bytes, " bytes cut")
                   : ""));
      AddReportText(report.text);
    }
  }

  void AddReportText(absl::string_view text) {
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      absl::StrAppend(&out_, "    ", VisibleLine(text.substr(0, end)), "\n");
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }

  const RingImage& image_;
  const RingContent& content_;
  const RingSummary& ring_;
  const RingHeader& header_;
  std::string out_;
};

// Appends the page of one ring. Returns the exit status.
absl::StatusOr<int> InspectOne(const std::string& path, Output* output) {
  absl::StatusOr<RingImage> image = RingImage::ReadWithoutText(path);
  if (!image.ok()) return image.status();
  const absl::StatusOr<RingContent> content = ReadContent(&*image);
  if (!content.ok()) return content.status();
  output->Append(Page(*image, *content).Make(path));
  return content->has_loss ||
                 image->file_bytes() < image->header().file_bytes ||
                 image->header_is_rebuilt() ||
                 image->cursor_state() == CursorState::kDamaged
             ? 1
             : 0;
}

}  // namespace

int Inspect(const std::vector<std::string>& paths) {
  Output output(STDOUT_FILENO, isatty(STDOUT_FILENO) == 1);
  int exit_status = 0;
  for (const std::string& path : paths) {
    absl::StatusOr<int> result = 2;
    const absl::Status memory =
        WithinMemory([&] { result = InspectOne(path, &output); });
    if (!memory.ok()) {
      PrintMessage(path, memory.message());
    } else if (!result.ok()) {
      PrintMessage(path, absl::StrCat(result.status().message(),
                                      "; inspect reads *.ring files"));
    }
    exit_status =
        std::max(exit_status, memory.ok() && result.ok() ? *result : 2);
  }
  return FinishStandardOutput(&output) ? exit_status : 2;
}

}  // namespace ringlog
