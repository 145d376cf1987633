#include "ringlog/compress/retention/retention_runner.h"

#include <errno.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/monotonic_time.h"
#include "ringlog/ring/os/stderr_log.h"

namespace ringlog {
namespace {

constexpr absl::Duration kReportInterval = absl::Minutes(1);

absl::StatusOr<uint64_t> FreeBytesOf(const std::string& directory) {
  struct statvfs st;
  if (statvfs(directory.c_str(), &st) != 0) {
    return FileStatus(
        errno, absl::StrCat("read the free space of the disk of ", directory));
  }
  const uint64_t max = std::numeric_limits<uint64_t>::max();
  const uint64_t blocks = st.f_bavail;
  if (st.f_frsize != 0 && blocks > max / st.f_frsize) return max;
  return blocks * st.f_frsize;
}

// Returns `text` as one word of a shell.
std::string ShellWord(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

}  // namespace

RetentionRunner::RetentionRunner(const LogDirectories& directories)
    : directories_(directories), files_(directories) {}

bool RetentionRunner::Run(const RetentionPolicy& policy,
                          absl::FunctionRef<bool()> must_stop) {
  const RetentionOptions& limits = policy.limits;
  if (!limits.has_limit()) return true;
  LogFiles::Listing listing = files_.List(policy.segment_mode, must_stop);
  Report(listing.status);
  // The oldest files may be missing in it.
  if (!listing.is_complete) return false;
  const absl::Duration now = MonotonicTime();
  failures_.RemoveDeleted();
  for (LogFile& file : listing.files) {
    file.stays |= failures_.IsRecent(file.path, now);
  }
  std::optional<uint64_t> free_bytes = FreeBytes(limits);
  const bool is_done =
      DeleteExcess(limits, must_stop, &listing.files, &free_bytes);
  if (is_done) ReportForeign(limits, listing, free_bytes);
  if (now - reported_at_ >= kReportInterval) ReportDeletedRings();
  return is_done;
}

// Returns the free bytes if there is a limit for them and they are known.
std::optional<uint64_t> RetentionRunner::FreeBytes(
    const RetentionOptions& limits) {
  if (limits.min_free_bytes == 0) return std::nullopt;
  const absl::StatusOr<uint64_t> free = FreeBytesOf(directories_.segments);
  Report(free.status());
  if (!free.ok()) return std::nullopt;
  return *free;
}

// Returns true if there are no more excess files that can be deleted. Removes
// the deleted files from `*files`.
//
// Calculates the free space instead of reading it again: a deleted file that
// another process reads frees its space later, and no other file needs to be
// deleted instead.
bool RetentionRunner::DeleteExcess(const RetentionOptions& limits,
                                   absl::FunctionRef<bool()> must_stop,
                                   std::vector<LogFile>* files,
                                   std::optional<uint64_t>* free_bytes) {
  while (true) {
    const std::vector<size_t> excess =
        ExcessFiles(*files, limits, absl::Now(), *free_bytes);
    if (excess.empty()) return true;
    for (const size_t i : excess) {
      LogFile& file = (*files)[i];
      if (!Delete(file)) {
        file.stays = true;
      } else {
        if (!file.is_elsewhere) {
          *free_bytes = FreeBytesAfter(*free_bytes, file.bytes);
        }
        file.path.clear();
      }
      if (must_stop()) return false;
    }
    // If some files stay, others are excess.
    files->erase(
        std::remove_if(files->begin(), files->end(),
                       [](const LogFile& file) { return file.path.empty(); }),
        files->end());
  }
}

bool RetentionRunner::Delete(const LogFile& file) {
  const absl::Status status = files_.Delete(file);
  if (status.ok()) {
    ++deleted_files_;
    if (file.kind == FileKind::kRing && unreported_rings_++ == 0) {
      unreported_path_ = file.path;
    }
    return true;
  }
  if (absl::IsNotFound(status)) return true;
  // It is in use, or another file.
  if (absl::IsFailedPrecondition(status)) return false;
  failures_.Add(file.path, MonotonicTime());
  Report(status);
  return false;
}

void RetentionRunner::Report(const absl::Status& error) {
  if (error.ok()) return;
  ++errors_;
  WarnRateLimited(error.message());
}

void RetentionRunner::ReportForeign(const RetentionOptions& limits,
                                    const LogFiles::Listing& listing,
                                    std::optional<uint64_t> free_bytes) {
  if (has_reported_foreign_ || listing.foreign.empty()) return;
  std::vector<LogFile> all = listing.files;
  all.insert(all.end(), listing.foreign.begin(), listing.foreign.end());
  if (ExcessFiles(all, limits, absl::Now(), free_bytes).empty()) return;
  has_reported_foreign_ = true;
  WarnDataLoss(absl::StrCat(
      "enforce the retention limits in ", directories_.segments, ": ",
      listing.foreign_count, " files named ", directories_.program,
      ".* are not files that user ", listing.owner,
      " alone may change, and are not deleted; list them with: find ",
      ShellWord(directories_.segments), " -maxdepth 1 -type f -name ",
      ShellWord(absl::StrCat(directories_.program, ".*")), " '(' ! -uid ",
      listing.owner, " -o -perm /022 -o -links +1 ')' -ls"));
}

void RetentionRunner::ReportDeletedRings() {
  if (unreported_rings_ == 0) return;
  const std::string others =
      unreported_rings_ == 1
          ? ""
          : absl::StrCat(" and ", unreported_rings_ - 1, " more");
  WarnDataLoss(absl::StrCat("deleted unrecovered ring ", unreported_path_,
                            others, " to enforce the retention limits"));
  unreported_rings_ = 0;
  reported_at_ = MonotonicTime();
}

}  // namespace ringlog
