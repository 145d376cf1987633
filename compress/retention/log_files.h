// LogFiles
//
// The log files of one program that its user made: lists and deletes them.
// Others may write to the directories, and a forged file costs its author a
// few bytes. Therefore a file is the program's only if all of these are true:
//
//   - it is a regular file with one link, of the owner that files of this
//     process have in the directory, and no other user may write to it
//   - its name is that of a ring or a segment of the program
//   - its content has the same ring and number as the name; a ring's header
//     also names the directory of the segments
//
// The owner of a file is checked before the file is opened: the content of
// others' files is not read.

#ifndef RINGLOG_COMPRESS_RETENTION_LOG_FILES_H_
#define RINGLOG_COMPRESS_RETENTION_LOG_FILES_H_

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "ringlog/compress/retention/retention.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/log_directories.h"
#include "ringlog/compress/segment/segment_file.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/os/directory.h"
#include "ringlog/ring/os/file_identity.h"
#include "ringlog/ring/os/process_identity.h"

namespace ringlog {

// Thread-compatible.
class LogFiles {
 public:
  explicit LogFiles(const LogDirectories& directories);

  struct Listing {
    // The program's files, the oldest names of a directory first.
    std::vector<LogFile> files;
    // Files in the directory of the segments that have names of the program's
    // files, but that another user owns or may write to, or that have several
    // links. At most 4096, without ring ids; `foreign_count` has their number.
    std::vector<LogFile> foreign;
    uint64_t foreign_count = 0;
    // The owner of the program's files in that directory; geteuid() if no file
    // can be created there, for example because the disk is full.
    uid_t owner = 0;
    // False if the listing ended early.
    bool is_complete = true;
    // The first error; the files of that directory are missing. A directory
    // that does not exist is no error, and has no files.
    //   Unavailable: the user namespace does not show whose the files are, or
    //                this process may not create a file in the directory
    //   others:      those of opening and reading a directory
    absl::Status status;

    void AddForeign(LogFile file);
  };

  // Lists the files. Reads the identity of each file once; again if it could
  // not be read and the size of the file has changed. If `must_stop` returns
  // true, ends early, but not before one new identity has been read; the next
  // call continues with the next file. Calls `must_stop` only after it has read
  // the names, which may take long if other users have filled a directory, and
  // takes no memory for the files of others. If `segment_mode`, the mode of the
  // program's segments, has the write bit of the group or of others, a segment
  // with this bit is not foreign.
  Listing List(mode_t segment_mode, absl::FunctionRef<bool()> must_stop);

  // Deletes a file of the last listing, after checking again that it is the
  // program's and the one that was listed.
  //   FailedPrecondition: a process uses it, or another file has its name
  //   NotFound:           it does not exist
  //   Unimplemented:      a ring on a file system without locks, so use cannot
  //                       be seen
  //   others:             those of opening, locking and deleting a file
  //
  // Without locks, a segment counts as in use until its seek table is written,
  // its ring has a later segment, or it was not modified for a day. (A process
  // that writes to such a segment later begins another one.)
  absl::Status Delete(const LogFile& file);

 private:
  // The content of a file, as last identified.
  struct Known {
    FileIdentity identity;
    uint64_t bytes = 0;  // its size
    bool is_ours = false;
    RingId ring_id = {};
    ProcessIdentity process;  // of a ring

    // Returns true if this is still the content of the file.
    bool IsOf(const struct stat& st) const;
  };
  // A file of the own user that has the name of one of the program.
  struct OwnFile {
    std::string name;
    struct stat st = {};
  };
  struct Place {
    std::string path;
    bool has_segments = false;
    std::optional<Directory> directory;  // none if it does not exist
    FileIdentity identity;
    uid_t owner = 0;
    std::vector<OwnFile> files;          // by name; only during List()
    std::map<std::string, Known> known;  // by name
    // Name of the first file that was not identified when a listing ended
    // early. The next one continues there, so that files that grow, and cannot
    // be identified, do not keep it from the others.
    std::string next_name;
  };

  static bool IsOpen(const Place& place, const struct stat& named);
  static absl::Status Open(Place* place);
  bool IsOwn(const Place& place, FileKind kind, const struct stat& st) const;
  void ReadNames(Place* place, Listing* listing) const;
  bool IdentifyAll(Place* place, absl::FunctionRef<bool()> may_identify) const;
  void Collect(Place* place, Listing* listing) const;
  LogFile Describe(const Place& place, const std::string& name,
                   const ParsedFileName& parsed, const struct stat& st) const;
  Known Identify(const Place& place, const std::string& name,
                 const ParsedFileName& parsed, const struct stat& st) const;
  bool IsListed(const LogFile& file, const Place& place,
                const struct stat& st) const;
  bool MayBeWritten(const LogFile& file, const SegmentFile& segment,
                    const struct stat& st) const;
  absl::Status DeleteSegment(const LogFile& file, const Place& place,
                             const std::string& name) const;
  absl::Status DeleteRing(const LogFile& file, const Place& place,
                          const std::string& name) const;

  const std::string program_;
  Place segments_;
  Place rings_;              // empty path: there are no others
  mode_t segment_mode_ = 0;  // of the last listing
  // Highest segment number of each ring in the last complete listing.
  std::map<RingId, uint64_t> last_segments_;
};

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_RETENTION_LOG_FILES_H_
