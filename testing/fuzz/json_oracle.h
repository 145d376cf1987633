// A check of JSON lines that shares no code with the product.

#ifndef RINGLOG_TESTING_FUZZ_JSON_ORACLE_H_
#define RINGLOG_TESTING_FUZZ_JSON_ORACLE_H_

#include "absl/strings/string_view.h"

namespace ringlog {

// Dies unless `lines` are lines, each with a line break, and each line looks
// like one JSON object: in valid UTF-8, without control characters, and with
// braces and quotes that match.
void CheckJsonLines(absl::string_view lines);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_JSON_ORACLE_H_
