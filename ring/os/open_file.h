// How the library opens what it keeps open.

#ifndef RINGLOG_RING_OS_OPEN_FILE_H_
#define RINGLOG_RING_OS_OPEN_FILE_H_

#include <sys/types.h>

namespace ringlog {

// open(2) with O_CLOEXEC, but for the number: never that of stdin, stdout or
// stderr. In a program that has closed them the file would get what anybody
// writes there. Such numbers are taken first by something that can be neither
// read nor written, and goes at an exec: for reads and writes it is as if they
// were closed still.
//
// -1 with errno on an error; the file has not been made then. Any thread, also
// in a forked child: no lock, no allocation.
int OpenFile(const char* path, int flags, mode_t mode = 0);

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_OPEN_FILE_H_
