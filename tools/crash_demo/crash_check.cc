#include "ringlog/tools/crash_demo/crash_check.h"

#include <iostream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/record.h"
#include "ringlog/tools/decode/decode.h"

namespace ringlog {
namespace {

constexpr size_t kLastLines = 5;

// Abseil truncates a message that is longer than its buffer of 15,000 bytes.
// The buffer also has the prefix, so only shorter messages are certainly
// complete.
constexpr size_t kUntruncatedBytes = 14000;

}  // namespace

void CrashCounts::Add(const CrashCounts& other) {
  acknowledged += other.acknowledged;
  in_segments += other.in_segments;
  in_ring += other.in_ring;
  unacknowledged += other.unacknowledged;
  unfinished += other.unfinished;
  lost += other.lost;
  duplicated += other.duplicated;
  out_of_order += other.out_of_order;
  changed += other.changed;
  foreign += other.foreign;
  problems += other.problems;
}

CrashCheck::CrashCheck(const CrashWorkload* workload,
                       std::vector<uint64_t> acknowledged)
    : workload_(workload),
      threads_(acknowledged.size()),
      formatter_(LineFormat::kText),
      last_lines_(kLastLines) {
  for (size_t t = 0; t < acknowledged.size(); ++t) {
    threads_[t].acknowledged = acknowledged[t];
    counts_.acknowledged += acknowledged[t];
    // One record of each thread may be found before it is acknowledged.
    threads_[t].seen.resize(acknowledged[t] + 2);
  }
}

CrashCounts CrashCheck::Run(const std::string& directory) {
  DecodeSink sink;
  sink.on_record = [this](const DecodedRecord& decoded) {
    AddRecord(decoded);
    return true;
  };
  sink.on_gap = [this](const std::string& path, const Gap& gap) {
    if (IsLoss(gap.cause)) {
      std::cerr << path << ": " << Describe(gap) << "\n";
    } else {
      counts_.unfinished += gap.end_position - gap.first_position;
    }
  };
  sink.on_damage = [](const std::string& path, absl::string_view message) {
    std::cerr << path << ": " << message << "\n";
  };
  sink.on_unusable = [](const std::string& path, const absl::Status& status) {
    std::cerr << path << ": " << status << "\n";
  };
  const DecodeResult result = Decode({directory}, sink);
  counts_.problems = result.losses + result.unusable;
  CountMissing();
  return counts_;
}

void CrashCheck::AddRecord(const DecodedRecord& decoded) {
  // A gap is not a record of the victim.
  if (decoded.gap != nullptr) return;
  ++(decoded.origin == Origin::kRing ? counts_.in_ring : counts_.in_segments);
  line_.clear();
  formatter_.Append(decoded, &line_);
  last_lines_.push_back(line_);

  const Record& record = decoded.record;
  const auto number = static_cast<uint64_t>(record.line);
  if (record.thread_id < 1 ||
      static_cast<size_t>(record.thread_id) > threads_.size() ||
      record.line < 1 ||
      number >=
          threads_[static_cast<size_t>(record.thread_id) - 1].seen.size()) {
    ++counts_.foreign;
    return;
  }
  Thread& thread = threads_[static_cast<size_t>(record.thread_id) - 1];
  if (thread.seen[number]) {
    ++counts_.duplicated;
    return;
  }
  thread.seen[number] = true;
  if (number < thread.last) ++counts_.out_of_order;
  thread.last = number;
  if (number > thread.acknowledged) ++counts_.unacknowledged;
  if (!Matches(record,
               workload_->Get(static_cast<int>(record.thread_id), number))) {
    ++counts_.changed;
  }
}

void CrashCheck::CountMissing() {
  for (const Thread& thread : threads_) {
    for (uint64_t n = 1; n <= thread.acknowledged; ++n) {
      if (!thread.seen[n]) ++counts_.lost;
    }
  }
}

bool CrashCheck::Matches(const Record& record, const WorkItem& item) const {
  if (record.severity != item.severity || record.file != workload_->name()) {
    return false;
  }
  if (item.text.size() <= kUntruncatedBytes) return record.text == item.text;
  return record.text.size() >= kUntruncatedBytes &&
         absl::StartsWith(item.text, record.text);
}

}  // namespace ringlog
