// What a record says of its entry beyond the text: the pieces that its LOG()
// statement put together, and the context of its thread.

#ifndef RINGLOG_LOGSINK_INTERNAL_ENTRY_EXTENSION_H_
#define RINGLOG_LOGSINK_INTERNAL_ENTRY_EXTENSION_H_

#include <cstddef>

#include "absl/log/log_entry.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/logsink/options.h"

namespace ringlog {

// The most that a record's head may take, of rings whose records have
// extensions. The rest of it is the fixed fields and the name of the file.
inline constexpr size_t kExtendedHeadBytes = 448;
inline constexpr size_t kMaxExtensionBytes = 280;

// True if records may have one, with these options. Text lines do not show it.
bool HasExtension(const RingLogSinkOptions& options);

// The extension of the record of `entry`, written to `out`. What finds no room
// is left out, the pieces first.
//
// Context: as RingLogSink::Send(); calls `context`, if there is one.
absl::string_view MakeExtension(const absl::LogEntry& entry, bool structured,
                                ContextCallback context, absl::Span<char> out);

}  // namespace ringlog

#endif  // RINGLOG_LOGSINK_INTERNAL_ENTRY_EXTENSION_H_
