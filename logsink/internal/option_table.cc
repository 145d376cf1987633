#include "ringlog/logsink/internal/option_table.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <type_traits>
#include <utility>

#include "absl/base/log_severity.h"
#include "absl/numeric/bits.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

using Change = OptionRow::Change;

constexpr uint64_t kKiB = uint64_t{1} << 10;
constexpr uint64_t kGiB = uint64_t{1} << 30;
constexpr absl::Duration kYear = absl::Hours(366 * 24);

template <auto kMember>
constexpr ChoiceOption Choice(absl::Span<const NamedValue> names) {
  return ChoiceOption{
      [](const RingLogSinkOptions& o) { return static_cast<int>(o.*kMember); },
      [](RingLogSinkOptions& o, int value) {
        using Enum = std::decay_t<decltype(o.*kMember)>;
        o.*kMember = static_cast<Enum>(value);
      },
      names};
}

template <typename Enum>
constexpr NamedValue Named(absl::string_view name, Enum value) {
  return NamedValue{name, static_cast<int>(value)};
}

constexpr NamedValue kPolicies[] = {
    Named("drop_newest", OverflowPolicy::kDropNewest),
    Named("block", OverflowPolicy::kBlock),
    Named("overwrite_oldest", OverflowPolicy::kOverwriteOldest),
};
constexpr NamedValue kFormats[] = {
    Named("text", LineFormat::kText),
    Named("json", LineFormat::kJson),
};
constexpr NamedValue kSeverities[] = {
    Named("INFO", absl::LogSeverityAtLeast::kInfo),
    Named("WARNING", absl::LogSeverityAtLeast::kWarning),
    Named("ERROR", absl::LogSeverityAtLeast::kError),
    Named("FATAL", absl::LogSeverityAtLeast::kFatal),
    Named("INFINITY", absl::LogSeverityAtLeast::kInfinity),
};

