#include "ringlog/tools/cat.h"

#include <errno.h>
#include <unistd.h>

#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/circular_buffer.h"
#include "ringlog/ring/gap.h"
#include "ringlog/tools/decode.h"
#include "ringlog/tools/decode_sink.h"
#include "ringlog/tools/decoded_formatter.h"
#include "ringlog/tools/message.h"
#include "ringlog/tools/output.h"

namespace ringlog {
namespace {

// Records that were being written when their process died, of one ring.
struct Unfinished {
  uint64_t first_position = 0;
  uint64_t end_position = 0;
  uint64_t positions = 0;
};

class Printer {
 public:
  explicit Printer(const CatOptions& options)
      : options_(options),
        formatter_(options.format),
        output_(STDOUT_FILENO, isatty(STDOUT_FILENO) == 1) {
    if (options.last != 0) last_.emplace(options.last);
  }

  int Print(const std::vector<std::string>& paths) {
    const DecodeResult result = Decode(paths, MakeSink());
    for (; last_.has_value() && !last_->empty();) {
      output_.Append(last_->pop_front_ref());
    }
    output_.Flush();
    for (const auto& [path, unfinished] : unfinished_) Tell(path, unfinished);
    // A reader that has gone, as head(1) does, has got what it wanted.
    if (output_.error() != 0 && output_.error() != EPIPE) {
      PrintMessage("standard output",
                   absl::ErrnoToStatus(output_.error(), "write").message());
      return 2;
    }
    return result.exit_status();
  }

 private:
  DecodeSink MakeSink() {
    DecodeSink sink;
    sink.on_record = [this](const DecodedRecord& r) { return OnRecord(r); };
    if (!last_.has_value()) {
      sink.on_lines = [this](absl::string_view lines) {
        return output_.Append(lines);
      };
      sink.lines_format = options_.format;
    }
    sink.on_gap = [this](const std::string& path, const Gap& gap) {
      OnGap(path, gap);
    };
    sink.on_damage = sink.on_note = PrintMessage;
    sink.on_unusable = [](const std::string& path, const absl::Status& status) {
      PrintMessage(path, status.message());
    };
    return sink;
  }

  bool OnRecord(const DecodedRecord& decoded) {
    line_.clear();
    formatter_.Append(decoded, &line_);
    if (!last_.has_value()) return output_.Append(line_);
    last_->push_back(line_);
    return true;
  }

  void OnGap(const std::string& path, const Gap& gap) {
    if (gap.cause != GapCause::kUnfinished) {
      PrintMessage(path, Describe(gap));
      return;
    }
    Unfinished& unfinished = unfinished_[path];
    if (unfinished.positions == 0) {
      unfinished.first_position = gap.first_position;
    }
    unfinished.end_position = gap.end_position;
    unfinished.positions += gap.end_position - gap.first_position;
  }

  static void Tell(const std::string& path, const Unfinished& unfinished) {
    PrintMessage(
        path, absl::StrCat(
                  "not finished when the ring was left: ", unfinished.positions,
                  " slots of records, positions ", unfinished.first_position,
                  " to ", unfinished.end_position - 1,
                  "; whoever logged them had not been told that they are "
                  "safe"));
  }

  const CatOptions options_;
  DecodedFormatter formatter_;
  Output output_;
  std::optional<CircularBuffer<std::string>> last_;
  std::string line_;
  std::map<std::string, Unfinished> unfinished_;
};

}  // namespace

int Cat(const std::vector<std::string>& paths, const CatOptions& options) {
  return Printer(options).Print(paths);
}

}  // namespace ringlog
