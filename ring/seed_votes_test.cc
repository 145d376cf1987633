#include "ringlog/ring/seed_votes.h"

#include <cstdint>

#include "gtest/gtest.h"

namespace ringlog {
namespace {

constexpr uint32_t kManySeeds = 3 * SeedVotes::kMaxSeeds;

TEST(SeedVotesTest, MostVotesWin) {
  SeedVotes votes;
  for (const uint32_t seed : {7u, 3u, 7u, 5u}) votes.Add({seed, 100 - seed});
  votes.Add({7, 90});
  ASSERT_FALSE(votes.NeedsRecount());
  const SeedVotes::Winner winner = votes.Find();
  EXPECT_EQ(winner.seed, 7u);
  EXPECT_EQ(winner.votes, 3u);
  EXPECT_EQ(winner.lowest_position, 90u);
}

TEST(SeedVotesTest, LowestOfEqualSeedsWins) {
  SeedVotes votes;
  for (const uint32_t seed : {9u, 4u, 6u, 9u, 4u}) votes.Add({seed, 1});
  EXPECT_EQ(votes.Find().seed, 4u);
}

TEST(SeedVotesTest, WithoutVotesThereIsNoWinner) {
  EXPECT_EQ(SeedVotes().Find().votes, 0u);
}

TEST(SeedVotesTest, SeedOfAFewVotesWinsAmongManySeeds) {
  constexpr uint32_t kWinner = 1000000000;
  constexpr uint64_t kVotes = 10;
  SeedVotes votes;
  int counts = 0;
  do {
    ++counts;
    for (uint32_t seed = 1; seed <= kManySeeds; ++seed) {
      votes.Add({seed, seed});
      if (seed % (kManySeeds / kVotes) == 0) votes.Add({kWinner, seed});
    }
  } while (votes.NeedsRecount());
  EXPECT_EQ(counts, 2);
  EXPECT_EQ(votes.Find().seed, kWinner);
  EXPECT_EQ(votes.Find().votes, kVotes);
  EXPECT_EQ(votes.Find().lowest_position, kManySeeds / kVotes);
}

}  // namespace
}  // namespace ringlog
