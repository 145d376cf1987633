// Whose segment a file is.

#ifndef RINGLOG_COMPRESS_SEGMENT_IDENTIFY_SEGMENT_H_
#define RINGLOG_COMPRESS_SEGMENT_IDENTIFY_SEGMENT_H_

#include <cstdint>
#include <optional>

#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"

namespace ringlog {

// The first metadata of `file`, as far as `limit`. What is in a message is not
// taken for them: they are where the frames' headers lead to, one frame after
// the other from byte 0. Where those lead nowhere, the file is searched for
// metadata that say that their frame began where the headers lead to, or behind
// other metadata there. Only if the first frame and its metadata are gone, any
// metadata will do that have their frame before them and another behind. What
// is searched for has to be what the file's name says, if that is one of ours:
// a message may hold metadata too. nullopt if a first frame is cut.
std::optional<FrameMetadata> IdentifySegment(const SegmentFile& file,
                                             uint64_t limit);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SEGMENT_IDENTIFY_SEGMENT_H_
