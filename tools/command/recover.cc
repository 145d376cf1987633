#include "ringlog/tools/command/recover.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "ringlog/compress/recovery/leftover_file.h"
#include "ringlog/compress/recovery/leftover_recovery.h"
#include "ringlog/compress/recovery/leftover_segments.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_index.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/compress/segment/segment_repair.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/ring/ring_header.h"
#include "ringlog/tools/command/gap_messages.h"
#include "ringlog/tools/command/message.h"
#include "ringlog/tools/command/output.h"
#include "ringlog/tools/command/recover_output.h"
#include "ringlog/tools/command/recover_sources.h"
#include "ringlog/tools/decode/decode_sink.h"
#include "ringlog/tools/decode/found_segment.h"
#include "ringlog/tools/decode/report.h"

namespace ringlog {
namespace {

std::string Basename(absl::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));  // npos + 1 is 0
}

// A ring without its bytes: what its segments need.
struct RingEnd {
  RingHeader header = {};
  SegmentCursor cursor;
  bool cursor_decides = false;
  bool is_cursor_damaged = false;
};

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
    for (const FoundRing& ring : sources_.rings) {
      Tell(ring.input.path, RecoverOne(ring));
    }
    Segments segments;
    while (!(segments = sources_.TakeSegmentsWithoutRing()).empty()) {
      Tell(segments.front().input.path, RecoverSegments(segments));
    }
    gaps_.Finish();
    return FinishStandardOutput(&stdout_) ? report_.result.exit_status() : 2;
  }

 private:
  using Segments = std::vector<FoundSegment>;

  struct Source {
    std::string path;
    bool may_be_cut = false;  // the ring has what is not there
  };
  using Sources = std::map<std::string, Source>;  // by the staged file's name

  DecodeSink MakeSink() {
    DecodeSink sink;
    sink.on_gap = [this](const std::string& path, const Gap& gap) {
      gaps_.Tell(path, gap);
    };
    sink.on_damage = sink.on_note = PrintMessage;
    sink.on_unusable = [](const std::string& path, const absl::Status& status) {
      absl::string_view message = status.message();
      absl::ConsumePrefix(&message, absl::StrCat(path, ": "));
      PrintMessage(path, message);
    };
    return sink;
  }

  void Tell(const std::string& path, const absl::Status& status) {
    if (!status.ok()) report_.Unusable(path, status);
  }

  absl::Status RecoverOne(const FoundRing& found) {
    const std::string& path = found.input.path;
    Segments segments = sources_.TakeSegments(found.id);
    absl::StatusOr<LeftoverRing> ring =
        found.rebuilt_header ? ReadLeftover(path, *found.rebuilt_header)
                             : ReadLeftover(path);
    // What a live process writes is left to it.
    if (absl::IsFailedPrecondition(ring.status())) return ring.status();
    const absl::StatusOr<SegmentCursor> cursor =
        ring.ok() ? CursorOf(ring->ring) : ring.status();
    if (!cursor.ok()) {
      sources_.PutBack(std::move(segments));
      if (!absl::IsNotFound(ring.status()) || !found.input.from_directory) {
        return cursor.status();
      }
      // Recovered meanwhile: its segments have everything.
      sources_.AddNewSegments(found);
      return absl::OkStatus();
    }
    const RingEnd end = {
        ring->ring.header, *cursor, CursorDecides(ring->ring),
        LatestCursorIsDamaged(ring->ring.live, ring->ring.header)};
    RemoveUncounted(end, &segments);
    sources_.RemoveCopies(&segments);
    LookForMissing(found, end, segments);
    if (ring->bytes.size < end.header.file_bytes) {
      report_.Damage(path, absl::StrCat("[", ring->bytes.size, "..",
                                        end.header.file_bytes, "): cut off"));
    }
    if (output_->Is(HomeOf(found, segments))) {
      if (found.rebuilt_header) {
        return absl::InvalidArgumentError(
            "a ring that has lost its headers is not recovered in its own "
            "directory; give another one with --out");
      }
      ring = absl::CancelledError();  // its memory is needed a second time
      absl::Status status = RecoverInPlace(path);
      // Its segments are in the output, whoever has made them.
      if (absl::IsNotFound(status) && access(path.c_str(), F_OK) != 0) {
        return absl::OkStatus();
      }
      return status;
    }
    return RecoverIntoOutput(found, *ring, end, segments);
  }

  // What the cursor does not name yet is in the ring.
  static void RemoveUncounted(const RingEnd& end, Segments* segments) {
    if (!end.cursor_decides) return;
    const SegmentCursor& cursor = end.cursor;
    segments->erase(
        std::remove_if(segments->begin(), segments->end(),
                       [&](const FoundSegment& segment) {
                         return segment.number > cursor.segment_number ||
                                (segment.number == cursor.segment_number &&
                                 cursor.segment_bytes == 0);
                       }),
        segments->end());
  }

  void LookForMissing(const FoundRing& found, const RingEnd& end,
                      const Segments& segments) {
    const std::string& path = found.input.path;
    if (end.is_cursor_damaged) {
      report_.Damage(path,
                     "the persist cursor is damaged; what is in the ring and "
                     "in its segments is told apart by the segments");
      return;
    }
    const SegmentCursor& cursor = end.cursor;
    const uint64_t last =
        cursor.segment_number - (cursor.segment_bytes == 0 ? 1 : 0);
    if (cursor.segment_number == 0 || last == 0) return;
    const auto tell = [&](uint64_t from, uint64_t to) {
      if (from > to) return;
      report_.Damage(path, absl::StrCat("its segments ", from, " to ", to,
                                        " are not here; give their directory"));
    };
    // What came before the first that is here, others have removed on purpose.
    uint64_t next = segments.empty() ? 1 : segments.front().number;
    for (const FoundSegment& segment : segments) {
      tell(next, segment.number - 1);
      next = segment.number + 1;
    }
    tell(next, last);
    if (segments.empty() || segments.back().number != cursor.segment_number) {
      return;
    }
    const std::string& last_path = segments.back().input.path;
    const uint64_t bytes = FileBytes(last_path);
    if (bytes >= cursor.segment_bytes) return;
    report_.Damage(last_path,
                   absl::StrCat("[", bytes, "..", cursor.segment_bytes,
                                "): cut off; the ring's cursor says that this "
                                "had been written"));
  }

  // Where the next start of the program would put the records.
  static std::string HomeOf(const FoundRing& found, const Segments& segments) {
    if (!segments.empty()) return DirectoryOf(segments.back().input.path);
    const std::string& recorded = found.segment_directory;
    if (absl::StartsWith(recorded, "/") &&
        access(recorded.c_str(), F_OK) == 0) {
      return recorded;
    }
    return DirectoryOf(found.input.path);
  }

  absl::Status RecoverInPlace(const std::string& path) {
    const absl::StatusOr<LeftoverReport> report =
        RecoverLeftover(path, output_->path(), SegmentWriterOptions());
    if (!report.ok()) return report.status();
    for (const Gap& gap : report->gaps) report_.RingGap(path, gap);
    if (report->segment_path.empty()) return absl::OkStatus();
    const absl::StatusOr<SegmentIndex> content =
        BuildSegmentIndex(report->segment_path);
    if (!content.ok()) return content.status();
    PrintSegment(report->segment_path, *content);
    return absl::OkStatus();
  }

  absl::Status RecoverIntoOutput(const FoundRing& found,
                                 const LeftoverRing& ring, const RingEnd& end,
                                 const Segments& segments) {
    const absl::StatusOr<std::unique_ptr<Staging>> staging =
        Staging::Create(output_.get(), found.id);
    if (!staging.ok()) return staging.status();
    Sources sources;
    for (const FoundSegment& segment : segments) {
      const std::string& from = segment.input.path;
      const bool is_last = segment.number == end.cursor.segment_number;
      const std::string name =
          is_last ? SegmentFileName(end.header, segment.number,
                                    end.cursor.segment_open_time_ns,
                                    end.cursor.format)
                  : Basename(from);
      const uint64_t limit =
          is_last && end.cursor_decides ? end.cursor.segment_bytes : kWholeFile;
      if (absl::Status s = CopySegment(from, limit, (*staging)->PathOf(name));
          !s.ok()) {
        return s;
      }
      sources[name] = {from, segment.number >= end.cursor.segment_number};
    }
    LeftoverReport report;
    if (absl::Status s = AddToSegments(ring.ring, (*staging)->path(),
                                       SegmentWriterOptions(), &report);
        !s.ok()) {
      return s;
    }
    for (const Gap& gap : report.gaps) {
      report_.RingGap(found.input.path, gap);
    }
    return Finish(**staging, sources);
  }

  // Closes and mends what is staged, and publishes it.
  absl::Status Finish(const Staging& staging, const Sources& sources) {
    absl::Status listed;
    std::vector<Staging::Segment> segments;
    for (const std::string& name : ListDirectory(staging.path(), &listed)) {
      if (name == "." || name == "..") continue;
      const auto known = sources.find(name);
      const std::string path = staging.PathOf(name);
      absl::StatusOr<std::optional<Staging::Segment>> segment = FinishOne(
          path, known == sources.end() ? Source{path, true} : known->second);
      if (!segment.ok()) return segment.status();
      if (!segment->has_value()) continue;
      (*segment)->name = name;
      segments.push_back(**std::move(segment));
    }
    if (!listed.ok()) return listed;
    if (absl::Status s = staging.Publish(&segments); !s.ok()) return s;
    for (const Staging::Segment& segment : segments) {
      PrintSegment(absl::StrCat(output_->path(), "/", segment.name),
                   segment.content);
    }
    return absl::OkStatus();
  }

  // Nothing if nothing of it can be read.
  absl::StatusOr<std::optional<Staging::Segment>> FinishOne(
      const std::string& path, const Source& source) {
    absl::StatusOr<SegmentIndex> content = BuildSegmentIndex(path);
    if (absl::IsNotFound(content.status()) ||
        absl::IsInvalidArgument(content.status())) {
      report_.Damage(source.path, "cut or damaged where it says whose it is");
      return std::nullopt;
    }
    if (!content.ok()) return content.status();
    Staging::Segment segment;
    if (!content->is_whole) {
      segment.is_damaged = TellDamage(source, *content);
      if (content->frames.empty()) return std::nullopt;
      const std::string mended = absl::StrCat(path, ".tmp");
      if (absl::Status s = RepairSegment(path, *content, mended); !s.ok()) {
        return s;
      }
      if (rename(mended.c_str(), path.c_str()) != 0) {
        return absl::ErrnoToStatus(errno, absl::StrCat("rename to ", path));
      }
      content = BuildSegmentIndex(path);
      if (!content.ok()) return content.status();
    }
    report_.result.losses += content->losses;
    segment.content = *std::move(content);
    return segment;
  }

  bool TellDamage(const Source& source, const SegmentIndex& content) {
    bool any = false;
    for (const SkippedRegion& region : content.skipped) {
      if (region.has_unverified_records()) {
        report_.Damage(source.path, DescribeUnverified(region));
        any = true;
      }
      if (region.is_cut && source.may_be_cut) continue;
      report_.Damage(source.path, ToString(region));
      any = true;
    }
    if (!any && !content.is_closed && !source.may_be_cut) {
      report_.Damage(source.path,
                     "was not closed; what else there was is in its ring: give "
                     "the ring, or its directory");
      any = true;
    }
    return any;
  }

  void PrintSegment(const std::string& path, const SegmentIndex& content) {
    stdout_.Append(absl::StrCat(path, ": ", content.records, " records, ",
                                content.gaps, " gaps\n"));
  }

  absl::Status RecoverSegments(const Segments& segments) {
    const absl::StatusOr<std::unique_ptr<Staging>> staging =
        Staging::Create(output_.get(), segments.front().ring_id);
    if (!staging.ok()) return staging.status();
    Sources sources;
    for (const FoundSegment& segment : segments) {
      const std::string& from = segment.input.path;
      if (output_->Is(DirectoryOf(from))) {
        if (absl::Status s = LookInPlace(from); !s.ok()) return s;
        continue;
      }
      const std::string name = Basename(from);
      if (absl::Status s =
              CopySegment(from, kWholeFile, (*staging)->PathOf(name));
          !s.ok()) {
        return s;
      }
      sources[name] = {from, false};
    }
    return Finish(**staging, sources);
  }

  // Only its ring could tell what is right: it stays as it is.
  absl::Status LookInPlace(const std::string& path) {
    const absl::StatusOr<SegmentIndex> content = BuildSegmentIndex(path);
    if (!content.ok()) return content.status();
    if (!content->is_whole) TellDamage({path, false}, *content);
    report_.result.losses += content->losses;
    return absl::OkStatus();
  }

  const std::string path_;  // of the output
  GapMessages gaps_;
  const DecodeSink sink_;
  Report report_;
  RecoverSources sources_;
  Output stdout_;
  std::unique_ptr<RecoverOutput> output_;
};

}  // namespace

int Recover(const std::vector<std::string>& paths, const std::string& output) {
  return Recovery(paths, output).Run();
}

}  // namespace ringlog
