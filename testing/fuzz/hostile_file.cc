#include "ringlog/testing/fuzz/hostile_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"

namespace ringlog {
namespace {

constexpr uid_t kNobody = 65534;
constexpr size_t kPageBytes = 4096;
constexpr uint8_t kMinHoleBits = 12;
constexpr uint8_t kMaxHoleBits = 40;
constexpr size_t kRingFileBytesOffset = 48;
constexpr mode_t kModes[] = {0600, 0640, 0644, 0666, 0622, 0660};

enum class Kind { kRegular, kHardLink, kSymlink, kFifo, kDirectory };
constexpr Kind kKinds[] = {Kind::kRegular, Kind::kRegular,  Kind::kRegular,
                           Kind::kRegular, Kind::kHardLink, Kind::kSymlink,
                           Kind::kFifo,    Kind::kDirectory};

template <typename Table>
const auto& Pick(const Table& table, size_t index) {
  return table[index % std::size(table)];
}

void WriteAt(int fd, absl::string_view bytes, off_t offset) {
  PCHECK(pwrite(fd, bytes.data(), bytes.size(), offset) ==
         static_cast<ssize_t>(bytes.size()));
}

void WriteContent(int fd, absl::string_view content, const HostileFile& file) {
  const size_t before = std::min<size_t>(
      content.size(),
      file.hole_page % (content.size() / kPageBytes + 2) * kPageBytes);
  off_t hole = 0;
  if (file.hole_bits >= kMinHoleBits && file.hole_bits <= kMaxHoleBits) {
    hole = off_t{1} << file.hole_bits;
  }
  WriteAt(fd, content.substr(0, before), 0);
  WriteAt(fd, content.substr(before), static_cast<off_t>(before) + hole);
  off_t length = static_cast<off_t>(content.size()) + hole;
  if (file.hole_bits > kMaxHoleBits &&
      content.size() >= kRingFileBytesOffset + sizeof(uint64_t)) {
    uint64_t stated = 0;
    std::memcpy(&stated, content.data() + kRingFileBytesOffset, sizeof stated);
    length = std::max<off_t>(
        length, static_cast<off_t>(stated % (uint64_t{1} << kMaxHoleBits)));
  }
  PCHECK(ftruncate(fd, length) == 0);
}

// Returns true if another user owns the file or may write to it.
bool MakeRegular(const std::string& path, absl::string_view content,
                 const HostileFile& file) {
  const int fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  PCHECK(fd >= 0) << path;
  WriteContent(fd, content, file);
  const mode_t mode = Pick(kModes, file.mode);
  // A sandbox may map one user only.
  const bool is_foreign =
      file.owner % 2 == 1 && fchown(fd, kNobody, kNobody) == 0;
  PCHECK(fchmod(fd, mode) == 0);
  close(fd);
  return is_foreign || (mode & 022) != 0;
}

}  // namespace

bool MakeHostileFile(const HostileFile& file,
                     const HostileSurroundings& surroundings) {
  const std::string path = absl::StrCat(surroundings.directory, "/",
                                        Pick(surroundings.names, file.name));
  struct stat st;
  if (lstat(path.c_str(), &st) == 0) return true;
  PCHECK(errno == ENOENT) << path;
  const std::string& target = Pick(surroundings.link_targets, file.content);
  switch (Pick(kKinds, file.kind)) {
    case Kind::kRegular:
      return MakeRegular(path, Pick(surroundings.contents, file.content), file);
    case Kind::kHardLink:
      // link(2) fails if the target is in another file system.
      PCHECK(link(target.c_str(), path.c_str()) == 0 || errno == EXDEV);
      return true;
    case Kind::kSymlink:
      PCHECK(symlink(target.c_str(), path.c_str()) == 0);
      return true;
    case Kind::kFifo:
      PCHECK(mkfifo(path.c_str(), 0666) == 0);
      return true;
    case Kind::kDirectory:
      PCHECK(mkdir(path.c_str(), 0777) == 0);
      return true;
  }
  return true;
}

}  // namespace ringlog
