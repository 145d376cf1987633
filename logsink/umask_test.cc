// Programs with a umask that takes rights from the owner of a file. The files
// of the log must have these rights nevertheless, because recovery runs as the
// same user.
//
// Oracle: the modes that stat(2) reports, and libzstd.

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <string>
#include <vector>

#include "absl/log/log.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/fork_test_fixture.h"
#include "ringlog/logsink/ring_log_sink.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/ordinary_user.h"
#include "ringlog/testing/harness/run_child.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

mode_t ModeOf(const std::string& path) {
  struct stat st;
  EXPECT_EQ(stat(path.c_str(), &st), 0) << path;
  return st.st_mode & ALLPERMS;
}

class UmaskTest : public ForkFixture,
                  public ::testing::WithParamInterface<mode_t> {
 protected:
  UmaskTest() { options_.directory = logs_; }

  // Root's right to open every file would hide a missing right.
  const OrdinaryUser user_;
  const std::string logs_ = user_.directory() + "/logs";
};

INSTANTIATE_TEST_SUITE_P(, UmaskTest,
                         ::testing::Values(0, 022, 077, 0277, 0700, 0777));

TEST_P(UmaskTest, NextStartRecoversFilesOfKilledProcess) {
  ASSERT_TRUE(WIFSIGNALED(RunChild([this] {
    user_.Become();
    umask(GetParam());
    RingLogSink* const sink = MustInstall();
    LOG(INFO) << "in a segment";
    sink->Flush();
    LOG(INFO) << "in the ring";
    raise(SIGKILL);
  })));
  EXPECT_EQ(ModeOf(logs_), (0750u & ~GetParam()) | 0700u);
  const std::vector<std::string> rings = FilesIn(logs_, ".ring");
  ASSERT_THAT(rings, SizeIs(1));
  EXPECT_EQ(ModeOf(rings[0]), 0600u);
  const std::vector<std::string> segments = FilesIn(logs_, ".zst");
  ASSERT_THAT(segments, SizeIs(1));
  EXPECT_EQ(ModeOf(segments[0]), (0640u & ~GetParam()) | 0600u);
  ASSERT_EQ(RunChild([this] {
              user_.Become();
              MustInstall();
            }),
            0);
  EXPECT_THAT(FilesIn(logs_, ".ring"), IsEmpty());
  std::vector<std::string> texts;
  for (const std::string& line : AllLines(logs_)) {
    texts.push_back(TextOfLine(line));
  }
  EXPECT_THAT(texts, ElementsAre("in a segment", "in the ring"));
}

}  // namespace
}  // namespace ringlog
