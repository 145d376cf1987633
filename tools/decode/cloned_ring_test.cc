// Tests two processes with one ring id, as on machines that were restored from
// one snapshot. Readers find all records of both processes, and do not mix
// them.

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/decode_all.h"
#include "ringlog/testing/fixtures/repair_checksums.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/tools/decode/found_segment.h"
#include "ringlog/tools/decode/inputs.h"
#include "ringlog/tools/decode/known_rings.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::string_view kIdPrefix = "01020304";

RingHeader HeaderOf(const std::string& ring) {
  RingHeader header;
  std::memcpy(&header, ring.data(), sizeof header);
  return header;
}

// Replaces the file `from` by a file `name` with `content`.
void Replace(const std::string& from, const std::string& name,
             const std::string& content) {
  std::filesystem::remove(from);
  WriteFile(name, content);
}

// Gives the ring and the segments in `directory` a fixed ring id, `process_id`,
// and the boot id of `machine`.
void Clone(const std::string& directory, int64_t process_id, uint8_t machine) {
  const std::string ring_path = FilesIn(directory, ".ring").at(0);
  std::string ring = ReadFile(ring_path);
  RingHeader header = HeaderOf(ring);
  const std::string old_id(reinterpret_cast<const char*>(header.ring_id),
                           sizeof header.ring_id);
  std::string old_prefix;
  for (int i = 0; i < 4; ++i) {
    absl::StrAppend(&old_prefix, absl::Hex(header.ring_id[i], absl::kZeroPad2));
  }
  const auto rename = [&](const std::string& path) {
    return absl::StrReplaceAll(
        path, {{absl::StrCat(".", header.process_id, ".", old_prefix),
                absl::StrCat(".", process_id, ".", kIdPrefix)}});
  };
  RingHeader cloned = header;
  for (size_t i = 0; i < sizeof cloned.ring_id; ++i) {
    cloned.ring_id[i] = static_cast<uint8_t>(i + 1);
    cloned.boot_id[i] = machine;
  }
  cloned.process_id = process_id;
  std::memcpy(ring.data(), &cloned, sizeof cloned);
  std::memcpy(ring.data() + kRingHeaderCopyOffset, &cloned, sizeof cloned);
  RepairRingChecksums(&ring);
  Replace(ring_path, rename(ring_path), ring);
  const std::string new_id(reinterpret_cast<const char*>(cloned.ring_id),
                           sizeof cloned.ring_id);
  for (const std::string& path : FilesIn(directory, ".zst")) {
    std::string segment =
        absl::StrReplaceAll(ReadFile(path), {{old_id, new_id}});
    RepairSegmentChecksums(&segment);
    Replace(path, rename(path), segment);
  }
}

class ClonedRingTest : public ::testing::Test {
 protected:
  // Leaves a ring, and two closed segments, with three records each.
  static std::string LogAndDie(absl::string_view name, int64_t process_id,
                               uint8_t machine) {
    std::string directory = MakeTestDirectory();
    {
      ScriptedProcess process(directory);
      for (const char* number : {"1", "2", "3"}) {
        process.Log(absl::StrCat(name, number));
        if (*number == '3') break;
        process.Flush();
        process.EndSegment();
      }
    }
    Clone(directory, process_id, machine);
    return directory;
  }

  // Decodes the paths, and returns the texts of the records that begin with
  // `name`.
  std::vector<std::string> Read(const std::vector<std::string>& paths,
                                absl::string_view name) {
    decoded_ = DecodeAll(paths);
    std::vector<std::string> texts;
    for (const std::string& text : decoded_.texts) {
      if (absl::StartsWith(text, name)) texts.push_back(text);
    }
    return texts;
  }

  void ExpectNoErrors() const {
    EXPECT_THAT(decoded_.unusable, IsEmpty());
    EXPECT_THAT(decoded_.damage, IsEmpty());
    EXPECT_EQ(decoded_.result.exit_status(), 0);
  }

  Decoded decoded_;
};

