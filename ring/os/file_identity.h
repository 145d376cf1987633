// The device and the inode of a file. Together they identify it as long as it
// is open or has a name.

#ifndef RINGLOG_RING_OS_FILE_IDENTITY_H_
#define RINGLOG_RING_OS_FILE_IDENTITY_H_

#include <sys/stat.h>
#include <sys/types.h>

namespace ringlog {

struct FileIdentity {
  dev_t device = 0;
  ino_t inode = 0;

  static FileIdentity Of(const struct stat& st) {
    return {st.st_dev, st.st_ino};
  }

  friend bool operator==(const FileIdentity& a, const FileIdentity& b) {
    return a.device == b.device && a.inode == b.inode;
  }
  friend bool operator!=(const FileIdentity& a, const FileIdentity& b) {
    return !(a == b);
  }
};

}  // namespace ringlog

#endif  // RINGLOG_RING_OS_FILE_IDENTITY_H_
