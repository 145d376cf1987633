// Attack: a user starts a program with the set-user-id bit, and sets RINGLOG_*
// variables so that the program writes its log, as its own user, to files that
// the attacker chooses.

#include <stdio.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/environment.h"
#include "ringlog/logsink/options.h"
#include "ringlog/testing/harness/ordinary_user.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

constexpr uid_t kForeign = 65534;

// Prints whether the program runs with the rights of another user, and the
// option `directory`.
int PrintDirectory() {
  const absl::StatusOr<RingLogSinkOptions> options =
      OptionsFromEnvironment(RingLogSinkOptions());
  if (!options.ok()) return 1;
  printf("%s:%s", getauxval(AT_SECURE) != 0 ? "other" : "same",
         options->directory.c_str());
  return 0;
}

// Returns the output of the program `path`.
std::string OutputOf(const std::string& path) {
  FILE* const pipe = popen(
      absl::StrCat("RINGLOG_DIRECTORY=/attack '", path, "' print").c_str(),
      "r");
  std::string output;
  for (int c; pipe != nullptr && (c = getc(pipe)) != EOF;) {
    output.push_back(static_cast<char>(c));
  }
  EXPECT_EQ(pipe == nullptr ? -1 : pclose(pipe), 0) << path;
  return output;
}

// Gives the program other rights than those of the user who starts it: another
// user, or another group. Returns false if the user has no other group.
bool GiveOtherRights(const std::string& path) {
  if (MayActForOtherUsers()) {
    return chown(path.c_str(), kForeign, static_cast<gid_t>(-1)) == 0 &&
           chmod(path.c_str(), 04755) == 0;
  }
  std::vector<gid_t> groups(1024);
  const int count = getgroups(1024, groups.data());
  for (int i = 0; i < count; ++i) {
    const gid_t group = groups[static_cast<size_t>(i)];
    if (group != getegid() &&
        chown(path.c_str(), static_cast<uid_t>(-1), group) == 0 &&
        chmod(path.c_str(), 02755) == 0) {
      return true;
    }
  }
  return false;
}

TEST(EnvironmentTest, ProgramWithOtherRightsIgnoresVariables) {
  const std::string program = MakeTestDirectory() + "/program";
  std::filesystem::copy_file("/proc/self/exe", program);
  ASSERT_EQ(OutputOf(program), "same:/attack");
  if (!GiveOtherRights(program)) {
    GTEST_SKIP() << "needs root or a second group";
  }
  const std::string output = OutputOf(program);
  if (output.substr(0, 5) == "same:") {
    GTEST_SKIP() << "the file system ignores set-user-id bits";
  }
  EXPECT_EQ(output, "other:");
}

}  // namespace
}  // namespace ringlog

int main(int argc, char** argv) {
  if (argc == 2 && absl::string_view(argv[1]) == "print") {
    return ringlog::PrintDirectory();
  }
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
