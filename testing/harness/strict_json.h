// A checker of RFC 8259 that shares no code with json.h, so that tests can use
// it as an oracle.

#ifndef RINGLOG_TESTING_HARNESS_STRICT_JSON_H_
#define RINGLOG_TESTING_HARNESS_STRICT_JSON_H_

#include "absl/strings/string_view.h"

namespace ringlog {

// Returns true if `text` is one JSON value, in valid UTF-8, without unpaired
// surrogates, and without duplicate keys in an object.
bool IsStrictJson(absl::string_view text);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_STRICT_JSON_H_
