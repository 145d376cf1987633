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
#include "ringlog/tools/decode/plan.h"
#include "ringlog/tools/decode/report.h"
#include "ringlog/tools/decode/source.h"

namespace ringlog {
namespace {

// Of a file, so many findings are kept.
constexpr size_t kMaxFindings = 1000;

struct Findings {
  std::vector<std::string> lines;
  uint64_t left_out = 0;
  bool is_damaged = false;
};

// What was seen of a segment, or of a ring's rest.
struct Content {
  uint64_t frames = 0;
  uint64_t records = 0;
  uint64_t first_position = 0;
  uint64_t end_position = 0;  // 0 if no position is known
  bool goes_on = false;       // by positions that nobody knows
  bool is_recovered = false;

  void AddPositions(uint64_t first, uint64_t end) {
    if (end_position == 0) first_position = first;
    end_position = end;
  }
};

std::string Counted(uint64_t count, absl::string_view what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

std::string Positions(const Content& content) {
  if (content.first_position >= content.end_position) return "";
  if (content.goes_on) {
    return absl::StrCat(", positions from ", content.first_position, " on");
  }
  return absl::StrCat(", positions ", content.first_position, " to ",
                      content.end_position - 1);
}

// What a file says of itself, and where that is not so, as lines.
class Verifier {
 public:
  Verifier()
      : output_(STDOUT_FILENO, isatty(STDOUT_FILENO) == 1),
        progress_(STDERR_FILENO, absl::Now()),
        sink_(MakeSink()),
        report_(&sink_) {
    listener_.on_frame = [this](size_t i, const FrameMetadata& metadata,
                                bool is_whole) {
      OnFrame(plan_->segments[i], metadata, is_whole);
    };
    listener_.on_end = [this](size_t i, const SegmentReader& reader) {
      OnSegmentEnd(plan_->segments[i], reader);
    };
  }

  int Run(const std::vector<std::string>& paths) {
    const std::vector<SourcePlan> plans = MakePlan(paths, &report_);
    for (const SourcePlan& plan : plans) CheckSource(plan);
    // What is no part of a source: what could not be read, and empty files.
    while (!order_.empty()) {
      const std::string path = order_.front();  // which it removes
      PrintFile(path, "");
    }
    Print(absl::StrCat("total: ", Counted(files_, "file"), ", ",
                       Counted(records_, "record"), ", ", Counted(gaps_, "gap"),
                       ", ", damaged_, " damaged, ", report_.result.unusable,
                       " unusable\n"));
    progress_.Clear();
    if (!FinishStandardOutput(&output_)) return 2;
    return report_.result.exit_status();
  }

 private:
  DecodeSink MakeSink() {
    DecodeSink sink;
    sink.on_damage = [this](const std::string& path, absl::string_view what) {
      Find(path, what);
      findings_[path].is_damaged = true;
    };
    sink.on_note = [this](const std::string& path, absl::string_view what) {
      Find(path, what);
    };
    sink.on_gap = [this](const std::string& path, const Gap& gap) {
      OnGap(path, gap);
    };
    sink.on_unusable = [this](const std::string& path,
                              const absl::Status& status) {
      Find(path, absl::StrCat("cannot be used: ", status.message()));
    };
    return sink;
  }

  void Find(const std::string& path, absl::string_view what) {
    const auto [place, is_new] = findings_.try_emplace(path);
    if (is_new) order_.push_back(path);
    Findings& findings = place->second;
    if (findings.lines.size() < kMaxFindings) {
      findings.lines.emplace_back(what);
    } else {
      ++findings.left_out;
    }
  }

  void OnGap(const std::string& path, const Gap& gap) {
    ++gaps_;
    Find(path, Describe(gap));
  }

  // A finding about one file may come with the next one; so the lines of a
  // source are printed when all of it has been read.
  void CheckSource(const SourcePlan& plan) {
    plan_ = &plan;
    titles_.assign(plan.segments.size(), "");
    content_ = Content();
    check_.Clear();
    end_position_ = 0;
    Content of_ring;
    Source source(&plan, &report_, std::nullopt, &listener_);
    while (source.Next()) {
      const DecodedRecord& record = source.record();
      OnRecord(record, &of_ring);
      progress_.Show([this] {
        return absl::StrCat("ringlog: ", files_, " files, ",
                            records_ + content_.records, " records");
      });
    }
    for (size_t i = 0; i < titles_.size(); ++i) {
      const std::string& path = plan.segments[i].path;
      // Without either it has gone since the directory was read.
      if (titles_[i].empty() && findings_.count(path) == 0) continue;
      PrintFile(path, titles_[i]);
    }
    if (plan.ring == nullptr) return;
    records_ += of_ring.records;
    PrintFile(
        plan.ring->path,
        absl::StrCat("ring of ", Owner(),
                     plan.ring->may_be_alive ? ", live: " : ", left by it: ",
                     Counted(of_ring.records, "record"),
                     of_ring.records == 1 ? " that is in no segment"
                                          : " that are in no segment",
                     Positions(of_ring)));
  }

  void OnRecord(const DecodedRecord& record, Content* of_ring) {
    if (record.origin == Origin::kRing) {
      ++of_ring->records;
      of_ring->AddPositions(record.position, record.position + 1);
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
               bool is_whole) {
    const FrameSummary& said = metadata.summary;
    std::vector<std::string> found;
    // What is repeated, and what damage hides, SegmentReader has told.
    if (is_whole) {
      found = check_.Compare(metadata);
      for (std::string& what : found) {
        what = absl::StrCat("is not what its metadata say: ", what);
      }
      if (said.first_position < end_position_) {
        found.push_back(absl::StrCat(
            "begins before the one before it ends, at ", end_position_));
      }
    }
    for (const std::string& what : found) {
      report_.Damage(part.path, absl::StrCat("the frame with the positions ",
                                             said.first_position, " to ",
                                             said.end_position - 1, " ", what));
    }
    ++content_.frames;
    open_records_ = 0;
    content_.AddPositions(said.first_position, said.end_position);
    content_.is_recovered = metadata.identity.is_recovered;
    end_position_ = said.end_position;
    check_.Clear();
  }

  void OnSegmentEnd(const SegmentPart& part, const SegmentReader& reader) {
    const FrameMetadata* first = reader.first_metadata();
    AddOpenFrame(part, reader);
    open_records_ = 0;
    std::string& title =
        titles_[static_cast<size_t>(&part - plan_->segments.data())];
    if (first == nullptr) {
      title = absl::StrCat("zstd file without metadata of ringlog: ",
                           Counted(content_.records, "record"));
    } else {
      title = absl::StrCat("segment ", first->identity.number, " of ",
                           Owner(part, *first), ": ",
                           Counted(content_.frames, "frame"), ", ",
                           Counted(content_.records, "record"),
                           Positions(content_), ", ", State(part, reader));
      CheckTable(part, reader);
    }
    records_ += content_.records;
    content_ = Content();
    check_.Clear();
  }

  // The open frame has records, and no metadata that tell their positions.
  void AddOpenFrame(const SegmentPart& part, const SegmentReader& reader) {
    if (open_records_ == 0 || content_.end_position == 0) return;
    const bool is_whole =
        std::none_of(reader.skipped().begin(), reader.skipped().end(),
                     [&](const SkippedRegion& region) {
                       return region.is_cut && region.begin < part.limit_bytes;
                     });
    if (is_whole && part.limit_position != 0) {
      content_.end_position =
          std::max(content_.end_position, part.limit_position);
    } else {
      content_.goes_on = true;
    }
  }

  // It is of no use to us, and so no loss.
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

  // The lines of a file, of which nothing is kept.
  void PrintFile(const std::string& path, absl::string_view title) {
    Findings findings;
    if (const auto found = findings_.find(path); found != findings_.end()) {
      findings = std::move(found->second);
      findings_.erase(found);
      order_.erase(std::find(order_.begin(), order_.end(), path));
    }
    ++files_;
    if (findings.is_damaged) ++damaged_;
    std::string text = absl::StrReplaceAll(path, {{"\n", "\\x0a"}});
    absl::StrAppend(&text, title.empty() ? "" : ": ", title, "\n");
    for (const std::string& line : findings.lines) {
      absl::StrAppend(&text, "  ", absl::StrReplaceAll(line, {{"\n", " "}}),
                      "\n");
    }
    if (findings.left_out != 0) {
      absl::StrAppend(&text, "  and ", findings.left_out, " more\n");
    }
    Print(text);
  }

  // Control bytes of file names, too, do not steer a terminal.
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

  std::map<std::string, Findings> findings_;  // that have not been printed
  std::vector<std::string> order_;            // of them
  uint64_t files_ = 0;
  uint64_t records_ = 0;
  uint64_t gaps_ = 0;
  uint64_t damaged_ = 0;

  const SourcePlan* plan_ = nullptr;
  std::vector<std::string> titles_;  // of its segments
  // Of the segment at hand.
  Content content_;
  uint64_t open_records_ = 0;  // since its last metadata
  FrameCheck check_;
  uint64_t end_position_ = 0;  // of its last frame, or the segment's before
};

}  // namespace

int Verify(const std::vector<std::string>& paths) {
  return Verifier().Run(paths);
}

}  // namespace ringlog