TEST_F(ClonedRingTest, ReadsRingsThatDifferInProcessId) {
  const std::string a = LogAndDie("a", 1001, 1);
  const std::string b = LogAndDie("b", 1002, 1);
  for (const char* name : {"a", "b"}) {
    EXPECT_THAT(Read({a, b}, name),
                ElementsAre(absl::StrCat(name, 1), absl::StrCat(name, 2),
                            absl::StrCat(name, 3)));
    ExpectNoErrors();
  }
  // The result is the same if all files are in one directory.
  const std::string both = MakeTestDirectory();
  for (const std::string& from : {a, b}) {
    for (const std::string& path : FilesIn(from, "")) {
      std::filesystem::copy(path, both);
    }
  }
  EXPECT_THAT(Read({both}, "a"), ElementsAre("a1", "a2", "a3"));
  EXPECT_THAT(Read({both}, "b"), ElementsAre("b1", "b2", "b3"));
  ExpectNoErrors();
}

// The file names of both processes are equal.
TEST_F(ClonedRingTest, ReadsRingsThatDifferInBootId) {
  const std::string a = LogAndDie("a", 1001, 1);
  const std::string b = LogAndDie("b", 1001, 2);
  for (const std::vector<std::string>& paths :
       {std::vector<std::string>{a, b}, {b, a}}) {
    EXPECT_THAT(Read(paths, "a"), ElementsAre("a1", "a2", "a3"));
    EXPECT_THAT(Read(paths, "b"), ElementsAre("b1", "b2", "b3"));
    ExpectNoErrors();
  }
}

TEST_F(ClonedRingTest, SegmentsWithoutRingsAreDistinguishedByName) {
  const std::string a = LogAndDie("a", 1001, 1);
  const std::string b = LogAndDie("b", 1002, 2);
  for (const std::string& directory : {a, b}) {
    std::filesystem::remove(FilesIn(directory, ".ring").at(0));
  }
  EXPECT_THAT(Read({a, b}, "a"), ElementsAre("a1", "a2"));
  EXPECT_THAT(Read({a, b}, "b"), ElementsAre("b1", "b2"));
  ExpectNoErrors();
}

// A user who may read the segments of another user forges a ring with their id.
constexpr uid_t kRoot = 0, kVictim = 1, kAttacker = 2;

TEST(KnownRingsTest, SegmentsBelongToTheRingOfTheirOwner) {
  RingHeader header = {};
  std::strcpy(header.program, "server");
  std::strcpy(header.host, "host");
  header.process_id = 1001;
  header.ring_id[0] = 1;
  FoundSegment segment;
  segment.has_metadata = true;
  segment.identity.ring_id = RingIdOf(header);
  segment.input.path =
      "log/" + SegmentFileName(header, 1, 0, LineFormat::kText);
  segment.input.name = ParseFileName(Basename(segment.input.path));
  segment.input.owner = kVictim;
  InputFile honest, forged;
  honest.path = "log/honest.ring";
  honest.owner = kVictim;
  forged.path = "log/forged.ring";
  forged.owner = kAttacker;
  KnownRings rings;
  RingHeader forged_header = header;
  forged_header.boot_id[0] = 1;
  rings.Add(forged, forged_header, /*is_rebuilt=*/false);
  EXPECT_FALSE(rings.Owns(forged.path, segment));
  rings.Add(honest, header, /*is_rebuilt=*/false);
  EXPECT_FALSE(rings.Owns(forged.path, segment));
  EXPECT_TRUE(rings.Owns(honest.path, segment));
  // A program that began as root has a ring of root.
  segment.input.owner = kAttacker;
  InputFile of_root = honest;
  of_root.path = "log/root.ring";
  of_root.owner = kRoot;
  header.boot_id[0] = 2;
  rings.Add(of_root, header, /*is_rebuilt=*/false);
  EXPECT_TRUE(rings.Owns(forged.path, segment));
  EXPECT_FALSE(rings.Owns(honest.path, segment));
  segment.input.owner = 3;
  EXPECT_TRUE(rings.Owns(of_root.path, segment));
}

// A ring without a header may belong to any process.
TEST(KnownRingsTest, RingsOfOtherUsersAreNoCopies) {
  RingHeader header = {};
  InputFile honest, forged;
  honest.path = "log/honest.ring";
  honest.owner = kVictim;
  forged.path = "log/forged.ring";
  forged.owner = kAttacker;
  KnownRings rings;
  rings.Add(forged, header, /*is_rebuilt=*/true);
  rings.Add(honest, header, /*is_rebuilt=*/false);
  EXPECT_EQ(rings.OriginalOf(honest.path, {forged.path}), std::nullopt);
  InputFile copy = honest;
  copy.path = "log/copy.ring";
  rings.Add(copy, header, /*is_rebuilt=*/false);
  EXPECT_EQ(rings.OriginalOf(copy.path, {forged.path, honest.path}),
            honest.path);
}

