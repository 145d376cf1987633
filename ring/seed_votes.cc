#include "ringlog/ring/seed_votes.h"

#include <algorithm>
#include <iterator>

namespace ringlog {

void SeedVotes::Add(const Vote& vote) {
  auto found = counts_.find(vote.seed);
  if (found == counts_.end()) {
    if (is_recount_) return;
    if (counts_.size() == kMaxSeeds) {
      is_inexact_ = true;
      RemoveOneOfEach();
      return;
    }
    found = counts_.emplace(vote.seed, Count()).first;
  }
  Count& count = found->second;
  count.lowest_position = count.votes == 0
                              ? vote.position
                              : std::min(count.lowest_position, vote.position);
  ++count.votes;
}

void SeedVotes::RemoveOneOfEach() {
  for (auto i = counts_.begin(); i != counts_.end();) {
    const auto next = std::next(i);
    if (--i->second.votes == 0) counts_.erase(i);
    i = next;
  }
}

bool SeedVotes::NeedsRecount() {
  if (!is_inexact_ || is_recount_) return false;
  is_recount_ = true;
  for (auto& [seed, count] : counts_) count = Count();
  return true;
}

SeedVotes::Winner SeedVotes::Find() const {
  Winner winner;
  for (const auto& [seed, count] : counts_) {
    if (count.votes > winner.votes ||
        (count.votes == winner.votes && count.votes != 0 &&
         seed < winner.seed)) {
      winner = {seed, count.votes, count.lowest_position};
    }
  }
  return winner;
}

}  // namespace ringlog
