#include "ringlog/tools/command/recover.h"

#include <unistd.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/recovery/leftover_segments.h"
#include "ringlog/compress/recovery/resume_point.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_index.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/compress/segment/segment_repair.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/tools/command/gap_messages.h"
#include "ringlog/tools/command/message.h"
#include "ringlog/tools/command/output.h"
#include "ringlog/tools/command/output_names.h"
#include "ringlog/tools/command/recover_in_place.h"
#include "ringlog/tools/command/recover_output.h"
#include "ringlog/tools/command/recover_ring.h"
#include "ringlog/tools/command/recover_sources.h"
#include "ringlog/tools/command/recover_staging.h"
#include "ringlog/tools/decode/decode_sink.h"
#include "ringlog/tools/decode/found_segment.h"
#include "ringlog/tools/decode/memory_guard.h"
#include "ringlog/tools/decode/report.h"

namespace ringlog {
namespace {

class Recovery {
 public:
  Recovery(const std::vector<std::string>& paths, const std::string& output)
      : path_(output),
        sink_(MakeSink()),
        report_(&sink_),
        sources_(paths, output, &report_),
        stdout_(STDOUT_FILENO, isatty(STDOUT_FILENO) == 1) {}

  int Run() {
    absl::StatusOr<std::unique_ptr<RecoverOutput>> opened =
        RecoverOutput::Open(path_);
    if (!opened.ok()) {
      report_.Unusable(path_, opened.status());
      return report_.result.exit_status();
    }
    output_ = *std::move(opened);
    names_.AddInputs(sources_.segments(), *output_);
    for (const FoundRing& ring : sources_.rings) {
      ReportError(ring.input.path, [&] { return RecoverOne(ring); });
    }
    RecoverPostponed();
    RecoverWithoutRing();
    gaps_.PrintUnfinished();
    return FinishStandardOutput(&stdout_) ? report_.result.exit_status() : 2;
  }

 private:
  using Segments = std::vector<FoundSegment>;

  struct Source {
    std::string path;
    bool may_be_truncated = false;  // the ring has the missing records
  };
  using Sources = std::map<std::string, Source>;  // by the staged file's name

  DecodeSink MakeSink() {
    DecodeSink sink;
    sink.on_gap = [this](const std::string& path, const Gap& gap) {
      gaps_.Add(path, gap);
    };
    sink.on_damage = sink.on_note = PrintMessage;
    sink.on_unusable = [](const std::string& path, const absl::Status& status) {
      absl::string_view message = status.message();
      absl::ConsumePrefix(&message, absl::StrCat(path, ": "));
      PrintMessage(path, message);
    };
    return sink;
  }

  void ReportError(const std::string& path,
                   absl::FunctionRef<absl::Status()> recover) {
    absl::Status status;
    const absl::Status memory = WithinMemory([&] { status = recover(); });
    status.Update(memory);
    if (!status.ok()) report_.Unusable(path, status);
  }

  absl::Status RecoverOne(const FoundRing& found) {
    const std::string& path = found.input.path;
    absl::StatusOr<LeftoverRing> ring = ReadFoundRing(found);
    if (absl::IsFailedPrecondition(ring.status())) {
      // The segments of a live process are not touched.
      sources_.TakeSegments(found);
      return ring.status();
    }
    // If another process has recovered it, its segments have all records.
    if (absl::IsNotFound(ring.status()) && found.input.from_directory) {
      return absl::OkStatus();
    }
    if (!ring.ok()) return ring.status();
    const auto cursor = DecodeCursorState(ring->ring->summary().cursor);
    if (!cursor.ok()) return cursor.status();
    Segments segments = sources_.TakeSegments(found);
    if (!was_refreshed_ &&
        MayLackSegments(RingFactsOf(ring->ring->summary()), segments)) {
      sources_.PutBack(found, std::move(segments));
      postponed_.push_back(&found);
      return absl::OkStatus();
    }
    Segments foreign = TakeForeign(&segments);
    const DecidedRing decided = DecideRing(*ring, &segments);
    sources_.ReturnForeign(decided.point, std::move(foreign));
    sources_.RemoveCopies(&segments);
    ReportMissing(path, decided, segments, &report_);
    if (output_->Is(HomeOf(found, segments))) {
      if (found.rebuilt_header) {
        return absl::InvalidArgumentError(
            "a ring without headers cannot be recovered in its own directory; "
            "give another one with --out");
      }
      const absl::Status status = RecoverInOutput(path, *ring);
      // Another process has recovered it: its segments are in the output.
      const bool is_gone = absl::IsNotFound(status) && FileIsGone(path);
      return is_gone ? absl::OkStatus() : status;
    }
    return RecoverIntoOutput(found, *ring, decided, segments);
  }