// The cost of KnownRings depends on the number of rings with one id.
TEST(KnownRingsTest, RingsOfOneIdAndUserAreLimited) {
  RingHeader header = {};
  InputFile input;
  input.owner = kAttacker;
  KnownRings rings;
  for (size_t i = 0; i <= KnownRings::kMaxRingsOfId; ++i) {
    input.path = absl::StrCat("log/", i, ".ring");
    EXPECT_EQ(rings.Add(input, header, /*is_rebuilt=*/false),
              i < KnownRings::kMaxRingsOfId);
  }
  EXPECT_FALSE(rings.Add(input, header, /*is_rebuilt=*/false));
  input.path = "log/honest.ring";
  input.owner = kVictim;
  EXPECT_TRUE(rings.Add(input, header, /*is_rebuilt=*/false));
}

TEST(FoundSegmentTest, SegmentsOfDifferentUsersAreOfDifferentProcesses) {
  FoundSegment segment;
  segment.has_metadata = true;
  std::vector<FoundSegment> segments;
  for (const uid_t owner : {kAttacker, kVictim, kAttacker}) {
    segment.input.owner = owner;
    segments.push_back(segment);
  }
  const std::vector<std::vector<FoundSegment>> groups =
      TakeSegmentsByProcess(&segments);
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].size(), 2u);
  ASSERT_EQ(groups[1].size(), 1u);
  EXPECT_EQ(groups[1][0].input.owner, kVictim);
}

// Returns the header of a ring of process `pid`, with an id that begins with
// `id`.
RingHeader HeaderOf(uint8_t id, int64_t pid) {
  RingHeader header = {};
  std::strcpy(header.program, "server");
  std::strcpy(header.host, "host");
  header.ring_id[0] = id;
  header.process_id = pid;
  return header;
}

FoundSegment SegmentOf(const RingHeader& header) {
  FoundSegment segment;
  segment.has_metadata = true;
  segment.identity.ring_id = RingIdOf(header);
  segment.input.path =
      "log/" + SegmentFileName(header, 1, 0, LineFormat::kText);
  segment.input.name = ParseFileName(Basename(segment.input.path));
  return segment;
}

InputFile FileAt(const std::string& path) {
  InputFile file;
  file.path = path;
  return file;
}

// Another process may replace the file of a ring while the command reads it.
TEST(KnownRingsTest, SegmentHasOneRingAfterReplacementOfRing) {
  const InputFile a = FileAt("log/a.ring"), b = FileAt("log/b.ring"),
                  c = FileAt("log/c.ring");
  KnownRings rings;
  rings.Add(a, HeaderOf(8, 1001), /*is_rebuilt=*/false);
  rings.Add(b, HeaderOf(9, 1001), /*is_rebuilt=*/false);
  RingHeader header = HeaderOf(1, 1001);
  const FoundSegment segment = SegmentOf(header);
  rings.Add(a, header, /*is_rebuilt=*/false);
  header.boot_id[0] = 1;
  rings.Add(c, header, /*is_rebuilt=*/false);
  EXPECT_TRUE(rings.Owns(a.path, segment));
  EXPECT_FALSE(rings.Owns(c.path, segment));
}

TEST(KnownRingsTest, RingWithTheSameIdReplacesTheRingAtItsPath) {
  const InputFile file = FileAt("log/a.ring");
  KnownRings rings;
  rings.Add(file, HeaderOf(1, 1001), /*is_rebuilt=*/false);
  rings.Add(file, HeaderOf(1, 1002), /*is_rebuilt=*/false);
  EXPECT_FALSE(rings.Owns(file.path, SegmentOf(HeaderOf(1, 1001))));
  EXPECT_TRUE(rings.Owns(file.path, SegmentOf(HeaderOf(1, 1002))));
}

TEST_F(ClonedRingTest, CopyOfRingIsRefused) {
  const std::string a = LogAndDie("a", 1001, 1);
  const std::string copies = MakeTestDirectory();
  const std::string ring = FilesIn(a, ".ring").at(0);
  std::filesystem::copy(ring, copies + "/copy.ring");
  EXPECT_THAT(Read({a, copies}, "a"), ElementsAre("a1", "a2", "a3"));
  EXPECT_THAT(decoded_.unusable,
              ElementsAre(HasSubstr("another copy of the ring " + ring)));
  EXPECT_EQ(decoded_.result.exit_status(), 2);
}

}  // namespace
}  // namespace ringlog
