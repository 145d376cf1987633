#include "ringlog/tools/command/verify.h"

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/seek_table.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/tools/command/frame_check.h"
#include "ringlog/tools/command/message.h"
#include "ringlog/tools/command/output.h"
#include "ringlog/tools/command/progress.h"
#include "ringlog/tools/decode/decode_sink.h"
#include "ringlog/tools/decode/memory_guard.h"
#include "ringlog/tools/decode/plan.h"
#include "ringlog/tools/decode/report.h"
#include "ringlog/tools/decode/source.h"

namespace ringlog {
namespace {

// Maximum number of findings that are kept for a file.
constexpr size_t kMaxFindings = 1000;

// The findings in one file.
struct Findings {
  std::vector<std::string> lines;
  // Number of findings after kMaxFindings.
  uint64_t omitted = 0;
  bool is_damaged = false;
};

// The content of a segment, or the records of a ring that are in no segment.
struct Content {
  uint64_t frames = 0;
  uint64_t records = 0;
  uint64_t first_position = 0;
  // 0 if no position is known.
  uint64_t end_position = 0;
  // True if records with unknown positions follow end_position.
  bool has_open_end = false;
  // True if recovery wrote the last frame.
  bool is_recovered = false;

  void AddPositions(uint64_t first, uint64_t end) {
    if (end_position == 0) first_position = first;
    end_position = end;
  }
};

std::string Quantity(uint64_t count, absl::string_view text) {
  return absl::StrCat(count, " ", text, count == 1 ? "" : "s");
}

std::string PositionRange(const Content& content) {
  if (content.first_position >= content.end_position) return "";
  if (content.has_open_end) {
    return absl::StrCat(", positions from ", content.first_position);
  }
  return absl::StrCat(", positions ", content.first_position, " to ",
                      content.end_position - 1);
}

// Returns the path of a file of the source.
const std::string& AnyPath(const SourcePlan& plan) {
  return plan.ring != nullptr ? plan.ring->path : plan.segments.front().path;
}

// Checks files and prints the result for each. Prints the lines of a source
// after reading all of it, because a file can show a defect of the file before
// it.
class Verifier {
 public:
  Verifier()
      : output_(STDOUT_FILENO, isatty(STDOUT_FILENO) == 1),
        progress_(STDERR_FILENO, absl::Now()),
        sink_(MakeSink()),
        report_(&sink_) {
    listener_.on_frame = [this](size_t i, const FrameMetadata& metadata,
                                bool is_intact) {
      OnFrame(plan_->segments[i], metadata, is_intact);
    };
    listener_.on_end = [this](size_t i, const SegmentReader& reader) {
      OnSegmentEnd(plan_->segments[i], reader);
    };
  }

  int Run(const std::vector<std::string>& paths) {
    std::vector<SourcePlan> plans;
    const absl::Status memory =
        WithinMemory([&] { plans = MakePlan(paths, &report_); });
    if (!memory.ok()) report_.Unusable("all files", memory);
    for (const SourcePlan& plan : plans) {
      const absl::Status checked = WithinMemory([&] { CheckSource(plan); });
      if (!checked.ok()) report_.Unusable(AnyPath(plan), checked);
    }
    // The remaining findings are about unusable and empty files, which belong
    // to no source.
    while (!order_.empty()) {
      // A copy, because PrintFile() removes the element.
      const std::string path = order_.front();
      PrintFile(path, "");
    }
    Print(absl::StrCat("total: ", Quantity(files_, "file"), ", ",
                       Quantity(records_, "record"), ", ",
                       Quantity(gaps_, "gap"), ", ", damaged_, " damaged, ",
                       report_.result.unusable, " unusable\n"));
    progress_.Clear();
    if (!FinishStandardOutput(&output_)) return 2;
    return report_.result.exit_status();
  }

 private:
  DecodeSink MakeSink() {
    DecodeSink sink;
    sink.on_damage = [this](const std::string& path, absl::string_view text) {
      AddFinding(path, text);
      findings_[path].is_damaged = true;
    };
    sink.on_note = [this](const std::string& path, absl::string_view text) {
      AddFinding(path, text);
    };
    sink.on_gap = [this](const std::string& path, const Gap& gap) {
      OnGap(path, gap);
    };
    sink.on_unusable = [this](const std::string& path,
                              const absl::Status& status) {
      AddFinding(path, absl::StrCat("unusable: ", status.message()));
    };
    return sink;
  }

