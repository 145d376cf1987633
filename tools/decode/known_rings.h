// The rings among the inputs, and the segments that belong to each.
//
// A ring id is random. Two processes may have the same one: if a machine is
// restored twice from one snapshot, both get the same random bytes. The rest of
// the header tells such rings apart; segments have only the id, so their names,
// owners and directories decide. Owners come before directories, because a user
// who may read a segment can forge a ring with its id.

#ifndef RINGLOG_TOOLS_DECODE_KNOWN_RINGS_H_
#define RINGLOG_TOOLS_DECODE_KNOWN_RINGS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/tools/decode/found_segment.h"
#include "ringlog/tools/decode/inputs.h"

namespace ringlog {

// Thread-compatible.
class KnownRings {
 public:
  // Adds a ring. Does nothing if it has been added. If the header is rebuilt,
  // it does not name the owner, and may be that of any ring with its id.
  void Add(const InputFile& input, const RingHeader& header, bool is_rebuilt);

  // Returns the path of a ring in `paths` of which the ring at `path` is a
  // copy: it has the same id and, as far as they are known, the same process,
  // boot and host. Returns nothing if there is none, or if the ring was not
  // added.
  std::optional<std::string> OriginalOf(
      const std::string& path, const std::set<std::string>& paths) const;

  // Returns true if `segment` belongs to the ring at `path`, which was added.
  bool Owns(const std::string& path, const FoundSegment& segment) const;

 private:
  struct KnownRing {
    // Rings that were added earlier have a lower number.
    size_t number = 0;
    RingId id = {};
    bool is_rebuilt = false;
    ProcessIdentity process;
    int64_t created_unix_ns = 0;
    // Parts of the names of its files.
    std::string program;
    std::string host;
    // Owner of the file.
    uid_t owner = 0;
    // Directory of its segments, as far as it is known.
    std::string directory;
    std::string segment_directory;
  };

  // By path.
  using Entry = std::pair<const std::string, KnownRing>;

  static bool IsSameRing(const KnownRing& a, const KnownRing& b);
  static bool IsNamedFor(const FoundSegment& segment, const KnownRing& ring);
  static std::tuple<bool, bool, bool> Nearness(const FoundSegment& segment,
                                               const KnownRing& ring);

  std::map<std::string, KnownRing> rings_;
  // By RingIdPrefix().
  std::multimap<uint32_t, const Entry*> by_prefix_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_KNOWN_RINGS_H_
