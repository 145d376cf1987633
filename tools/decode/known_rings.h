// The rings among the inputs, and the segments that belong to each.
//
// A ring id is random. Two processes may have the same one: if a machine is
// restored twice from one snapshot, both get the same random bytes. The rest of
// the header tells such rings apart; segments have only the id, so their names,
// owners and directories decide.
//
// A user who may read a segment can forge a ring with its id. So a ring owns a
// segment of another user, or refuses a ring of another user as its copy, only
// if it belongs to root or to the user of this process.

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
#include <vector>

#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/os/process_identity.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/tools/decode/found_segment.h"
#include "ringlog/tools/decode/inputs.h"

namespace ringlog {

// Thread-compatible. Two rings are the same ring if they have the same id and,
// unless one of the headers was rebuilt, the same process, boot, host and time
// of creation.
class KnownRings {
 public:
  // Number of rings of one user whose ids may have the same first 4 bytes. The
  // cost of Owns() is proportional to it.
  static constexpr size_t kMaxRingsOfId = 32;

  KnownRings() = default;
  // by_prefix_ has pointers into rings_.
  KnownRings(const KnownRings&) = delete;
  KnownRings& operator=(const KnownRings&) = delete;

  // Adds the ring at input.path. If the same ring was added with this path,
  // does nothing. If another ring was added with this path, replaces it,
  // because another process has replaced the file. A rebuilt header does not
  // name the owner, and is that of the same ring as any header with its id.
  // Returns false if there are more than kMaxRingsOfId rings; it was not added.
  bool Add(const InputFile& input, const RingHeader& header, bool is_rebuilt);

  // Returns the path of a trusted ring in `paths` that is the same ring as the
  // one at `path`: one file is a copy of the other. May be `path` itself if
  // `paths` has it. Returns nothing if there is no such ring, or if the ring at
  // `path` was not added.
  std::optional<std::string> OriginalOf(
      const std::string& path, const std::set<std::string>& paths) const;

  // Returns the owner of the ring at `path`. Requires: the ring was added.
  uid_t FileOwnerOf(const std::string& path) const {
    return rings_.at(path).owner;
  }

  // Returns true if `segment` belongs to the ring at `path`. If several rings
  // have its id, it belongs to one of them only, or to several copies of one
  // ring. Returns false if the ring was not added.
  bool Owns(const std::string& path, const FoundSegment& segment) const {
    return RingOf(segment, {path}) != nullptr;
  }

  // Returns the ring in `paths` that owns the segment; nullptr if there is
  // none. Valid until the next call of Add(). The cost does not depend on the
  // number of rings.
  const std::string* RingOf(const FoundSegment& segment,
                            const std::set<std::string>& paths) const;

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

  // RingIdPrefix() and owner.
  using Key = std::pair<uint32_t, uid_t>;

  static Key KeyOf(const KnownRing& ring);
  std::vector<const Entry*> TrustedRings(uint32_t prefix, uid_t owner) const;
  static bool IsSameRing(const KnownRing& a, const KnownRing& b);
  static bool IsNamedFor(const FoundSegment& segment, const KnownRing& ring);
  static std::tuple<bool, bool, bool> Nearness(const FoundSegment& segment,
                                               const KnownRing& ring);

  size_t next_number_ = 0;
  std::map<std::string, KnownRing> rings_;
  std::multimap<Key, const Entry*> by_prefix_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_KNOWN_RINGS_H_
