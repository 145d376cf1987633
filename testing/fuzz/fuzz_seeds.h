// The initial inputs of the fuzz entries: intact and damaged files that the
// product code writes. Most rings have a small crash area, because the regular
// one is larger than all slots.

#ifndef RINGLOG_TESTING_FUZZ_FUZZ_SEEDS_H_
#define RINGLOG_TESTING_FUZZ_FUZZ_SEEDS_H_

#include <string>
#include <vector>

namespace ringlog {

std::vector<std::string> RingSeeds();
std::vector<std::string> SegmentSeeds();
std::vector<std::string> RecoverSeeds();
std::vector<std::string> DirectorySeeds();
std::vector<std::string> LinesSeeds();

}  // namespace ringlog

#endif  // RINGLOG_TESTING_FUZZ_FUZZ_SEEDS_H_
