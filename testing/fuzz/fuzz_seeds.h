// What the fuzz entries begin with: healthy and damaged files, made by the code
// that writes them. Most rings are without their crash area, which is most of a
// small one.

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_SEEDS_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_SEEDS_H_

#include <string>
#include <vector>

namespace ringlog {

std::vector<std::string> RingSeeds();
std::vector<std::string> SegmentSeeds();
std::vector<std::string> RecoverSeeds();
std::vector<std::string> LinesSeeds();

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_SEEDS_H_
