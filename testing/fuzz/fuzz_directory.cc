// Invariants checked:
//   - Files of a live process, and files outside of the directory, are
//     unchanged.
//   - If recovery must trust no file of the input: foreign files are unchanged,
//     each record of the dead process is in its segments exactly once, and
//     retention deletes no segment if the segments are within the limits.
//   - Decoding ends. In JSON format, it prints only JSON objects.

#include "ringlog/testing/fuzz/fuzz_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "ringlog/compress/retention/retention_runner.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/repair_checksums.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/fuzz/fuzz_place.h"
#include "ringlog/testing/fuzz/fuzz_recover.h"
#include "ringlog/testing/harness/strict_json.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/tools/decode/decode.h"
#include "ringlog/tools/decode/decoded_formatter.h"

namespace ringlog {
namespace {

constexpr size_t kMaxFiles = 8;
constexpr char kPrecious[] = "precious";
constexpr int64_t kSecondNs = 1000000000;

// The files of a process that has died, by name.
struct DeadProcess {
  std::map<std::string, std::string> files;
  RingHeader header = {};
  std::string ring;           // content
  std::string first_segment;  // content; empty if there is none
  int logged = 0;             // records
};

DeadProcess DieAfter(size_t steps) {
  const std::string directory = MakeTestDirectory();
  DeadProcess dead;
  {
    ScriptedProcess process(directory, ScriptedProcess::OpenFrames());
    process.Run(TwoSegmentScript(), steps);
    dead.logged = process.logged();
  }
  for (const std::string& path : FilesIn(directory, "")) {
    std::string content = ReadFile(path);
    if (absl::EndsWith(path, ".ring")) {
      std::memcpy(&dead.header, content.data(), sizeof dead.header);
      dead.ring = content;
    } else if (dead.first_segment.empty()) {
      dead.first_segment = content;
    }
    dead.files[std::filesystem::path(path).filename()] = std::move(content);
  }
  std::filesystem::remove_all(directory);
  return dead;
}

// The state of a file. It has only the beginning of the content, because a file
// may have a hole of a terabyte.
struct FileState {
  ino_t inode = 0;
  off_t bytes = 0;
  blkcnt_t blocks = 0;
  mode_t mode = 0;
  bool has_other_names = false;
  std::string begin;

  // Ignores has_other_names, because other names may come and go meanwhile.
  friend bool operator==(const FileState& a, const FileState& b) {
    return a.inode == b.inode && a.bytes == b.bytes && a.blocks == b.blocks &&
           a.mode == b.mode && a.begin == b.begin;
  }
};
FileState StateOf(const std::string& path) {
  FileState state;
  struct stat st;
  if (lstat(path.c_str(), &st) != 0) return state;
  state = {st.st_ino, st.st_size, st.st_blocks, st.st_mode, false, ""};
  if (!S_ISREG(st.st_mode)) return state;
  state.has_other_names = st.st_nlink > 1;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  PCHECK(fd >= 0) << path;
  state.begin.resize(256 << 10);
  const ssize_t n = pread(fd, state.begin.data(), state.begin.size(), 0);
  PCHECK(n >= 0) << path;
  state.begin.resize(static_cast<size_t>(n));
  close(fd);
  return state;
}
using States = std::map<std::string, FileState>;  // by path

// Dies if a file has changed.
void CheckUnchanged(const States& before, absl::string_view owner) {
  for (const auto& [path, state] : before) {
    CHECK(StateOf(path) == state) << owner << ": " << path << " has changed";
  }
}

// The log directory, with a live process that ends together with this one.
class Scene {
 public:
  Scene()
      : place_("ringlog-fuzz-directory"),
        directory_(place_.path() + "/log"),
        outside_(place_.path() + "/outside") {
    PCHECK(mkdir(directory_.c_str(), 0700) == 0);
    WriteFile(outside_, kPrecious);
    ScriptedProcess::Options options = ScriptedProcess::OpenFrames();
    options.ring.program = "alive";
    alive_ = std::make_unique<ScriptedProcess>(directory_, options);
    alive_->LogNumbered(kAliveRecords);
    alive_->Flush();
    alive_->LogNumbered(1);
    for (const std::string& path :
         {outside_, alive_->ring_path(), alive_->segment_path(1)}) {
      untouchable_[path] = StateOf(path);
    }
    for (size_t steps = 0; steps <= TwoSegmentScript().size(); ++steps) {
      dead_.push_back(DieAfter(steps));
    }
  }

