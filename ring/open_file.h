// How the library opens what it keeps open.

#ifndef RINGLOG_RING_OPEN_FILE_H_
#define RINGLOG_RING_OPEN_FILE_H_

#include <sys/types.h>

namespace ringlog {

// open(2) with O_CLOEXEC, but for the number: never that of stdin, stdout or
// stderr. In a program that has closed them the file would get what anybody
// writes there. Not even for a moment, for other threads write meanwhile.
//
// -1 with errno on an error; the file has not been made then. Any thread, also
// in a forked child: no lock, no allocation.
int OpenFile(const char* path, int flags, mode_t mode = 0);

}  // namespace ringlog

#endif  // RINGLOG_RING_OPEN_FILE_H_
