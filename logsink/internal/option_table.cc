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

// Every row, in the order of options.h.
constexpr OptionRow kRows[] = {
    {"directory", "where segments go", Change::kNever,
     PathOption{Field<&RingLogSinkOptions::directory>(),
                /*may_be_empty=*/false}},
    {"fallback_directory", "where segments go while directory takes none",
     Change::kNever,
     PathOption{Field<&RingLogSinkOptions::fallback_directory>(),
                /*may_be_empty=*/true}},
    {"ring_directory", "where the ring goes; empty: to the segments",
     Change::kNever,
     PathOption{Field<&RingLogSinkOptions::ring_directory>(),
                /*may_be_empty=*/true}},
    {"ring_bytes", "how much may be logged before it is in a segment",
     Change::kNever,
     BytesOption{Field<&RingLogSinkOptions::ring_bytes>(), 64 * kKiB, kGiB}},
    {"overflow", "what happens to a record that finds the ring full",
     Change::kNever, Choice<&RingLogSinkOptions::overflow>(kPolicies)},
    {"block_deadline", "how long overflow=block waits for room, then drops",
     Change::kNever,
     DurationOption{Field<&RingLogSinkOptions::block_deadline>(),
                    absl::ZeroDuration(), absl::Hours(1)}},
    {"min_severity", "records below it are not stored", Change::kAtRunTime,
     Choice<&RingLogSinkOptions::min_severity>(kSeverities)},
    {"format", "of the lines in segments", Change::kNever,
     Choice<&RingLogSinkOptions::format>(kFormats)},
    {"structured", "lines of JSON have the message's template and args",
     Change::kNever, BoolOption{Field<&RingLogSinkOptions::structured>()}},
    {"flush_interval", "how long a record waits for its segment",
     Change::kAtRunTime,
     DurationOption{Field<&RingLogSinkOptions::flush_interval>(),
                    absl::Milliseconds(1), absl::Minutes(1)}},
    {"sync", "what is logged outlives the machine, but for sync_interval",
     Change::kAtRunTime, BoolOption{Field<&RingLogSinkOptions::sync>()}},
    {"sync_interval", "how long a record waits for the disk, with sync",
     Change::kAtRunTime,
     DurationOption{Field<&RingLogSinkOptions::sync_interval>(),
                    absl::Milliseconds(1), absl::Minutes(1)}},
    {"sync_severity", "records from it on go to the disk at once, with sync",
     Change::kAtRunTime,
     Choice<&RingLogSinkOptions::sync_severity>(kSeverities)},
    {"rotation.max_segment_bytes", "a segment of this size is closed",
     Change::kAtRunTime,
     BytesOption{Field<&RingLogSinkOptions::rotation,
                       &RotationOptions::max_segment_bytes>(),
                 4 * kKiB, kNoMost, "for no limit"}},
    {"rotation.interval", "segments end at its multiples since 1970 UTC",
     Change::kAtRunTime,
     DurationOption{
         Field<&RingLogSinkOptions::rotation, &RotationOptions::interval>(),
         absl::Seconds(1), kYear, "for never"}},
    {"rotation.offset", "from 0 o'clock UTC, where an interval begins",
     Change::kAtRunTime,
     DurationOption{
         Field<&RingLogSinkOptions::rotation, &RotationOptions::offset>(),
         -kYear, kYear}},
    {"retention.max_files", "of segments, the oldest beyond go",
     Change::kAtRunTime,
     CountOption{Field<&RingLogSinkOptions::retention,
                       &RetentionOptions::max_files>()}},
    {"retention.max_bytes", "of segments and rings, the oldest beyond go",
     Change::kAtRunTime,
     BytesOption{
         Field<&RingLogSinkOptions::retention, &RetentionOptions::max_bytes>(),
         1, kNoMost, "for no limit"}},
    {"retention.max_age", "older segments go", Change::kAtRunTime,
     DurationOption{
         Field<&RingLogSinkOptions::retention, &RetentionOptions::max_age>(),
         absl::Nanoseconds(1), absl::InfiniteDuration(), "for no limit"}},
    {"retention.min_free_bytes", "of the disk, or the oldest segments go",
     Change::kAtRunTime,
     BytesOption{Field<&RingLogSinkOptions::retention,
                       &RetentionOptions::min_free_bytes>(),
                 1, kNoMost, "for no limit"}},
    {"segment_mode", "of segments, less the umask", Change::kAtRunTime,
     ModeOption{Field<&RingLogSinkOptions::segment_mode>(), 0600}},
    {"recent_records", "how many of the last records are kept in memory",
     Change::kNever,
     NumberOption{Field<&RingLogSinkOptions::recent_records>(), 0, 1000000}},
    {"compression_level", "of zstd", Change::kAtRunTime,
     NumberOption{Field<&RingLogSinkOptions::compression_level>(), 1, 19}},
};