  // Recovers the rings that seemed to lack segments, after one more search for
  // all of them: their processes may have begun segments between the first
  // search and their deaths.
  void RecoverPostponed() {
    if (postponed_.empty()) return;
    const absl::Status found = WithinMemory([&] {
      sources_.Refresh();
      names_.AddInputs(sources_.segments(), *output_);
    });
    was_refreshed_ = true;
    for (const FoundRing* ring : postponed_) {
      ReportError(ring->input.path,
                  [&] { return found.ok() ? RecoverOne(*ring) : found; });
    }
  }

  void ReportGaps(const std::string& path, const LeftoverReport& recovered) {
    const uint64_t losses = report_.result.losses + recovered.losses;
    for (const Gap& gap : recovered.gaps) report_.RingGap(path, gap);
    report_.result.losses = losses;
    const uint64_t others = recovered.gap_count - recovered.gaps.size();
    if (others == 0) return;
    report_.Note(path, absl::StrCat("and ", others,
                                    " more gaps, which are in its segments"));
  }

  absl::Status RecoverInOutput(const std::string& path,
                               const LeftoverRing& ring) {
    const absl::StatusOr<LeftoverReport> report =
        RecoverInPlace(path, ring, output_->directory());
    if (!report.ok()) return report.status();
    ReportGaps(path, *report);
    if (report->segment_path.empty()) return absl::OkStatus();
    const absl::StatusOr<SegmentIndex> content =
        BuildSegmentIndex(report->segment_path);
    if (!content.ok()) return content.status();
    PrintSegment(report->segment_path, *content);
    return absl::OkStatus();
  }

  absl::Status RecoverIntoOutput(const FoundRing& found,
                                 const LeftoverRing& ring,
                                 const DecidedRing& decided,
                                 const Segments& segments) {
    const absl::StatusOr<std::unique_ptr<Staging>> staging =
        Staging::Create(output_.get());
    if (!staging.ok()) return staging.status();
    return (*staging)->WithPaths(
        RecoverIntoStaging(found, ring, decided, segments, staging->get()));
  }

  absl::Status RecoverIntoStaging(const FoundRing& found,
                                  const LeftoverRing& ring,
                                  const DecidedRing& decided,
                                  const Segments& segments, Staging* staging) {
    const SegmentCursor& cursor = decided.facts.cursor;
    Sources sources;
    for (const FoundSegment& segment : segments) {
      const std::string& from = segment.input.path;
      const bool is_last = segment.identity.number == cursor.segment_number;
      const std::string name = is_last ? SegmentFileName(decided.header, cursor)
                                       : std::string(Basename(from));
      const uint64_t limit = is_last && decided.point.is_by_cursor()
                                 ? cursor.segment_bytes
                                 : kWholeFile;
      absl::Status copied =
          CopyFoundSegment(segment.input, limit, SegmentModeOf(decided.header),
                           staging->PathOf(name));
      if (!copied.ok() && !is_last && HasGone(segment)) continue;
      if (!copied.ok()) return copied;
      sources[name] = {from, segment.identity.number >= cursor.segment_number};
    }
    LeftoverReport report;
    if (absl::Status s = AddToSegments(ring.ring.get(), staging->directory(),
                                       SegmentWriterOptions(), &report);
        !s.ok()) {
      return s;
    }
    ReportGaps(found.input.path, report);
    return Finish(staging, sources, found.input);
  }

  // Returns true if retention has deleted the segment since it was found.
  static bool HasGone(const FoundSegment& segment) {
    return segment.input.from_directory && FileIsGone(segment.input.path);
  }

  // Closes and repairs the staged segments, and moves them to the output.
  // `from` is the ring, or the first segment, from which they were made.
  absl::Status Finish(Staging* staging, const Sources& sources,
                      const InputFile& from) {
    const absl::StatusOr<std::vector<std::string>> names =
        staging->directory()->List();
    if (!names.ok()) return names.status();
    std::vector<Staging::Segment> segments;
    for (const std::string& name : *names) {
      if (name == "." || name == "..") continue;
      const auto known = sources.find(name);
      absl::StatusOr<std::optional<Staging::Segment>> segment =
          FinishOne(*staging, name,
                    known == sources.end()
                        ? Source{output_->directory()->PathOf(name), true}
                        : known->second);
      if (!segment.ok()) return segment.status();
      if (!segment->has_value()) continue;
      (*segment)->name = name;
      (*segment)->source =
          known == sources.end() ? from.path : known->second.path;
      segments.push_back(**std::move(segment));
    }
    for (Staging::Segment& segment : segments) {
      const absl::StatusOr<std::string> name = names_.NameFor(
          segment.name, segment.content.identity, from, output_.get());
      if (!name.ok()) return name.status();
      if (absl::Status s = staging->Rename(*name, &segment); !s.ok()) return s;
    }
    if (absl::Status s = staging->MoveToOutput(&segments); !s.ok()) return s;
    for (const Staging::Segment& segment : segments) {
      names_.AddMoved(segment.name, segment.content.identity, from.path);
      PrintSegment(output_->directory()->PathOf(segment.name), segment.content);
    }
    return absl::OkStatus();
  }

