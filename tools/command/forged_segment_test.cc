// Attacks by another user who may write to a sticky directory, but may not read
// the ring and its segments: so the user knows the names of files, but only the
// first four bytes of the ring id.
//
// Invariant checked: the commands find all records of the ring and of its
// segments.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/compress/segment/batch_builder.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/other_boot.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/ordinary_user.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/testing/harness/tool_process.h"

namespace ringlog {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

constexpr uid_t kVictim = 12344;
constexpr uid_t kAttacker = 12345;

void GiveTo(uid_t user, const std::string& path) {
  ASSERT_EQ(chown(path.c_str(), user, user), 0) << path;
}

// Returns a segment of the ring `id` with one record. Its positions end far
// above those of the ring.
std::string SegmentOf(const RingId& id, uint64_t number) {
  SegmentIdentity identity;
  identity.ring_id = id;
  identity.number = number;
  const std::string path = MakeTestDirectory() + "/forged";
  auto writer = SegmentWriter::Create(path, identity, SegmentWriterOptions());
  EXPECT_TRUE(writer.ok()) << writer.status();
  BatchBuilder batch(LineFormat::kText, /*first_position=*/1000);
  batch.AddRecord(/*position=*/1000, /*slot_count=*/1,
                  HeadOf(TestRecord(0, "forged")), "forged");
  EXPECT_TRUE((*writer)->AddBatch(batch.batch()).ok());
  EXPECT_TRUE((*writer)->AddEnd().ok());
  EXPECT_TRUE((*writer)->Write().ok());
  return ReadFile(path);
}

class ForgedSegmentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!MayActForOtherUsers()) {
      GTEST_SKIP() << "needs root, and the ids of other users";
    }
  }

  // A process logs ten records and dies. Five are in a closed segment, which
  // may be followed by an open one. The ring has the others.
  void LogAndDie(bool begins_second = false) {
    ScriptedProcess process(directory_);
    process.LogNumbered(5);
    process.Flush();
    process.EndSegment();
    first_segment_ = process.segment_path(1);
    if (begins_second) {
      process.LogNumbered(2);
      process.Flush();
      process.LogNumbered(3);
    } else {
      process.LogNumbered(5);
    }
    header_ = process.ring()->header();
    ring_ = process.ring_path();
  }

  // Returns the path of a file of the attacker that is named as a segment.
  std::string Forge(uint64_t number, const std::string& content) {
    std::string path =
        absl::StrCat(directory_, "/",
                     SegmentFileName(header_, number, header_.created_unix_ns,
                                     LineFormat::kText, /*salt=*/7));
    WriteFile(path, content);
    GiveTo(kAttacker, path);
    return path;
  }

  RingId OtherId() const {
    RingId id = RingIdOf(header_);
    id.back() ^= 1;
    return id;
  }

  // Returns contents that the attacker can make.
  std::vector<std::string> Forgeries(uint64_t number) const {
    return {"damaged", Compress("forged\n"), SegmentOf(OtherId(), number)};
  }

  // Returns the texts of the segments in `directory` but the forged ones.
  static std::vector<std::string> HonestTexts(const std::string& directory) {
    std::vector<std::string> texts = TextsIn(directory);
    texts.erase(std::remove(texts.begin(), texts.end(), "forged"), texts.end());
    return texts;
  }

  void ExpectCatFindsAll() {
    const ToolRun cat = RunTool("ringlog", {"cat", directory_});
    for (const std::string& text : NumberedTexts(10)) {
      EXPECT_THAT(cat.out, HasSubstr(text + "\n")) << cat.err;
      EXPECT_EQ(cat.out.find(text + "\n"), cat.out.rfind(text + "\n")) << text;
    }
  }

  void ExpectRecoverFindsAll() {
    const std::string output = MakeTestDirectory();
    const ToolRun run =
        RunTool("ringlog", {"recover", directory_, "--out", output});
    EXPECT_EQ(HonestTexts(output), NumberedTexts(10)) << run.err;
  }

  const std::string directory_ = MakeTestDirectory();
  RingHeader header_ = {};
  std::string ring_;
  std::string first_segment_;
};

// Such a ring was never used by a flusher.
TEST_F(ForgedSegmentTest, RingWithoutCursorOwnsNoSegmentOfAnotherUser) {
  LogAndDie();
  std::string content = ReadFile(ring_);
  constexpr size_t kBegin = offsetof(RingLive, cursor_selector);
  content.replace(kLiveOffset + kBegin, sizeof(RingLive) - kBegin,
                  sizeof(RingLive) - kBegin, '\0');
  WriteFile(ring_, content);
  ASSERT_EQ(unlink(first_segment_.c_str()), 0);
  // Some slots of persisted records have their content still.
  const std::string alone = RunTool("ringlog", {"cat", ring_}).out;
  std::vector<std::string> forgeries = Forgeries(2);
  // A reader must not take the records before such a line for records that the
  // segments have.
  forgeries.push_back(
      Compress(alone.substr(alone.rfind('\n', alone.size() - 2) + 1)));
  for (const std::string& forged : forgeries) {
    const std::string path = Forge(2, forged);
    const ToolRun cat = RunTool("ringlog", {"cat", directory_});
    for (const absl::string_view line : absl::StrSplit(alone, '\n')) {
      EXPECT_THAT(cat.out, HasSubstr(line)) << cat.err;
    }
    const std::string output = MakeTestDirectory();
    const ToolRun run =
        RunTool("ringlog", {"recover", directory_, "--out", output});
    for (int i = 5; i < 10; ++i) {
      EXPECT_THAT(alone, HasSubstr(NumberedText(i)));
      EXPECT_THAT(TextsIn(output), Contains(NumberedText(i))) << run.err;
    }
    ASSERT_EQ(unlink(path.c_str()), 0);
  }
}

