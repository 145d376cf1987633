// A ring as a machine finds it that has been started anew.

#ifndef RINGLOG_TESTING_OTHER_BOOT_H_
#define RINGLOG_TESTING_OTHER_BOOT_H_

#include <string>

namespace ringlog {

// The same ring's bytes, with a header, and a copy of it, that name another
// boot. Requires: a header that is whole.
std::string OfAnotherBoot(std::string ring);

}  // namespace ringlog

#endif  // RINGLOG_TESTING_OTHER_BOOT_H_
