#include "ringlog/logsink/flags.h"

#include <cstdlib>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/flags/commandlineflag.h"
#include "absl/flags/parse.h"
#include "absl/flags/reflection.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/log_options.h"
#include "ringlog/logsink/environment.h"
#include "ringlog/logsink/internal/option_table.h"
#include "ringlog/logsink/options.h"

namespace ringlog {
namespace {

using ::testing::HasSubstr;

absl::CommandLineFlag& FlagOf(const OptionRow& row) {
  return *absl::FindCommandLineFlag(row.FlagName());
}

// Parses a command line, as main() does. An unknown flag is an error.
void ParseCommandLine(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "program");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  absl::ParseCommandLine(static_cast<int>(argv.size()), argv.data());
}

RingLogSinkOptions OptionsOfCode() {
  RingLogSinkOptions code;
  code.directory = "/code";
  return code;
}

class FlagsTest : public ::testing::Test {
  absl::FlagSaver saver_;
};

TEST_F(FlagsTest, FlagsMatchOptions) {
  std::set<std::string> options;
  for (const OptionRow& row : OptionTable()) options.insert(row.FlagName());
  std::set<std::string> flags;
  for (const auto& [name, flag] : absl::GetAllFlags()) {
    if (absl::StartsWith(name, "ringlog_")) flags.emplace(name);
  }
  EXPECT_EQ(flags, options);
}

TEST_F(FlagsTest, HelpHasPurposeValuesAndDefault) {
  for (const OptionRow& row : OptionTable()) {
    SCOPED_TRACE(row.name);
    const std::string help = FlagOf(row).Help();
    EXPECT_THAT(help, HasSubstr(std::string(row.help)));
    EXPECT_THAT(help, HasSubstr(row.ValidValues()));
    EXPECT_EQ(FlagOf(row).DefaultValue(), row.Print(RingLogSinkOptions()));
  }
}

TEST_F(FlagsTest, AbsentFlagsChangeNothing) {
  RingLogSinkOptions code = OptionsOfCode();
  code.compression_level = 3;
  code.ring_directory = "/rings";
  const auto options = OptionsFromFlags(code);
  ASSERT_TRUE(options.ok()) << options.status();
  for (const OptionRow& row : OptionTable()) {
    EXPECT_EQ(row.Print(*options), row.Print(code)) << row.name;
  }
}

TEST_F(FlagsTest, CommandLineSetsOptions) {
  ParseCommandLine({"--ringlog_directory=/flag", "--ringlog_ring_bytes=1MiB",
                    "--ringlog_sync=true", "--ringlog_sync_interval=5s",
                    "--ringlog_format=json", "--ringlog_min_severity=ERROR",
                    "--ringlog_compression_level=7"});
  const auto options = OptionsFromFlags();
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->directory, "/flag");
  EXPECT_EQ(options->ring_bytes, 1u << 20);
  EXPECT_TRUE(options->sync);
  EXPECT_EQ(options->sync_interval, absl::Seconds(5));
  EXPECT_EQ(options->format, LineFormat::kJson);
  EXPECT_EQ(options->min_severity, absl::LogSeverityAtLeast::kError);
  EXPECT_EQ(options->compression_level, 7);
}

// A flag with the default value also counts, because the code may set another
// value.
TEST_F(FlagsTest, FlagOverridesVariableAndCode) {
  RingLogSinkOptions code = OptionsOfCode();
  code.compression_level = 9;
  code.ring_bytes = 1 << 20;
  code.rotation.max_segment_bytes = 1 << 20;
  setenv("RINGLOG_COMPRESSION_LEVEL", "8", 1);
  setenv("RINGLOG_RING_BYTES", "2MiB", 1);
  ParseCommandLine({"--ringlog_compression_level=1"});
  const auto from_environment = OptionsFromEnvironment(code);
  unsetenv("RINGLOG_COMPRESSION_LEVEL");
  unsetenv("RINGLOG_RING_BYTES");
  ASSERT_TRUE(from_environment.ok()) << from_environment.status();
  const auto options = OptionsFromFlags(*from_environment);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->compression_level, 1);
  EXPECT_EQ(options->ring_bytes, 2u << 20);
  EXPECT_EQ(options->rotation.max_segment_bytes, 1u << 20);
}

TEST_F(FlagsTest, ErrorNamesValidValues) {
  for (const OptionRow& row : OptionTable()) {
    // A path may be any text.
    if (std::holds_alternative<PathOption>(row.kind)) continue;
    SCOPED_TRACE(row.name);
    std::string error;
    EXPECT_FALSE(FlagOf(row).ParseFrom("no value", &error));
    EXPECT_THAT(error, HasSubstr("must be " + row.ValidValues()));
    EXPECT_EQ(FlagOf(row).CurrentValue(), FlagOf(row).DefaultValue());
  }
}

using FlagsDeathTest = FlagsTest;

TEST_F(FlagsDeathTest, BadCommandLineNamesFlagAndValue) {
  EXPECT_EXIT(ParseCommandLine({"--ringlog_ring_bytes=1KiB"}),
              ::testing::ExitedWithCode(1),
              "1KiB.*ringlog_ring_bytes.*must be 64KiB to 1GiB");
  EXPECT_EXIT(ParseCommandLine({"--ringlog_ring_bytes=64MB"}),
              ::testing::ExitedWithCode(1),
              "64MB.*ringlog_ring_bytes.*as a number with KiB, MiB or GiB");
}

TEST_F(FlagsTest, MissingDirectoryNamesFlag) {
  ParseCommandLine({"--ringlog_directory="});
  const absl::Status status = OptionsFromFlags().status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(status.message(),
            "flag --ringlog_directory is empty; must be a directory");
}

TEST_F(FlagsTest, ConflictingFlagIsNamed) {
  ParseCommandLine(
      {"--ringlog_directory=/flag", "--ringlog_rotation_offset=1h"});
  EXPECT_EQ(OptionsFromFlags().status().message(),
            "flag --ringlog_rotation_offset is 1h; must be less than "
            "rotation.interval in absolute value");
}

TEST_F(FlagsTest, InvalidValueFromCodeIsRefused) {
  RingLogSinkOptions code = OptionsOfCode();
  code.compression_level = 99;
  EXPECT_EQ(OptionsFromFlags(code).status().message(),
            "flag --ringlog_compression_level is 99; must be 1 to 19");
}

}  // namespace
}  // namespace ringlog