TEST_F(ForgedSegmentTest, HidesNoRecordAfterRestartOfTheMachine) {
  LogAndDie(/*begins_second=*/true);
  WriteFile(ring_, WithOtherBootId(ReadFile(ring_)));
  for (const uint64_t number : {2, 3}) {
    for (const std::string& forged : Forgeries(number)) {
      const std::string path = Forge(number, forged);
      ExpectCatFindsAll();
      ExpectRecoverFindsAll();
      ASSERT_EQ(unlink(path.c_str()), 0);
    }
  }
}

// Each opening of the file fails.
TEST_F(ForgedSegmentTest, FileWithADeletedNumberStopsNoRecovery) {
  LogAndDie();
  const std::string kept = MakeTestDirectory() + "/kept.log.zst";
  ASSERT_EQ(rename(first_segment_.c_str(), kept.c_str()), 0);
  const std::string forged = Forge(1, "forged");
  const int fd = open(forged.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  signal(SIGIO, SIG_IGN);  // the request to give the lease up
  ASSERT_EQ(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
  const std::string output = MakeTestDirectory();
  const ToolRun run =
      RunTool("ringlog", {"recover", directory_, "--out", output});
  EXPECT_EQ(run.exit_status, 2);
  EXPECT_THAT(run.err, HasSubstr(forged));
  std::vector<std::string> in_ring = NumberedTexts(10);
  in_ring.erase(in_ring.begin(), in_ring.begin() + 5);
  EXPECT_EQ(TextsIn(output), in_ring) << run.err;
  close(fd);
}

// The command trusts neither of the two users. The file is there in some runs,
// and not in others.
TEST_F(ForgedSegmentTest, FileWithTheNextNameStopsNoRecovery) {
  LogAndDie();
  std::string next;
  {
    const std::string output = MakeTestDirectory();
    RunTool("ringlog", {"recover", directory_, "--out", output});
    const std::vector<std::string> made = FilesIn(output, ".zst");
    ASSERT_EQ(made.size(), 2u);
    next = absl::StrCat(directory_, "/", Basename(made[1]));
  }
  GiveTo(kVictim, ring_);
  GiveTo(kVictim, first_segment_);
  for (const bool is_first_forged : {false, true}) {
    const std::string output = MakeTestDirectory();
    for (int run = 0; run < 4; ++run) {
      unlink(next.c_str());
      if ((run % 2 == 0) == is_first_forged) {
        WriteFile(next, SegmentOf(OtherId(), 2));
        GiveTo(kAttacker, next);
      }
      const ToolRun recover =
          RunTool("ringlog", {"recover", directory_, "--out", output});
      EXPECT_EQ(recover.exit_status, 0) << recover.err;
      EXPECT_EQ(HonestTexts(output), NumberedTexts(10));
      EXPECT_EQ(RunTool("ringlog", {"verify", output}).exit_status, 0);
    }
  }
}

// The process began as root, and went on as the victim. The attacker may read
// its segments.
TEST_F(ForgedSegmentTest, CopyHidesNoSegmentOfAProcessThatChangedItsUser) {
  LogAndDie(/*begins_second=*/true);
  for (const std::string& segment : FilesIn(directory_, ".log.zst")) {
    GiveTo(kVictim, segment);
  }
  ExpectCatFindsAll();
  ExpectRecoverFindsAll();
  const std::string forged = directory_ + "/a.log.zst";
  WriteFile(forged, SegmentOf(RingIdOf(header_), 1));
  GiveTo(kAttacker, forged);
  ExpectCatFindsAll();
}

// Such a process was killed after a rotation, when its cursor named a segment
// that did not exist.
TEST_F(ForgedSegmentTest, SegmentsOfAProcessThatChangedItsUserAreRecovered) {
  LogAndDie();
  GiveTo(kVictim, first_segment_);
  ExpectCatFindsAll();
  for (const std::string& input : {directory_, ring_}) {
    const std::string output = MakeTestDirectory();
    const ToolRun run = RunTool("ringlog", {"recover", input, "--out", output});
    EXPECT_EQ(run.exit_status, 0) << run.err;
    EXPECT_EQ(TextsIn(output), NumberedTexts(10));
  }
}

}  // namespace
}  // namespace ringlog