  // Closes and repairs one staged segment. Returns nothing if none of it can be
  // read.
  absl::StatusOr<std::optional<Staging::Segment>> FinishOne(
      const Staging& staging, const std::string& name, const Source& source) {
    const std::string path = staging.PathOf(name);
    absl::StatusOr<SegmentIndex> content = BuildSegmentIndex(path);
    if (absl::IsNotFound(content.status()) ||
        absl::IsInvalidArgument(content.status())) {
      report_.Damage(source.path,
                     "truncated or damaged: no intact metadata identifies it");
      return std::nullopt;
    }
    if (!content.ok()) return content.status();
    Staging::Segment segment;
    if (!content->is_intact) {
      segment.is_damaged = ReportDamage(source, *content);
      if (content->frames.empty()) return std::nullopt;
      const std::string repaired = absl::StrCat(name, ".tmp");
      absl::Status status =
          RepairSegment(path, *content, staging.PathOf(repaired));
      if (status.ok()) status = staging.directory().Rename(repaired, name);
      if (!status.ok()) return status;
      content = BuildSegmentIndex(path);
      if (!content.ok()) return content.status();
    }
    report_.result.losses += content->losses;
    segment.content = *std::move(content);
    return segment;
  }

  // Reports the damage in a segment; returns true if there is any.
  bool ReportDamage(const Source& source, const SegmentIndex& content) {
    bool any = false;
    for (const SkippedRegion& region : content.skipped) {
      if (region.has_unverified_records()) {
        report_.Damage(source.path, DescribeUnverified(region));
        any = true;
      }
      if (region.is_truncated && source.may_be_truncated) continue;
      report_.Damage(source.path, ToString(region));
      any = true;
    }
    if (!any && !content.is_closed && !source.may_be_truncated) {
      report_.Damage(source.path,
                     "was not closed; its unwritten records are in its ring; "
                     "give the ring, or its directory");
      any = true;
    }
    return any;
  }

  void PrintSegment(const std::string& path, const SegmentIndex& content) {
    stdout_.Append(absl::StrCat(VisibleLine(path), ": ", content.records,
                                " records, ", content.gaps, " gaps\n"));
  }

  void RecoverWithoutRing() {
    Segments segments;
    while (true) {
      const absl::Status found =
          WithinMemory([&] { segments = sources_.TakeSegmentsWithoutRing(); });
      if (!found.ok()) {
        report_.Unusable(path_, absl::ResourceExhaustedError(
                                    "not enough memory to find the segments "
                                    "without a ring; give fewer files"));
        return;
      }
      if (segments.empty()) return;
      ReportError(segments.front().input.path,
                  [&] { return RecoverSegments(segments); });
    }
  }

  absl::Status RecoverSegments(const Segments& segments) {
    const absl::StatusOr<std::unique_ptr<Staging>> staging =
        Staging::Create(output_.get());
    if (!staging.ok()) return staging.status();
    return (*staging)->WithPaths(CopySegments(segments, staging->get()));
  }

  absl::Status CopySegments(const Segments& segments, Staging* staging) {
    Sources sources;
    for (const FoundSegment& segment : segments) {
      const std::string& from = segment.input.path;
      if (output_->Is(Dirname(from))) {
        if (absl::Status s = CheckInPlace(from); !s.ok()) return s;
        continue;
      }
      const std::string name(Basename(from));
      absl::Status copied =
          CopyFoundSegment(segment.input, kWholeFile, kUnknownSegmentMode,
                           staging->PathOf(name));
      if (!copied.ok() && HasGone(segment)) continue;
      if (!copied.ok()) return copied;
      sources[name] = {from, false};
    }
    return Finish(staging, sources, segments.front().input);
  }

  // Reports the damage in a segment of the output. Leaves the segment
  // unchanged, because only its ring could decide which bytes count.
  absl::Status CheckInPlace(const std::string& path) {
    const absl::StatusOr<SegmentIndex> content = BuildSegmentIndex(path);
    if (!content.ok()) return content.status();
    if (!content->is_intact) ReportDamage({path, false}, *content);
    report_.result.losses += content->losses;
    return absl::OkStatus();
  }

  const std::string path_;  // path of the output
  GapMessages gaps_;
  const DecodeSink sink_;
  Report report_;
  RecoverSources sources_;
  std::vector<const FoundRing*> postponed_;
  bool was_refreshed_ = false;
  Output stdout_;
  std::unique_ptr<RecoverOutput> output_;
  OutputNames names_;
};

}  // namespace

int Recover(const std::vector<std::string>& paths, const std::string& output) {
  return Recovery(paths, output).Run();
}

}  // namespace ringlog
