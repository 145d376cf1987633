#include "ringlog/tools/decode_all.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/tools/decode.h"

namespace ringlog {

Decoded DecodeAll(const std::vector<std::string>& paths) {
  Decoded decoded;
  DecodeSink sink;
  sink.on_record = [&](const DecodedRecord& r) {
    if (r.gap != nullptr) {
      decoded.told_gaps.push_back(r.gap->cause);
      return true;
    }
    decoded.texts.emplace_back(r.record.text);
    if (r.origin == Origin::kRing) {
      decoded.ring_texts.emplace_back(r.record.text);
    }
    return true;
  };
  sink.on_gap = [&](const std::string&, const Gap& gap) {
    decoded.gaps.push_back(gap.cause);
  };
  const auto collect = [](std::vector<std::string>* messages) {
    return [messages](const std::string& path, absl::string_view message) {
      messages->push_back(absl::StrCat(path, ": ", message));
    };
  };
  sink.on_damage = collect(&decoded.damage);
  sink.on_note = collect(&decoded.notes);
  sink.on_unusable = [&](const std::string& path, const absl::Status& status) {
    decoded.unusable.push_back(absl::StrCat(path, ": ", status.message()));
  };
  decoded.result = Decode(paths, sink);
  return decoded;
}

}  // namespace ringlog