  int Run(const DirectoryInput& input) {
    Clear();
    const DeadProcess& dead = dead_[input.step % dead_.size()];
    for (const auto& [name, content] : dead.files) {
      WriteFile(absl::StrCat(directory_, "/", name), content);
    }
    const bool all_are_foreign = MakeHostileFiles(input, dead);
    RecoverLeftovers(directory_, directory_);
    CheckUnchanged(untouchable_, "not of the dead process");
    if (all_are_foreign) CheckUnchanged(ForeignFiles(), "foreign");
    Decode();
    if (all_are_foreign) CheckDead(dead);
    CheckUnchanged(untouchable_, "not of the dead process");
    return 0;
  }

 private:
  static constexpr int kAliveRecords = 3;

  // Deletes all files but those of the live process.
  void Clear() {
    hostile_.clear();
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      if (untouchable_.count(entry.path()) == 0) {
        std::filesystem::remove_all(entry.path());
      }
    }
  }

  // Returns true if recovery must not trust any of the files.
  bool MakeHostileFiles(const DirectoryInput& input, const DeadProcess& dead) {
    const RecoverInput given = SplitRecoverInput(input.recover_input);
    const std::string forged = Forge(given.ring, dead.header);
    HostileSurroundings surroundings;
    surroundings.directory = directory_;
    surroundings.names = Names(given.ring, forged, dead);
    surroundings.contents = {given.ring, given.segment,      forged,
                             dead.ring,  dead.first_segment, "",
                             kPrecious};
    surroundings.link_targets = {outside_, alive_->ring_path(),
                                 alive_->segment_path(1)};
    bool all_are_foreign = true;
    States before = ListStates();
    for (const HostileFile& file : input.files) {
      all_are_foreign &= MakeHostileFile(file, surroundings);
    }
    for (auto& [path, state] : ListStates()) {
      if (before.count(path) == 0) hostile_[path] = std::move(state);
    }
    return all_are_foreign;
  }

  States ListStates() const {
    States states;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      states[entry.path()] = StateOf(entry.path());
    }
    return states;
  }

  // Returns the hostile files that recovery must not touch. Leaves out hard
  // links, because recovery may replace a link by a copy of the linked file.
  States ForeignFiles() const {
    States files;
    for (const auto& [path, state] : hostile_) {
      if (!state.has_other_names) files[path] = state;
    }
    return files;
  }

  // Returns `ring` with the identity of the dead process and another time.
  static std::string Forge(absl::string_view ring, const RingHeader& victim) {
    std::string forged(ring);
    RingHeader header;
    if (forged.size() < kRingHeaderCopyOffset + sizeof header) return forged;
    std::memcpy(&header, forged.data(), sizeof header);
    std::memcpy(header.ring_id, victim.ring_id, sizeof header.ring_id);
    std::memcpy(header.program, victim.program, sizeof header.program);
    std::memcpy(header.host, victim.host, sizeof header.host);
    header.process_id = victim.process_id;
    header.created_unix_ns = victim.created_unix_ns + 5 * kSecondNs;
    std::memcpy(forged.data(), &header, sizeof header);
    RepairRingGeometry(&forged);
    RepairRingChecksums(&forged);
    return forged;
  }

  // Returns file names that recovery and retention examine.
  std::vector<std::string> Names(absl::string_view ring,
                                 absl::string_view forged,
                                 const DeadProcess& dead) const {
    const RecoverNames given = RecoverNamesFor(ring);
    std::vector<std::string> names = {given.ring, given.segment};
    names.push_back(RecoverNamesFor(forged).ring);
    const RingHeader& header = dead.header;
    const int64_t time = header.created_unix_ns;
    for (uint64_t number = 1; number <= 3; ++number) {
      for (const LineFormat format : {LineFormat::kText, LineFormat::kJson}) {
        names.push_back(SegmentFileName(header, number, time, format));
      }
    }
    names.push_back(
        SegmentFileName(header, 7, time + kSecondNs, LineFormat::kText));
    names.push_back(RingFileName(header) + ".tmp");
    names.push_back(SymlinkName(header));
    names.push_back(
        SegmentFileName(alive_->ring()->header(), 2, time, LineFormat::kText));
    return names;
  }