// All rows, in the order of options.h.
constexpr OptionRow kRows[] = {
    {"directory", "directory of the segments", Change::kNever,
     PathOption{Field<&RingLogSinkOptions::directory>(),
                /*may_be_empty=*/false}},
    {"fallback_directory",
     "directory of the segments while directory cannot be written",
     Change::kNever,
     PathOption{Field<&RingLogSinkOptions::fallback_directory>(),
                /*may_be_empty=*/true}},
    {"ring_directory", "directory of the ring; if empty, that of the segments",
     Change::kNever,
     PathOption{Field<&RingLogSinkOptions::ring_directory>(),
                /*may_be_empty=*/true}},
    {"ring_bytes",
     "size of the ring, which holds records until they are in a segment",
     Change::kNever,
     BytesOption{Field<&RingLogSinkOptions::ring_bytes>(), 64 * kKiB, kGiB}},
    {"overflow", "policy for records if the ring is full", Change::kNever,
     Choice<&RingLogSinkOptions::overflow>(kPolicies)},
    {"block_deadline",
     "longest wait for room with overflow=block, which then drops",
     Change::kNever,
     DurationOption{Field<&RingLogSinkOptions::block_deadline>(),
                    absl::ZeroDuration(), absl::Hours(1)}},
    {"min_severity", "records below this severity are not stored",
     Change::kAtRunTime,
     Choice<&RingLogSinkOptions::min_severity>(kSeverities)},
    {"format", "form of the lines in segments", Change::kNever,
     Choice<&RingLogSinkOptions::format>(kFormats)},
    {"structured",
     "JSON lines have the template and the arguments of a message",
     Change::kNever, BoolOption{Field<&RingLogSinkOptions::structured>()}},
    {"flush_interval", "longest time until a record is in a segment",
     Change::kAtRunTime,
     DurationOption{Field<&RingLogSinkOptions::flush_interval>(),
                    absl::Milliseconds(1), absl::Minutes(1)}},
    {"sync",
     "records survive the machine, except those of the last sync_interval",
     Change::kAtRunTime, BoolOption{Field<&RingLogSinkOptions::sync>()}},
    {"sync_interval", "longest time until a record is on the disk, with sync",
     Change::kAtRunTime,
     DurationOption{Field<&RingLogSinkOptions::sync_interval>(),
                    absl::Milliseconds(1), absl::Minutes(1)}},
    {"sync_severity",
     "records of at least this severity are synced at once, with sync",
     Change::kAtRunTime,
     Choice<&RingLogSinkOptions::sync_severity>(kSeverities)},
    {"rotation.max_segment_bytes",
     "a segment of this compressed size is closed", Change::kAtRunTime,
     BytesOption{Field<&RingLogSinkOptions::rotation,
                       &RotationOptions::max_segment_bytes>(),
                 4 * kKiB, kNoMaxBytes, "for no limit"}},
    {"rotation.interval",
     "a segment is closed at each multiple of this since 1970 UTC",
     Change::kAtRunTime,
     DurationOption{
         Field<&RingLogSinkOptions::rotation, &RotationOptions::interval>(),
         absl::Seconds(1), kYear, "for never"}},
    {"rotation.offset", "time after midnight UTC at which an interval begins",
     Change::kAtRunTime,
     DurationOption{
         Field<&RingLogSinkOptions::rotation, &RotationOptions::offset>(),
         -kYear, kYear}},
    {"retention.max_files",
     "number of segments to keep; the oldest are deleted", Change::kAtRunTime,
     CountOption{Field<&RingLogSinkOptions::retention,
                       &RetentionOptions::max_files>()}},
    {"retention.max_bytes",
     "bytes of segments and rings to keep; the oldest are deleted",
     Change::kAtRunTime,
     BytesOption{
         Field<&RingLogSinkOptions::retention, &RetentionOptions::max_bytes>(),
         1, kNoMaxBytes, "for no limit"}},
    {"retention.max_age", "segments that are older than this are deleted",
     Change::kAtRunTime,
     DurationOption{
         Field<&RingLogSinkOptions::retention, &RetentionOptions::max_age>(),
         absl::Nanoseconds(1), absl::InfiniteDuration(), "for no limit"}},
    {"retention.min_free_bytes",
     "bytes of the disk to keep free; the oldest segments are deleted",
     Change::kAtRunTime,
     BytesOption{Field<&RingLogSinkOptions::retention,
                       &RetentionOptions::min_free_bytes>(),
                 1, kNoMaxBytes, "for no limit"}},
    {"segment_mode", "permission bits of segments, before the umask applies",
     Change::kAtRunTime,
     ModeOption{Field<&RingLogSinkOptions::segment_mode>(), 0600}},
    {"recent_records", "number of records that are kept in memory",
     Change::kNever,
     NumberOption{Field<&RingLogSinkOptions::recent_records>(), 0, 1000000}},
    {"compression_level", "zstd compression level", Change::kAtRunTime,
     NumberOption{Field<&RingLogSinkOptions::compression_level>(), 1, 19}},
};

// Returns how to write a value of this option; `text` is none.
absl::string_view HowWritten(const OptionRow& row, absl::string_view text) {
  if (std::holds_alternative<BytesOption>(row.kind)) {
    return ", as a number with KiB, MiB or GiB";
  }
  if (!std::holds_alternative<DurationOption>(row.kind)) return "";
  return absl::EndsWith(text, "d")
             ? "; there is no unit for days, a week is 168h"
             : ", with a unit, such as 200ms";
}

// Replaces the dot in the name of a member of a member.
std::string AsIdentifier(absl::string_view name) {
  return absl::StrReplaceAll(name, {{".", "_"}});
}

bool IsValid(const OptionRow& row, const RingLogSinkOptions& options) {
  return std::visit([&](const auto& kind) { return kind.IsValid(options); },
                    row.kind);
}

}  // namespace

std::string OptionRow::FlagName() const {
  return absl::StrCat("ringlog_", AsIdentifier(name));
}

std::string OptionRow::VariableName() const {
  return absl::AsciiStrToUpper(FlagName());
}

std::string OptionRow::Print(const RingLogSinkOptions& options) const {
  return std::visit([&](const auto& k) { return k.Print(options); }, kind);
}

std::string OptionRow::ValidValues() const {
  return std::visit([](const auto& k) { return k.ValidValues(); }, kind);
}

std::string OptionRow::ValidValuesFor(absl::string_view text) const {
  RingLogSinkOptions unused;
  const bool is_value =
      std::visit([&](const auto& k) { return k.Parse(text, &unused); }, kind);
  return absl::StrCat(ValidValues(), is_value ? "" : HowWritten(*this, text));
}

