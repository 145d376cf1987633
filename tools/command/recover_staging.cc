#include "ringlog/tools/command/recover_staging.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <cstddef>

#include "absl/memory/memory.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/line/parsed_record.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/os/fork_closed_file.h"

namespace ringlog {
namespace {

absl::Status IsInTheWay(absl::string_view message) {
  return absl::AlreadyExistsError(
      absl::StrCat(message, "; move it away, or give another --out"));
}

// Returns the next record that is no gap; empty at the end.
absl::string_view NextRecord(SegmentReader* reader) {
  absl::string_view lines;
  ParsedRecord parsed;
  SegmentReader::Result result;
  while ((result = reader->Next(&lines)) != SegmentReader::Result::kEnd) {
    if (result != SegmentReader::Result::kRecord) continue;
    const bool is_gap =
        ParseLines(reader->format(), lines, &parsed) && parsed.is_gap;
    if (!is_gap && !lines.empty()) return lines;
  }
  return {};
}

// Returns true if the segment at `whole` has all records of the one at `part`,
// in the same order. The last record of `part` may lack its end, because the
// frame may have been open. Gaps do not count: they depend on the moment.
absl::StatusOr<bool> HasAllRecords(const std::string& whole,
                                   const std::string& part) {
  const auto wholes = SegmentReader::Open(whole);
  if (!wholes.ok()) return wholes.status();
  const auto parts = SegmentReader::Open(part);
  if (!parts.ok()) return parts.status();
  absl::string_view record;
  while (!(record = NextRecord(parts->get())).empty()) {
    bool is_begin = false;
    absl::string_view found;
    do {
      found = NextRecord(wholes->get());
      is_begin |= absl::StartsWith(found, absl::StripSuffix(record, "\n"));
    } while (!found.empty() && found != record);
    if (found.empty()) return is_begin && NextRecord(parts->get()).empty();
  }
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Staging>> Staging::Create(
    RecoverOutput* output) {
  char random[16];
  if (getrandom(random, sizeof random, 0) !=
      static_cast<ssize_t>(sizeof random)) {
    return absl::ErrnoToStatus(errno, "get random bytes");
  }
  std::string name = absl::StrCat(
      kRecoverPrefix,
      absl::BytesToHexString(absl::string_view(random, sizeof random)));
  const Directory& parent = *output->directory();
  if (absl::Status s = parent.MakeDirectory(name, kStagingMode); !s.ok()) {
    return s;
  }
  absl::StatusOr<Directory> directory = parent.OpenDirectory(name);
  if (!directory.ok()) return directory.status();
  return absl::WrapUnique(
      new Staging(output, std::move(name), *std::move(directory)));
}

Staging::~Staging() { DeleteStaging(directory_, *output_->directory(), name_); }

std::string Staging::PathOf(const std::string& name) const {
  return absl::StrCat(directory_.DescriptorPath(), "/", name);
}

absl::Status Staging::WithPaths(const absl::Status& status) const {
  return absl::Status(status.code(),
                      WithPathOf(directory_, WithPathOf(*output_->directory(),
                                                        status.message())));
}

absl::Status Staging::Rename(const std::string& name, Segment* segment) {
  if (name == segment->name) return absl::OkStatus();
  if (absl::Status s = directory_.Rename(segment->name, name); !s.ok()) {
    return s;
  }
  segment->name = name;
  return absl::OkStatus();
}

absl::StatusOr<Staging::Place> Staging::CheckPlace(mode_t staged_mode,
                                                   Segment* segment) {
  Directory* const output = output_->directory();
  const std::string path = output->PathOf(segment->name);
  const ForkClosedFile file = output->OpenFile(segment->name, O_RDONLY);
  if (file.fd() < 0) {
    if (errno == ENOENT) return Place::kFree;
    return IsInTheWay(FileStatus(errno, absl::StrCat("open ", path)).message());
  }
  if (absl::Status s =
          output->CheckIsOwn(file.fd(), segment->name, staged_mode);
      !s.ok()) {
    return IsInTheWay(s.message());
  }
  absl::StatusOr<SegmentIndex> there =
      BuildSegmentIndex(DescriptorPath(file.fd()));
  if (!there.ok() ||
      !there->identity.IsSameSegment(segment->content.identity)) {
    return IsInTheWay(absl::StrCat(path, ": exists and is not this segment"));
  }
  // The existing segment may be of a later moment, or from an intact source.
  const bool is_better =
      there->is_intact &&
      (segment->is_damaged || there->records > segment->content.records);
  const std::string there_path = DescriptorPath(file.fd());
  const std::string staged_path = PathOf(segment->name);
  const absl::StatusOr<bool> is_same =
      is_better ? HasAllRecords(there_path, staged_path)
                : HasAllRecords(staged_path, there_path);
  if (!is_same.ok()) return is_same.status();
  if (!*is_same) {
    return IsInTheWay(absl::StrCat(path, ": has other records than ",
                                   segment->source,
                                   ", which has the same ring id and number"));
  }
  if (!is_better) return Place::kFree;
  segment->content = *std::move(there);
  return Place::kTaken;
}

absl::StatusOr<mode_t> Staging::CheckStaged(const std::string& name) {
  const ForkClosedFile file = directory_.OpenFile(name, O_RDONLY);
  struct stat st;
  if (file.fd() < 0 || fstat(file.fd(), &st) != 0) {
    return FileStatus(errno, absl::StrCat("open ", directory_.PathOf(name)));
  }
  // No other user could open the file yet, so its mode is the one that this run
  // gave it.
  if (absl::Status s = directory_.CheckIsOwn(file.fd(), name, ACCESSPERMS);
      !s.ok()) {
    return s;
  }
  return st.st_mode & ACCESSPERMS;
}

absl::Status Staging::MoveToOutput(std::vector<Segment>* segments) {
  std::vector<Place> places;
  for (Segment& segment : *segments) {
    const absl::StatusOr<mode_t> mode = CheckStaged(segment.name);
    if (!mode.ok()) return mode.status();
    const absl::StatusOr<Place> place = CheckPlace(*mode, &segment);
    if (!place.ok()) return place.status();
    places.push_back(*place);
  }
  // Death here: some segments are in their places. The next run makes all of
  // them again, with the same bytes.
  for (size_t i = 0; i < segments->size(); ++i) {
    if (places[i] == Place::kTaken) continue;
    if (absl::Status s =
            directory_.RenameInto(*output_->directory(), (*segments)[i].name);
        !s.ok()) {
      return s;
    }
  }
  return output_->directory()->Sync();
}

}  // namespace ringlog
