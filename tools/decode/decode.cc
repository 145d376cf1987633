#include "ringlog/tools/decode/decode.h"

#include <cstddef>
#include <memory>
#include <optional>
#include <queue>
#include <utility>
#include <vector>

#include "ringlog/compress/line/line_format.h"
#include "ringlog/tools/decode/plan.h"
#include "ringlog/tools/decode/report.h"
#include "ringlog/tools/decode/source.h"

namespace ringlog {
namespace {

bool Deliver(const DecodedRecord& record, const DecodeSink& sink,
             DecodeResult* result) {
  ++(record.origin == Origin::kRing ? result->ring_records
                                    : result->segment_records);
  return sink.on_record(record);
}

void DecodeOne(const SourcePlan& plan, const DecodeSink& sink, Report* report) {
  std::optional<LineFormat> bulk_format;
  if (sink.on_lines != nullptr) bulk_format = sink.lines_format;
  Source source(&plan, report, bulk_format);
  while (source.Next()) {
    if (source.lines_are_ours() && source.lines_format() == bulk_format) {
      if (!sink.on_lines(source.lines())) return;
    } else if (!Deliver(source.record(), sink, &report->result)) {
      return;
    }
  }
}

// A source in the merge, at its next record. Sources of which nothing has been
// delivered yet are not kept open: a directory may have thousands, one after
// the other.
struct Lane {
  int64_t time_ns = 0;
  size_t index = 0;  // of the plan; equal times come in this order
  std::unique_ptr<Source> source;

  bool operator<(const Lane& other) const {  // std::priority_queue: the largest
    return time_ns != other.time_ns ? time_ns > other.time_ns
                                    : index > other.index;
  }
};

class Merge {
 public:
  Merge(const std::vector<SourcePlan>& plans, const DecodeSink& sink,
        Report* report)
      : plans_(plans), sink_(sink), report_(report) {}

  void Run() {
    for (size_t i = 0; i < plans_.size(); ++i) Look(i);
    while (!lanes_.empty()) {
      // priority_queue has no way to move its top out.
      Lane lane = std::move(const_cast<Lane&>(lanes_.top()));
      lanes_.pop();
      if (!RunLane(std::move(lane))) return;
    }
  }

 private:
  // When does plan `i` begin? What this first look finds beside records is
  // found again later, and reported then.
  void Look(size_t i) {
    const DecodeSink nobody;
    Report unheard(&nobody);
    Source source(&plans_[i], &unheard);
    Lane lane;
    lane.index = i;
    if (source.Next()) {
      lane.time_ns = source.record().record.time_ns;
      lanes_.push(std::move(lane));
    } else {
      Source(&plans_[i], report_).Next();  // no record, but perhaps reports
    }
  }

  // Delivers from `lane` until another one's turn comes. False if the sink has
  // enough.
  bool RunLane(Lane lane) {
    if (lane.source == nullptr) {
      lane.source = std::make_unique<Source>(&plans_[lane.index], report_);
      if (!lane.source->Next()) return true;
    }
    do {
      if (!Deliver(lane.source->record(), sink_, &report_->result)) {
        return false;
      }
      if (!lane.source->Next()) return true;
      lane.time_ns = lane.source->record().record.time_ns;
    } while (lanes_.empty() || !(lane < lanes_.top()));
    lanes_.push(std::move(lane));
    return true;
  }

  const std::vector<SourcePlan>& plans_;
  const DecodeSink& sink_;
  Report* report_;
  std::priority_queue<Lane> lanes_;
};

}  // namespace

DecodeResult Decode(const std::vector<std::string>& paths,
                    const DecodeSink& sink) {
  Report report(&sink);
  const std::vector<SourcePlan> plans = MakePlan(paths, &report);
  if (plans.size() == 1) {
    DecodeOne(plans[0], sink, &report);
  } else {
    Merge(plans, sink, &report).Run();
  }
  return report.result;
}

}  // namespace ringlog