  void CheckDead(const DeadProcess& dead) {
    // Deletes the unchanged files of the input. Recovery may have replaced a
    // link by a copy, and made a segment from the copy: this segment stays.
    for (const auto& [path, state] : hostile_) {
      const FileState now = StateOf(path);
      if (now.bytes == state.bytes && now.begin == state.begin) {
        std::filesystem::remove_all(path);
      }
    }
    const std::vector<std::string> segments = Segments();
    CHECK(Texts(segments) == NumberedTexts(dead.logged))
        << dead.logged << " records";
    if (segments.empty()) return;
    RetentionPolicy policy;
    policy.limits.max_files = segments.size();
    RetentionRunner retention(LogDirectories{directory_, directory_, "server"});
    for (const std::string& path : segments) {
      policy.limits.max_bytes +=
          static_cast<uint64_t>(StateOf(path).blocks) * 512;
    }
    CHECK(retention.Run(policy, [] { return false; }));
    CHECK(Segments() == segments) << "after retention";
  }

  // Returns the segments of the dead process.
  std::vector<std::string> Segments() const {
    std::vector<std::string> paths = FilesIn(directory_, ".zst");
    paths.erase(
        std::remove(paths.begin(), paths.end(), alive_->segment_path(1)),
        paths.end());
    return paths;
  }

  static std::vector<std::string> Texts(
      const std::vector<std::string>& segments) {
    std::vector<std::string> texts;
    for (const std::string& path : segments) {
      bool complete = false;
      const std::string text = Decompress(path, &complete);
      CHECK(complete) << path;
      for (absl::string_view line :
           absl::StrSplit(text, '\n', absl::SkipEmpty())) {
        texts.push_back(TextOfLine(line));
      }
    }
    return texts;
  }

  void Decode() const {
    DecodedFormatter formatter(LineFormat::kJson);
    std::string lines;
    DecodeSink sink;
    sink.on_record = [&](const DecodedRecord& record) {
      lines.clear();
      formatter.Append(record, &lines);
      CHECK(absl::EndsWith(lines, "\n")) << absl::CHexEscape(lines);
      for (const absl::string_view line :
           absl::StrSplit(absl::StripSuffix(lines, "\n"), '\n')) {
        CHECK(absl::StartsWith(line, "{") && IsStrictJson(line))
            << absl::CHexEscape(line);
      }
      return true;
    };
    ringlog::Decode({directory_}, sink);
  }

  const FuzzPlace place_;
  const std::string directory_;
  const std::string outside_;
  std::unique_ptr<ScriptedProcess> alive_;
  std::vector<DeadProcess> dead_;  // by the number of steps
  States untouchable_;
  States hostile_;  // the files of the input
};

}  // namespace

DirectoryInput SplitDirectoryInput(absl::string_view input) {
  DirectoryInput parts;
  parts.recover_input = input;
  if (input.size() < 2) return parts;
  const size_t count =
      std::min<size_t>(static_cast<uint8_t>(input.back()) % (kMaxFiles + 1),
                       (input.size() - 2) / sizeof(HostileFile));
  parts.files.resize(count);
  const size_t files = input.size() - 1 - count * sizeof(HostileFile);
  if (count != 0) {
    std::memcpy(parts.files.data(), input.data() + files,
                count * sizeof(HostileFile));
  }
  parts.step = static_cast<uint8_t>(input[files - 1]);
  parts.recover_input = input.substr(0, files - 1);
  return parts;
}

std::string JoinDirectoryInput(const DirectoryInput& input) {
  std::string joined(input.recover_input);
  joined.push_back(static_cast<char>(input.step));
  joined.append(reinterpret_cast<const char*>(input.files.data()),
                input.files.size() * sizeof(HostileFile));
  joined.push_back(static_cast<char>(input.files.size()));
  return joined;
}

int FuzzDirectory(const uint8_t* data, size_t size) {
  static auto* const scene = new Scene;
  return scene->Run(SplitDirectoryInput(
      absl::string_view(reinterpret_cast<const char*>(data), size)));
}

}  // namespace ringlog
