// A checker of RFC 8259 for tests: an oracle that shares nothing with json.h.

#ifndef RINGLOG_TESTING_HARNESS_STRICT_JSON_H_
#define RINGLOG_TESTING_HARNESS_STRICT_JSON_H_

#include "absl/strings/string_view.h"

namespace ringlog {

// True if `text` is one JSON value, as the grammar has it, in valid UTF-8, with
// no half surrogate pair, and with no key twice in an object.
bool IsStrictJson(absl::string_view text);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_STRICT_JSON_H_