  void AddFinding(const std::string& path, absl::string_view text) {
    const auto [place, is_new] = findings_.try_emplace(path);
    if (is_new) order_.push_back(path);
    Findings& findings = place->second;
    if (findings.lines.size() < kMaxFindings) {
      findings.lines.emplace_back(text);
    } else {
      ++findings.omitted;
    }
  }

  void OnGap(const std::string& path, const Gap& gap) {
    ++gaps_;
    AddFinding(path, Describe(gap));
  }

  void CheckSource(const SourcePlan& plan) {
    plan_ = &plan;
    titles_.assign(plan.segments.size(), "");
    content_ = Content();
    check_.Clear();
    end_position_ = 0;
    Content ring_content;
    Source source(&plan, &report_, std::nullopt, &listener_);
    source.PermitLargeWindows();
    while (source.Next()) {
      const DecodedRecord& record = source.record();
      OnRecord(record, &ring_content);
      progress_.Show([this] {
        return absl::StrCat("ringlog: ", files_, " files, ",
                            records_ + content_.records, " records");
      });
    }
    for (size_t i = 0; i < titles_.size(); ++i) {
      const std::string& path = plan.segments[i].path;
      // A segment without title and findings was deleted after the directory
      // was read.
      if (titles_[i].empty() && findings_.count(path) == 0) continue;
      PrintFile(path, titles_[i]);
    }
    if (plan.ring == nullptr) return;
    records_ += ring_content.records;
    PrintFile(
        plan.ring->path,
        absl::StrCat("ring of ", Owner(),
                     plan.ring->may_be_alive ? ", live: " : ", leftover: ",
                     Quantity(ring_content.records, "record"),
                     " not in a segment", PositionRange(ring_content)));
  }

  void OnRecord(const DecodedRecord& record, Content* ring_content) {
    if (record.origin == Origin::kRing) {
      ++ring_content->records;
      ring_content->AddPositions(record.position, record.position + 1);
      return;
    }
    if (record.gap != nullptr) {
      OnGap(*record.path, *record.gap);
    } else {
      ++content_.records;
      ++open_records_;
    }
    if (record.lines_are_ours) check_.Add(record);
  }

  void OnFrame(const SegmentPart& part, const FrameMetadata& metadata,
               bool is_intact) {
    const FrameSummary& summary = metadata.summary;
    std::vector<std::string> found;
    // SegmentReader has reported a damaged or repeated frame.
    if (is_intact) {
      found = check_.Compare(metadata);
      for (std::string& text : found) {
        text = absl::StrCat("does not match its metadata: ", text);
      }
      if (summary.first_position < end_position_) {
        found.push_back(absl::StrCat(
            "begins before the end of the previous frame, ", end_position_));
      }
    }
    for (const std::string& text : found) {
      report_.Damage(
          part.path,
          absl::StrCat("frame with the positions ", summary.first_position,
                       " to ", summary.end_position - 1, " ", text));
    }
    ++content_.frames;
    open_records_ = 0;
    content_.AddPositions(summary.first_position, summary.end_position);
    content_.is_recovered = metadata.identity.is_recovered;
    end_position_ = summary.end_position;
    check_.Clear();
  }

  void OnSegmentEnd(const SegmentPart& part, const SegmentReader& reader) {
    const FrameMetadata* first = reader.first_metadata();
    AddOpenFrame(part, reader);
    open_records_ = 0;
    std::string& title =
        titles_[static_cast<size_t>(&part - plan_->segments.data())];
    if (first == nullptr) {
      title = absl::StrCat("zstd file without ringlog metadata: ",
                           Quantity(content_.records, "record"));
    } else {
      title = absl::StrCat("segment ", first->identity.number, " of ",
                           Owner(part, *first), ": ",
                           Quantity(content_.frames, "frame"), ", ",
                           Quantity(content_.records, "record"),
                           PositionRange(content_), ", ", State(part, reader));
      CheckTable(part, reader);
    }
    records_ += content_.records;
    content_ = Content();
    check_.Clear();
  }

