#include "ringlog/tools/decode/inputs.h"

#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/tools/decode/decode_sink.h"
#include "ringlog/tools/decode/report.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kFrame[] = "\x28\xB5\x2F\xFD and more";
constexpr char kSkippableFrame[] = "\x5E\x2A\x4D\x18 and more";

class InputsTest : public ::testing::Test {
 protected:
  InputsTest() : directory_(MakeTestDirectory()) {
    sink_.on_note = [this](const std::string& path, absl::string_view text) {
      notes_.push_back(absl::StrCat(path, ": ", text));
    };
    sink_.on_unusable = [this](const std::string& path,
                               const absl::Status& status) {
      unusable_.push_back(absl::StrCat(path, ": ", status.message()));
    };
  }

  // Makes a file in the directory. Returns its path.
  std::string File(const std::string& name, const std::string& content) {
    WriteFile(Path(name), content);
    return Path(name);
  }
  std::string Path(const std::string& name) const {
    return directory_ + "/" + name;
  }
  static std::vector<std::string> Paths(const Inputs& inputs) {
    std::vector<std::string> paths;
    for (const InputFile& file : inputs.files) paths.push_back(file.path);
    return paths;
  }

  const std::string directory_;
  DecodeSink sink_;
  Report report_{&sink_};
  std::vector<std::string> unusable_;
  std::vector<std::string> notes_;
};

// Recovery deletes a ring, and the next segment gets the inode of the ring.
TEST_F(InputsTest, RelistFindsAFileWithAReusedInode) {
  const std::string before = File("one.ring", "x");
  Inputs inputs({directory_}, &report_);
  const std::string after = Path("two.log.zst");
  std::filesystem::rename(before, after);
  inputs.Relist();
  EXPECT_THAT(Paths(inputs), ElementsAre(before, after));
  inputs.Relist();
  EXPECT_THAT(Paths(inputs), ElementsAre(before, after));
}

TEST_F(InputsTest, RelistFindsAReplacedFileOnce) {
  const std::string path = File("one.log.zst", kFrame);
  Inputs inputs({directory_}, &report_);
  const std::string other = File("other", kFrame);
  std::filesystem::rename(other, path);
  inputs.Relist();
  EXPECT_THAT(Paths(inputs), ElementsAre(path));
}

TEST_F(InputsTest, FirstBytesDecideTheKindOfANamedFile) {
  const std::string magic(reinterpret_cast<const char*>(kRingMagic),
                          sizeof kRingMagic);
  const Inputs inputs({File("one", magic), File("two.ring", kFrame),
                       File("three", kSkippableFrame)},
                      &report_);
  ASSERT_EQ(inputs.files.size(), 3);
  EXPECT_EQ(inputs.files[0].kind, FileKind::kRing);
  EXPECT_EQ(inputs.files[1].kind, FileKind::kSegment);
  EXPECT_EQ(inputs.files[2].kind, FileKind::kSegment);
  EXPECT_THAT(unusable_, IsEmpty());
}

TEST_F(InputsTest, DirectoryGivesOnlyItsLogsSorted) {
  File("b.log.zst", kFrame);
  File("c.jsonl.zst", kFrame);
  File("a.ring", "");
  File("notes.txt", "x");
  File("d.ring.tmp", "x");
  File("e.zst", kFrame);
  const std::string elsewhere = MakeTestDirectory() + "/elsewhere.log.zst";
  WriteFile(elsewhere, kFrame);
  std::filesystem::create_symlink(elsewhere, Path("current.log.zst"));
  std::filesystem::create_directory(Path("directory.ring"));
  const Inputs inputs({directory_}, &report_);
  EXPECT_THAT(Paths(inputs), ElementsAre(Path("a.ring"), Path("b.log.zst"),
                                         Path("c.jsonl.zst")));
  EXPECT_THAT(unusable_, IsEmpty());
}

TEST_F(InputsTest, FileWithSeveralNamesCountsOnce) {
  const std::string path = File("a.log.zst", kFrame);
  std::filesystem::create_hard_link(path, Path("b.log.zst"));
  std::filesystem::create_symlink(path, Path("c"));
  const Inputs inputs({path, Path("b.log.zst"), Path("c"), directory_},
                      &report_);
  EXPECT_THAT(Paths(inputs), ElementsAre(path));
}

TEST_F(InputsTest, RelistAddsNewFiles) {
  File("b.log.zst", kFrame);
  Inputs inputs({directory_}, &report_);
  File("a.log.zst", kFrame);
  inputs.Relist();
  EXPECT_THAT(Paths(inputs), ElementsAre(Path("b.log.zst"), Path("a.log.zst")));
}

TEST_F(InputsTest, UnusableInputsAreReportedByPath) {
  const std::string good = File("a.log.zst", kFrame);
  const std::string text = File("text", "just a text\n");
  const std::string empty = File("empty", "");
  const Inputs inputs(
      {Path("missing.ring"), text, empty, "/dev/null", text + "/below", good},
      &report_);
  EXPECT_THAT(Paths(inputs), ElementsAre(good));
  EXPECT_THAT(unusable_,
              ElementsAre(HasSubstr(Path("missing.ring") + ": "),
                          HasSubstr(text + ": neither a ring nor a zstd file"),
                          HasSubstr(empty + ": empty"),
                          HasSubstr("/dev/null: neither a file nor"),
                          HasSubstr(text + "/below: ")));
  EXPECT_EQ(report_.result.exit_status(), 2);
}

// A fallback directory stays empty or missing until the program needs it.
TEST_F(InputsTest, DirectoryWithoutLogsNextToOthersIsNoError) {
  const std::string log = File("a.log.zst", kFrame);
  const std::string none = MakeTestDirectory();
  const Inputs inputs({directory_, none, Path("missing")}, &report_);
  EXPECT_THAT(Paths(inputs), ElementsAre(log));
  EXPECT_THAT(unusable_, IsEmpty());
  EXPECT_THAT(notes_, ElementsAre(HasSubstr(Path("missing") + ": does not")));
  EXPECT_EQ(report_.result.exit_status(), 0);
}

TEST_F(InputsTest, EmptyDirectoryIsNotedAndIsNoError) {
  const Inputs inputs({directory_}, &report_);
  EXPECT_THAT(unusable_, IsEmpty());
  EXPECT_THAT(notes_, ElementsAre(HasSubstr(directory_ + ": no logs")));
  EXPECT_EQ(report_.result.exit_status(), 0);
}

TEST_F(InputsTest, MissingDirectoryIsUnusableIfNoInputHasLogs) {
  const Inputs inputs({directory_, Path("missing")}, &report_);
  EXPECT_THAT(unusable_, ElementsAre(HasSubstr(Path("missing") + ": ")));
  EXPECT_EQ(report_.result.exit_status(), 2);
}

TEST_F(InputsTest, RelistFindsFirstLogsOfEmptyDirectory) {
  Inputs inputs({directory_}, &report_);
  const std::string log = File("a.log.zst", kFrame);
  inputs.Relist();
  EXPECT_THAT(Paths(inputs), ElementsAre(log));
}

TEST_F(InputsTest, RelistReadsNearbyDirectories) {
  Inputs inputs({File("a.log.zst", kFrame)}, &report_);
  const std::string nearby = MakeTestDirectory();
  inputs.AddNearby(nearby);
  WriteFile(nearby + "/b.log.zst", kFrame);
  inputs.Relist();
  ASSERT_THAT(Paths(inputs),
              ElementsAre(Path("a.log.zst"), nearby + "/b.log.zst"));
  EXPECT_TRUE(inputs.files[1].is_nearby);
}

}  // namespace
}  // namespace ringlog
