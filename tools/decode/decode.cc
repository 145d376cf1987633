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
  source.PermitLargeWindows();
  while (source.Next()) {
    if (source.lines_are_ours() && source.lines_format() == bulk_format) {
      if (!sink.on_lines(source.lines())) return;
    } else if (!Deliver(source.record(), sink, &report->result)) {
      return;
    }
  }
}

// A source in the merge, at its next record. A source is not kept open before
// its first record is delivered, because a directory may have thousands of
// sources.
struct Lane {
  int64_t time_ns = 0;
  size_t index = 0;  // index of the plan; the order of equal times
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
    for (size_t i = 0; i < plans_.size(); ++i) AddLane(i);
    while (!lanes_.empty()) {
      // priority_queue has no way to move its top out.
      Lane lane = std::move(const_cast<Lane&>(lanes_.top()));
      lanes_.pop();
      if (!RunLane(std::move(lane))) return;
    }
  }

 private:
  // Adds a lane for plan `i`, with the time of its first record. Discards other
  // results: they are found again, and reported, when the lane runs.
  void AddLane(size_t i) {
    const DecodeSink discard;
    Report discarded(&discard);
    Source source(&plans_[i], &discarded);
    Lane lane;
    lane.index = i;
    if (source.Next()) {
      lane.time_ns = source.record().record.time_ns;
      lanes_.push(std::move(lane));
    } else {
      Source(&plans_[i], report_).Next();  // no record; reports the damage
    }
  }

  // Delivers records from `lane` until another lane has the earliest record.
  // Returns false if the sink ended the decoding.
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