  // Completes the positions of a segment whose open frame has records. An open
  // frame has no metadata frame with positions; the ring's cursor may have
  // them.
  void AddOpenFrame(const SegmentPart& part, const SegmentReader& reader) {
    if (open_records_ == 0 || content_.end_position == 0) return;
    const bool is_intact = std::none_of(
        reader.skipped().begin(), reader.skipped().end(),
        [&](const SkippedRegion& region) {
          return region.is_truncated && region.begin < part.limit_bytes;
        });
    if (is_intact && part.limit_position != 0) {
      content_.end_position =
          std::max(content_.end_position, part.limit_position);
    } else {
      content_.has_open_end = true;
    }
  }

  // Notes a wrong seek table, which is not damage because no reader of ringlog
  // uses the table.
  void CheckTable(const SegmentPart& part, const SegmentReader& reader) {
    if (part.is_limited && !reader.is_closed()) return;
    const absl::Status table = CheckSeekTable(part.path);
    if (table.ok() || part.HasGone(table)) return;
    report_.Note(part.path,
                 absl::StrCat(table.message(), ": no record is lost"));
  }

  std::string State(const SegmentPart& part,
                    const SegmentReader& reader) const {
    if (reader.is_closed()) {
      return content_.is_recovered ? "closed by recovery" : "closed";
    }
    if (plan_->ring == nullptr) return "not closed";
    return plan_->ring->may_be_alive && part.is_limited ? "being written"
                                                        : "still open";
  }

  std::string Owner() const {
    return absl::StrCat(plan_->ring->program, ", process ",
                        plan_->ring->process_id);
  }
  std::string Owner(const SegmentPart& part, const FrameMetadata& first) const {
    if (plan_->ring != nullptr) return Owner();
    const ParsedFileName name = ParseFileName(Basename(part.path));
    if (name.kind == FileKind::kSegment) {
      return absl::StrCat(name.program, ", process ", name.process_id);
    }
    return absl::StrCat("ring ", absl::Hex(RingIdPrefix(first.identity.ring_id),
                                           absl::kZeroPad8));
  }

  // Prints and forgets the findings of a file.
  void PrintFile(const std::string& path, absl::string_view title) {
    Findings findings;
    if (const auto found = findings_.find(path); found != findings_.end()) {
      findings = std::move(found->second);
      findings_.erase(found);
      order_.erase(std::find(order_.begin(), order_.end(), path));
    }
    ++files_;
    if (findings.is_damaged) ++damaged_;
    std::string text = VisibleLine(path);
    absl::StrAppend(&text, title.empty() ? "" : ": ", VisibleLine(title), "\n");
    for (const std::string& line : findings.lines) {
      absl::StrAppend(&text, "  ", absl::StrReplaceAll(line, {{"\n", " "}}),
                      "\n");
    }
    if (findings.omitted != 0) {
      absl::StrAppend(&text, "  and ", findings.omitted, " more\n");
    }
    Print(text);
  }

  // Prints `text` with its control characters as \xHH, also if standard output
  // is not a terminal, because file names may have any bytes.
  void Print(absl::string_view text) {
    progress_.Clear();
    std::string visible;
    AppendVisible(text, &visible);
    output_.Append(visible);
  }

  Output output_;
  Progress progress_;
  const DecodeSink sink_;
  Report report_;
  SegmentListener listener_;

  // Findings that are not printed yet, by path.
  std::map<std::string, Findings> findings_;
  // The keys of findings_, in the order of their first finding.
  std::vector<std::string> order_;
  uint64_t files_ = 0;
  uint64_t records_ = 0;
  uint64_t gaps_ = 0;
  uint64_t damaged_ = 0;

  const SourcePlan* plan_ = nullptr;
  // Titles of the segments of plan_.
  std::vector<std::string> titles_;
  // Content of the present segment.
  Content content_;
  // Number of its records after its last metadata frame.
  uint64_t open_records_ = 0;
  // Records of the present frame.
  FrameCheck check_;
  // End position of the last frame, in this or an earlier segment.
  uint64_t end_position_ = 0;
};

}  // namespace

int Verify(const std::vector<std::string>& paths) {
  return Verifier().Run(paths);
}

}  // namespace ringlog
