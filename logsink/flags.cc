#include "ringlog/logsink/flags.h"

#include <string>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/logsink/internal/option_table.h"

// The options that are flags, which are all rows of the option table, with '_'
// in place of '.'. It is a macro because ABSL_FLAG() is one. flags_test
// compares it with the table.
#define RINGLOG_FOR_EACH_FLAG(F) \
  F(directory)                   \
  F(fallback_directory)          \
  F(ring_directory)              \
  F(ring_bytes)                  \
  F(overflow)                    \
  F(block_deadline)              \
  F(min_severity)                \
  F(format)                      \
  F(structured)                  \
  F(flush_interval)              \
  F(sync)                        \
  F(sync_interval)               \
  F(sync_severity)               \
  F(rotation_max_segment_bytes)  \
  F(rotation_interval)           \
  F(rotation_offset)             \
  F(retention_max_files)         \
  F(retention_max_bytes)         \
  F(retention_max_age)           \
  F(retention_min_free_bytes)    \
  F(segment_mode)                \
  F(recent_records)              \
  F(compression_level)

namespace ringlog {
namespace {

// The value of a flag: text that the row of its option has accepted. `Option`
// names that row.
template <typename Option>
struct FlagText {
  std::string text = OptionRowOfFlag(Option::kFlag).Print(RingLogSinkOptions());
  bool is_given = false;
};

// Accepts the default in any case, because Abseil parses defaults too, and the
// default of `directory` is not a valid value.
template <typename Option>
bool AbslParseFlag(absl::string_view text, FlagText<Option>* flag,
                   std::string* error) {
  const OptionRow& row = OptionRowOfFlag(Option::kFlag);
  RingLogSinkOptions defaults;
  if (text != row.Print(defaults) && !row.Set(text, "", &defaults).ok()) {
    *error = absl::StrCat("must be ", row.ValidValuesFor(text));
    return false;
  }
  flag->text = std::string(text);
  flag->is_given = true;
  return true;
}

template <typename Option>
std::string AbslUnparseFlag(const FlagText<Option>& flag) {
  return flag.text;
}

std::string HelpText(absl::string_view flag) {
  const OptionRow& row = OptionRowOfFlag(flag);
  return absl::StrCat(row.help, ": ", row.ValidValues());
}

template <typename Option>
void SetFromFlag(const FlagText<Option>& flag, RingLogSinkOptions* options) {
  if (!flag.is_given) return;
  const OptionRow& row = OptionRowOfFlag(Option::kFlag);
  // Cannot fail: AbslParseFlag() has accepted the text. Exception: an empty
  // directory, which leaves the option as it is.
  row.Set(flag.text, row.FlagName(), options).IgnoreError();
}

#define RINGLOG_DECLARE_OPTION(option)                             \
  struct Option_##option {                                         \
    static constexpr absl::string_view kFlag = "ringlog_" #option; \
  };
RINGLOG_FOR_EACH_FLAG(RINGLOG_DECLARE_OPTION)
#undef RINGLOG_DECLARE_OPTION

}  // namespace
}  // namespace ringlog

#define RINGLOG_DEFINE_FLAG(option)                                            \
  ABSL_FLAG(ringlog::FlagText<ringlog::Option_##option>, ringlog_##option, {}, \
            ringlog::HelpText("ringlog_" #option));
RINGLOG_FOR_EACH_FLAG(RINGLOG_DEFINE_FLAG)
#undef RINGLOG_DEFINE_FLAG

namespace ringlog {

absl::StatusOr<RingLogSinkOptions> OptionsFromFlags(
    RingLogSinkOptions defaults) {
#define RINGLOG_SET_FROM_FLAG(option) \
  SetFromFlag(absl::GetFlag(FLAGS_ringlog_##option), &defaults);
  RINGLOG_FOR_EACH_FLAG(RINGLOG_SET_FROM_FLAG)
#undef RINGLOG_SET_FROM_FLAG
  absl::Status status = CheckOptions(defaults, [](const OptionRow& row) {
    return absl::StrCat("flag --", row.FlagName());
  });
  if (!status.ok()) return status;
  return defaults;
}

}  // namespace ringlog
#undef RINGLOG_FOR_EACH_FLAG