absl::Status OptionRow::Set(absl::string_view text, absl::string_view option,
                            RingLogSinkOptions* options) const {
  RingLogSinkOptions changed = *options;
  if (!std::visit([&](const auto& k) { return k.Parse(text, &changed); },
                  kind) ||
      !IsValid(*this, changed)) {
    return InvalidOption(option, text, ValidValuesFor(text));
  }
  *options = std::move(changed);
  return absl::OkStatus();
}

absl::Status OptionRow::Check(absl::string_view option,
                              const RingLogSinkOptions& options) const {
  if (IsValid(*this, options)) return absl::OkStatus();
  return InvalidOption(option, Print(options), ValidValues());
}

absl::Span<const OptionRow> OptionTable() { return kRows; }

const OptionRow& OptionRowOf(absl::string_view name) {
  return *std::find_if(
      std::begin(kRows), std::end(kRows),
      [name](const OptionRow& row) { return row.name == name; });
}

const OptionRow& OptionRowOfFlag(absl::string_view flag_name) {
  return *std::find_if(
      std::begin(kRows), std::end(kRows),
      [&](const OptionRow& row) { return row.FlagName() == flag_name; });
}

std::string OptionName(const OptionRow& row) {
  return absl::StrCat("ringlog option ", row.name);
}

absl::Status CheckOptions(const RingLogSinkOptions& options) {
  return CheckOptions(options, OptionName);
}

absl::Status CheckOptions(const RingLogSinkOptions& options,
                          OptionNaming naming) {
  for (const OptionRow& row : OptionTable()) {
    if (absl::Status s = row.Check(naming(row), options); !s.ok()) return s;
  }
  return CheckRelations(options, naming);
}

absl::Status CheckRelations(const RingLogSinkOptions& o, OptionNaming naming) {
  const RotationOptions& rotation = o.rotation;
  if (rotation.offset != absl::ZeroDuration() &&
      absl::AbsDuration(rotation.offset) >= rotation.interval) {
    return InvalidOption(naming(OptionRowOf("rotation.offset")),
                         absl::FormatDuration(rotation.offset),
                         "less than rotation.interval in absolute value");
  }
  const OptionRow& max_bytes = OptionRowOf("retention.max_bytes");
  if (o.retention.max_bytes != 0 && rotation.max_segment_bytes == 0 &&
      rotation.interval == absl::ZeroDuration()) {
    return InvalidOption(naming(max_bytes), max_bytes.Print(o),
                         "0, unless rotation.max_segment_bytes or "
                         "rotation.interval is set");
  }
  // Bytes of the ring's file. The size of the ring is rounded up.
  const uint64_t ring_bytes = kSlotsOffset + absl::bit_ceil(o.ring_bytes);
  uint64_t min_bytes = ring_bytes + rotation.max_segment_bytes;
  if (min_bytes < ring_bytes) min_bytes = std::numeric_limits<uint64_t>::max();
  if (o.retention.max_bytes != 0 && o.retention.max_bytes < min_bytes) {
    return InvalidOption(naming(max_bytes), max_bytes.Print(o),
                         absl::StrCat(min_bytes,
                                      " or more, for a segment and the ring, "
                                      "or 0 for no limit"));
  }
  return absl::OkStatus();
}

absl::Status CheckChange(const RingLogSinkOptions& from,
                         const RingLogSinkOptions& to) {
  const auto cannot_change = [](absl::string_view name) {
    return absl::InvalidArgumentError(absl::StrCat(
        "ringlog option ", name, " cannot change while the sink runs"));
  };
  for (const OptionRow& row : OptionTable()) {
    const std::string value = row.Print(from);
    const std::string wanted = row.Print(to);
    if (row.change == Change::kNever && value != wanted) {
      return absl::InvalidArgumentError(absl::StrCat(
          cannot_change(row.name).message(), ", from ", value, " to ", wanted));
    }
  }
  return from.context == to.context ? absl::OkStatus()
                                    : cannot_change("context");
}

absl::Status InvalidOption(absl::string_view option, absl::string_view value,
                           absl::string_view valid_values) {
  return absl::InvalidArgumentError(
      absl::StrCat(option, " is ", value.empty() ? "empty" : value,
                   "; must be ", valid_values));
}

}  // namespace ringlog
