// Decoding: rings, segments and directories -> records, each once, in order.
// The library under `ringlog` and crash_demo.
//
// Files are read, never mapped, never changed. A ring and the segments that its
// flusher wrote are one source. Its records come in order of position: first
// the segments by number, then what only the ring has; the ring's persist
// cursor says where the one ends and the other begins. Sources are merged by
// time.
//
//   ringlog::DecodeSink sink;
//   sink.on_record = [](const ringlog::DecodedRecord& r) { ...; return true; };
//   ringlog::DecodeResult result = ringlog::Decode({"/var/log/app"}, sink);
//
// A live process's files may be decoded too: what comes out is what had been
// logged when its ring was read.
//
// Memory: what a ring holds beyond its segments, and of each source that is
// open, a zstd window and one record. A source is open from its first record to
// its last.

#ifndef RINGLOG_TOOLS_DECODE_DECODE_H_
#define RINGLOG_TOOLS_DECODE_DECODE_H_

#include <string>
#include <vector>

#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {

// Each path is a ring, a segment, another zstd file with lines, or a directory;
// of a directory the rings and segments in it are read, by their names, and
// neither its symlinks nor its directories. A file that is given twice is read
// once.
DecodeResult Decode(const std::vector<std::string>& paths,
                    const DecodeSink& sink);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_DECODE_H_