// Of text that is no value: how one is written.
absl::string_view HowWritten(const OptionRow& row, absl::string_view text) {
  if (std::holds_alternative<BytesOption>(row.kind)) {
    return ", as a number with KiB, MiB or GiB";
  }
  if (!std::holds_alternative<DurationOption>(row.kind)) return "";
  return absl::EndsWith(text, "d") ? "; there are no days: a week is 168h"
                                   : ", with a unit, as 200ms";
}

// A member of a struct in the options has a dot in its name.
std::string AsIdentifier(absl::string_view name) {
  return absl::StrReplaceAll(name, {{".", "_"}});
}

bool Holds(const OptionRow& row, const RingLogSinkOptions& options) {
  return std::visit([&](const auto& kind) { return kind.Holds(options); },
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

std::string OptionRow::Allowed() const {
  return std::visit([](const auto& k) { return k.Allowed(); }, kind);
}

std::string OptionRow::AllowedInsteadOf(absl::string_view text) const {
  RingLogSinkOptions unused;
  const bool is_value =
      std::visit([&](const auto& k) { return k.Parse(text, &unused); }, kind);
  return absl::StrCat(Allowed(), is_value ? "" : HowWritten(*this, text));
}

absl::Status OptionRow::Set(absl::string_view text, absl::string_view whose,
                            RingLogSinkOptions* options) const {
  RingLogSinkOptions changed = *options;
  if (!std::visit([&](const auto& k) { return k.Parse(text, &changed); },
                  kind) ||
      !Holds(*this, changed)) {
    return InvalidOption(whose, text, AllowedInsteadOf(text));
  }
  *options = std::move(changed);
  return absl::OkStatus();
}

absl::Status OptionRow::Check(absl::string_view whose,
                              const RingLogSinkOptions& options) const {
  if (Holds(*this, options)) return absl::OkStatus();
  return InvalidOption(whose, Print(options), Allowed());
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
                         "less than rotation.interval, either way");
  }
  const OptionRow& max_bytes = OptionRowOf("retention.max_bytes");
  if (o.retention.max_bytes != 0 && rotation.max_segment_bytes == 0 &&
      rotation.interval == absl::ZeroDuration()) {
    return InvalidOption(naming(max_bytes), max_bytes.Print(o),
                         "0, unless rotation.max_segment_bytes or "
                         "rotation.interval ends the segment");
  }
  // The file of the ring, which is rounded up.
  const uint64_t ring_bytes = kSlotsOffset + absl::bit_ceil(o.ring_bytes);
  uint64_t least = ring_bytes + rotation.max_segment_bytes;
  if (least < ring_bytes) least = std::numeric_limits<uint64_t>::max();
  if (o.retention.max_bytes != 0 && o.retention.max_bytes < least) {
    return InvalidOption(naming(max_bytes), max_bytes.Print(o),
                         absl::StrCat(least,
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

absl::Status InvalidOption(absl::string_view whose, absl::string_view value,
                           absl::string_view allowed) {
  return absl::InvalidArgumentError(
      absl::StrCat(whose, " is ", value.empty() ? "empty" : value,
                   "; allowed is ", allowed));
}

}  // namespace ringlog
