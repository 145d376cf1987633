#include "ringlog/tools/command/cat.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/circular_buffer.h"
#include "ringlog/ring/gap.h"
#include "ringlog/tools/command/gap_messages.h"
#include "ringlog/tools/command/message.h"
#include "ringlog/tools/command/output.h"
#include "ringlog/tools/decode/decode.h"
#include "ringlog/tools/decode/decode_sink.h"
#include "ringlog/tools/decode/decoded_formatter.h"
#include "ringlog/tools/decode/memory_guard.h"

namespace ringlog {
namespace {

constexpr absl::string_view kNoMemory =
    "not enough memory; the output ends early; give fewer files";

// Maximum size in bytes of the records that --last keeps in memory.
constexpr size_t kMaxLastBytes = size_t{256} << 20;

class Printer {
 public:
  explicit Printer(const CatOptions& options)
      : options_(options),
        formatter_(options.format),
        output_(STDOUT_FILENO, isatty(STDOUT_FILENO) == 1) {
    if (options.last != 0) last_.emplace(options.last);
  }

  int Print(const std::vector<std::string>& paths) {
    DecodeResult result;
    const absl::Status memory =
        WithinMemory([&] { result = Decode(paths, MakeSink()); });
    PrintLast();
    const bool written = FinishStandardOutput(&output_);
    gaps_.PrintUnfinished();
    if (!memory.ok()) PrintMessage("cat", kNoMemory);
    if (!written || !memory.ok()) return 2;
    return std::max(result.exit_status(), last_is_short_ ? 1 : 0);
  }

 private:
  void PrintLast() {
    if (!last_.has_value()) return;
    last_is_short_ &= !last_->full();
    if (last_is_short_) {
      PrintMessage("--last", absl::StrCat("only the last ", last_->size(),
                                          " records fit in the limit of ",
                                          kMaxLastBytes, " bytes"));
    }
    while (!last_->empty()) output_.Append(last_->pop_front_ref());
  }

  DecodeSink MakeSink() {
    DecodeSink sink;
    sink.on_record = [this](const DecodedRecord& r) { return OnRecord(r); };
    if (!last_.has_value()) {
      sink.on_lines = [this](absl::string_view lines) {
        return OnLines(lines);
      };
      sink.lines_format = options_.format;
    }
    sink.on_gap = [this](const std::string& path, const Gap& gap) {
      gaps_.Add(path, gap);
    };
    sink.on_damage = sink.on_note = PrintMessage;
    sink.on_unusable = [](const std::string& path, const absl::Status& status) {
      PrintMessage(path, status.message());
    };
    return sink;
  }

  bool OnLines(absl::string_view lines) {
    // Text lines are printed as they are.
    if (options_.format == LineFormat::kText) return output_.Append(lines);
    line_.clear();
    formatter_.AppendLines(lines, &line_);
    return output_.Append(line_);
  }

  bool OnRecord(const DecodedRecord& decoded) {
    line_.clear();
    formatter_.Append(decoded, &line_);
    if (!last_.has_value()) return output_.Append(line_);
    KeepLast();
    return true;
  }

  void KeepLast() {
    if (last_->full()) last_bytes_ -= last_->pop_front().size();
    last_bytes_ += line_.size();
    while (!last_->empty() && last_bytes_ > kMaxLastBytes) {
      last_bytes_ -= last_->pop_front().size();
      last_is_short_ = true;
    }
    last_->push_back(line_);
  }

  const CatOptions options_;
  DecodedFormatter formatter_;
  Output output_;
  // Lines of the last records, with --last.
  std::optional<CircularBuffer<std::string>> last_;
  size_t last_bytes_ = 0;
  // True if the memory limit was reached.
  bool last_is_short_ = false;
  // Buffer for one record, or for the lines of a frame.
  std::string line_;
  GapMessages gaps_;
};

}  // namespace

int Cat(const std::vector<std::string>& paths, const CatOptions& options) {
  return Printer(options).Print(paths);
}

}  // namespace ringlog
