// SeedVotes
//
// Finds the checksum seed for which most slots of a ring vote, in bounded
// memory (the algorithm of Misra and Gries).
//
//   do {
//     for each vote: votes.Add(vote);
//   } while (votes.NeedsRecount());
//   votes.Find()

#ifndef RINGLOG_RING_SEED_VOTES_H_
#define RINGLOG_RING_SEED_VOTES_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"

namespace ringlog {

// Thread-compatible. Takes at most 2 MiB of memory.
class SeedVotes {
 public:
  // A checksum in a ring: the seed that it had if the bytes that it covers are
  // intact, and the position in these bytes.
  struct Vote {
    uint32_t seed = 0;
    uint64_t position = 0;
  };
  struct Winner {
    uint32_t seed = 0;
    uint64_t votes = 0;
    uint64_t lowest_position = 0;
  };

  // Number of seeds that are counted at once.
  static constexpr size_t kMaxSeeds = 16384;

  void Add(const Vote& vote);

  // Returns true if there were more than kMaxSeeds seeds, so that the counts
  // are not exact. The same votes must then be added once more: the second time
  // counts only seeds that may have won.
  bool NeedsRecount();

  // Returns the seed with most votes; of several, the lowest. Its votes are 0
  // if there is none. May miss a seed that fewer than one of kMaxSeeds votes
  // has.
  Winner Find() const;

 private:
  struct Count {
    uint64_t votes = 0;
    uint64_t lowest_position = 0;
  };

  // Removes one vote for each seed.
  void RemoveOneOfEach();

  absl::flat_hash_map<uint32_t, Count> counts_;
  bool is_inexact_ = false;
  bool is_recount_ = false;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_SEED_VOTES_H_
