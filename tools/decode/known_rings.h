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
//
// A user who may write to the directory can also put files with the ring's id
// next to its segments. So a segment of another user counts only if the ring's
// persist cursor shows that its process became that user: the cursor names the
// newest segment, and the name has a salt that no other user can predict.

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

#include "ringlog/compress/recovery/resume_point.h"
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

  // Stores the facts about the cursor of the ring at `path`. Requires: the ring
  // was added; `header` is its header.
  void SetCursor(const std::string& path, const RingHeader& header,
                 const RingFacts& facts);

  // Finds the owners of the segments that cursors name, for WriterOf(). Call it
  // with all segments that were found, after SetCursor().
  void FindWriters(const std::vector<FoundSegment>& segments);

  // Returns the path of a trusted ring in `paths` that is the same ring as the
  // one at `path`: one file is a copy of the other. May be `path` itself if
  // `paths` has it. Returns nothing if there is no such ring, or if the ring at
  // `path` was not added.
  std::optional<std::string> OriginalOf(
      const std::string& path, const std::set<std::string>& paths) const;

  // Returns how far the process of the ring at `path` may have written the
  // segment, which belongs to the ring. Requires: the ring was added.
  Writer WriterOf(const std::string& path, const FoundSegment& segment) const;

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
  // How well the directory of a segment fits a ring: the greater tuple fits
  // better.
  using Nearness = std::tuple<bool, bool>;

  static constexpr uint64_t kNoLimit = ~uint64_t{0};

  struct Cursor {
    // Its state was lost, or it was not published last: any user may have
    // written segments.
    bool is_lost = false;
    // File name of the segment that it names; empty if there is none.
    std::string segment;
    // The ring has all records of segments with higher numbers, so it does not
    // matter who wrote them.
    uint64_t last_number = kNoLimit;
    // The nearest file with the name `segment`. No owner if files of several
    // owners are as near.
    std::optional<Nearness> nearness;
    std::optional<uid_t> owner;
  };

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
    Cursor cursor;
  };

  // By path.
  using Entry = std::pair<const std::string, KnownRing>;

  // RingIdPrefix() and owner.
  using Key = std::pair<uint32_t, uid_t>;

  static Key KeyOf(const KnownRing& ring);
  std::vector<const Entry*> TrustedRings(uint32_t prefix, uid_t owner) const;
  static bool IsSameRing(const KnownRing& a, const KnownRing& b);
  static bool IsNamedFor(const FoundSegment& segment, const KnownRing& ring);
  static Nearness NearnessOf(const FoundSegment& segment,
                             const KnownRing& ring);

  size_t next_number_ = 0;
  std::map<std::string, KnownRing> rings_;
  std::multimap<Key, const Entry*> by_prefix_;
};

}  // namespace ringlog

#endif  // RINGLOG_TOOLS_DECODE_KNOWN_RINGS_H_
