#include "ringlog/tools/decode/item_spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "ringlog/ring/file_source.h"
#include "ringlog/ring/memory_source.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

// Bytes that are written to the file at once.
constexpr size_t kBufferBytes = 256 << 10;
// Larger buffers are not copied in order to grow.
constexpr size_t kMaxCopiedBytes = 1 << 20;

// Opens a file without a name below `directory`. Returns -1 and sets errno on
// an error.
int OpenTemporary(const std::string& directory) {
  const int fd = OpenFile(directory.c_str(), O_TMPFILE | O_RDWR | O_EXCL, 0600);
  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR)) return fd;
  // The file system cannot make files without a name.
  std::string path = absl::StrCat(directory, "/ringlog.XXXXXX");
  const int named = mkostemp(path.data(), O_CLOEXEC);
  if (named >= 0) unlink(path.c_str());
  return named;
}

}  // namespace

// Precedes an item. Head and body of a record follow.
struct ItemSpool::ItemHeader {
  uint64_t position;
  uint32_t position_count;
  uint32_t body_bytes;
  uint16_t head_bytes;
  bool is_gap;
  bool is_crash_report;
  GapCause cause;
};

ItemSpool::~ItemSpool() {
  if (fd_ >= 0) close(fd_);
}

absl::Status ItemSpool::Add(const RecoveredRecord& record) {
  static_assert(sizeof(ItemHeader) == kItemBytes);
  ItemHeader header = {};
  header.position = record.position;
  header.position_count = record.slot_count;
  header.head_bytes = static_cast<uint16_t>(record.head.size());
  header.body_bytes = static_cast<uint32_t>(record.body.size());
  header.is_crash_report = record.is_crash_report;
  for (const absl::string_view bytes :
       {absl::string_view(reinterpret_cast<const char*>(&header),
                          sizeof header),
        record.head, record.body}) {
    if (absl::Status s = Append(bytes); !s.ok()) return s;
  }
  return absl::OkStatus();
}

absl::Status ItemSpool::Add(const Gap& gap) {
  ItemHeader header = {};
  header.position = gap.first_position;
  // At most a lap and the positions of one record.
  header.position_count =
      static_cast<uint32_t>(gap.end_position - gap.first_position);
  header.is_gap = true;
  header.cause = gap.cause;
  return Append(
      absl::string_view(reinterpret_cast<const char*>(&header), sizeof header));
}

absl::Status ItemSpool::Append(absl::string_view bytes) {
  if (fd_ < 0 && bytes.size() > room_->bytes) {
    room_->bytes += buffer_.size();
    if (absl::Status s = WriteBuffer(); !s.ok()) return s;
  } else if (fd_ < 0) {
    room_->bytes -= bytes.size();
    const size_t wanted = buffer_.size() + bytes.size();
    if (wanted > kMaxCopiedBytes && wanted > buffer_.capacity()) {
      buffer_.reserve(wanted + room_->bytes);
    }
  }
  buffer_.append(bytes.data(), bytes.size());
  return fd_ >= 0 && buffer_.size() >= kBufferBytes ? WriteBuffer()
                                                    : absl::OkStatus();
}

// Writes the buffer to the file, which is created first if there is none.
absl::Status ItemSpool::WriteBuffer() {
  const auto failed = [this](absl::string_view operation) {
    const absl::Status status =
        FileStatus(errno, absl::StrCat(operation, " a file in ", path_));
    return absl::Status(
        status.code(),
        absl::StrCat(status.message(),
                     "; TMPDIR can name a directory with more room"));
  };
  if (fd_ < 0) {
    const char* const directory = secure_getenv("TMPDIR");
    path_ = directory == nullptr || *directory == '\0' ? "/tmp" : directory;
    fd_ = OpenTemporary(path_);
    if (fd_ < 0) return failed("create");
  }
  absl::string_view bytes = buffer_;
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd_, bytes.data(), bytes.size(),
                             static_cast<off_t>(written_bytes_));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("write to");
    written_bytes_ += static_cast<uint64_t>(n);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  buffer_ = std::string();
  return absl::OkStatus();
}

absl::Status ItemSpool::Restart() {
  next_ = 0;
  if (source_ != nullptr) return absl::OkStatus();
  if (fd_ < 0) {
    source_ = std::make_unique<MemorySource>(buffer_);
    return absl::OkStatus();
  }
  if (absl::Status s = WriteBuffer(); !s.ok()) return s;
  absl::StatusOr<std::unique_ptr<FileSource>> source =
      FileSource::Make(fd_, absl::StrCat("a file in ", path_), UINT64_MAX);
  if (!source.ok()) return source.status();
  source_ = *std::move(source);
  return absl::OkStatus();
}

absl::StatusOr<RingRecovery::Item> ItemSpool::Next() {
  const absl::StatusOr<absl::string_view> bytes =
      source_->Read(next_, sizeof(ItemHeader));
  if (!bytes.ok()) return bytes.status();
  if (bytes->empty()) return RingRecovery::Item::kEnd;
  ItemHeader header;
  std::memcpy(&header, bytes->data(), sizeof header);
  next_ += sizeof header;
  if (header.is_gap) {
    gap_ = Gap();
    gap_.first_position = header.position;
    gap_.end_position = header.position + header.position_count;
    gap_.cause = header.cause;
    return RingRecovery::Item::kGap;
  }
  const uint64_t size = uint64_t{header.head_bytes} + header.body_bytes;
  const absl::StatusOr<absl::string_view> content = source_->Read(next_, size);
  if (!content.ok()) return content.status();
  next_ += size;
  record_ = RecoveredRecord();
  record_.position = header.position;
  record_.slot_count = header.position_count;
  record_.is_crash_report = header.is_crash_report;
  record_.head = content->substr(0, header.head_bytes);
  record_.body = content->substr(header.head_bytes, header.body_bytes);
  return RingRecovery::Item::kRecord;
}

}  // namespace ringlog
