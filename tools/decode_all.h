// All that a decoding gives, in one piece, for tests.

#ifndef RINGLOG_TOOLS_DECODE_ALL_H_
#define RINGLOG_TOOLS_DECODE_ALL_H_

#include <string>
#include <vector>

#include "ringlog/ring/gap.h"
#include "ringlog/tools/decode_sink.h"

namespace ringlog {

struct Decoded {
  std::vector<std::string> texts;       // of records that are no gaps
  std::vector<std::string> ring_texts;  // those of them that a ring had
  std::vector<GapCause> gaps;           // of rings
  std::vector<GapCause> told_gaps;      // that segments tell of
  std::vector<std::string> damage;      // "PATH: MESSAGE", and so the next two
  std::vector<std::string> notes;
  std::vector<std::string> unusable;
  DecodeResult result;
};

Decoded DecodeAll(const std::vector<std::string>& paths);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_ALL_H_
