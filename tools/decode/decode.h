// Decodes rings, segments and directories: returns each record once, in order.
// The library below `ringlog` and crash_demo.
//
// Files are read; they are never mapped or changed. A ring and the segments of
// its flusher are one source. The records of a source come in order of
// position: first the segments by number, then the records that only the ring
// has. DecideResumePoint() decides where the segments end and the ring begins.
// Sources are merged by time.
//
//   ringlog::DecodeSink sink;
//   sink.on_record = [](const ringlog::DecodedRecord& r) { ...; return true; };
//   ringlog::DecodeResult result = ringlog::Decode({"/var/log/app"}, sink);
//
// The files of a live process can be decoded too. The result has the records
// that were logged when its ring was read.
//
// Memory: the records that only rings have; for each open source, a zstd window
// and one record. A source is open from its first record to its last.

#ifndef RINGLOG_TOOLS_DECODE_DECODE_H_
#define RINGLOG_TOOLS_DECODE_DECODE_H_

#include <string>
#include <vector>

#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {

// Decodes `paths`. Each path is a ring, a segment, another zstd file with
// lines, or a directory. In a directory, the files with names of rings and
// segments are read; symlinks and subdirectories are not. A file that is given
// twice is read once. Results and damage are reported to `sink`.
DecodeResult Decode(const std::vector<std::string>& paths,
                    const DecodeSink& sink);

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_DECODE_H_
