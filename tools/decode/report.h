// Counts losses and unusable inputs, and reports them to a DecodeSink.

#ifndef RINGLOG_TOOLS_DECODE_REPORT_H_
#define RINGLOG_TOOLS_DECODE_REPORT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/gap.h"
#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {

// Thread-compatible. `sink` must outlive it.
class Report {
 public:
  explicit Report(const DecodeSink* sink) : sink_(sink) {}

  void Unusable(const std::string& path, const absl::Status& status) {
    ++result.unusable;
    if (sink_->on_unusable) sink_->on_unusable(path, status);
  }
  void Damage(const std::string& path, absl::string_view message) {
    ++result.losses;
    if (sink_->on_damage) sink_->on_damage(path, message);
  }
  void Note(const std::string& path, absl::string_view message) {
    if (sink_->on_note) sink_->on_note(path, message);
  }
  void RingGap(const std::string& path, const Gap& gap) {
    if (IsLoss(gap.cause)) ++result.losses;
    if (sink_->on_gap) sink_->on_gap(path, gap);
  }

  DecodeResult result;

 private:
  const DecodeSink* sink_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_REPORT_H_
