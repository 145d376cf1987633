#include "ringlog/logsink/environment.h"

#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/logsink/internal/option_table.h"
#include "ringlog/logsink/options.h"

namespace ringlog {
namespace {

// Returns a text for a value of the option that is not its default.
std::string OtherValue(const OptionRow& row) {
  RingLogSinkOptions options;
  for (const char* text : {"json", "block", "WARNING", "true", "1GiB", "7",
                           "17ms", "3s", "0600", "/other"}) {
    const std::string before = row.Print(options);
    if (row.Set(text, "x", &options).ok() && row.Print(options) != before) {
      return text;
    }
  }
  ADD_FAILURE() << row.name;
  return "";
}

class EnvironmentTest : public ::testing::Test {
 protected:
  EnvironmentTest() { Clear(); }
  ~EnvironmentTest() override { Clear(); }

  static void Clear() {
    for (const OptionRow& row : OptionTable()) {
      unsetenv(row.VariableName().c_str());
    }
  }
};

TEST_F(EnvironmentTest, AbsentVariablesChangeNothing) {
  RingLogSinkOptions code;
  code.directory = "/code";
  code.compression_level = 3;
  const auto options = OptionsFromEnvironment(code);
  ASSERT_TRUE(options.ok()) << options.status();
  for (const OptionRow& row : OptionTable()) {
    EXPECT_EQ(row.Print(*options), row.Print(code)) << row.name;
  }
}

TEST_F(EnvironmentTest, EachVariableSetsOnlyItsOption) {
  RingLogSinkOptions code;
  code.rotation.interval = absl::Hours(24);  // permits an offset
  for (const OptionRow& row : OptionTable()) {
    SCOPED_TRACE(row.name);
    Clear();
    const std::string value = OtherValue(row);
    setenv(row.VariableName().c_str(), value.c_str(), 1);
    const auto options = OptionsFromEnvironment(code);
    ASSERT_TRUE(options.ok()) << options.status();
    RingLogSinkOptions expected = code;
    ASSERT_TRUE(row.Set(value, "x", &expected).ok());
    for (const OptionRow& any : OptionTable()) {
      EXPECT_EQ(any.Print(*options), any.Print(expected)) << any.name;
    }
  }
}

TEST_F(EnvironmentTest, InvalidValueIsNamed) {
  setenv("RINGLOG_RING_BYTES", "1KiB", 1);
  const absl::Status status =
      OptionsFromEnvironment(RingLogSinkOptions()).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_EQ(status.message(),
            "environment variable RINGLOG_RING_BYTES is 1KiB; must be " +
                OptionRowOf("ring_bytes").ValidValues());
}

TEST_F(EnvironmentTest, ConflictingValueIsNamed) {
  setenv("RINGLOG_ROTATION_OFFSET", "1h", 1);
  EXPECT_EQ(OptionsFromEnvironment(RingLogSinkOptions()).status().message(),
            "environment variable RINGLOG_ROTATION_OFFSET is 1h; must be "
            "less than rotation.interval in absolute value");
}

TEST_F(EnvironmentTest, ValueFromCodeIsNamedAsOption) {
  RingLogSinkOptions code;
  code.retention.max_bytes = uint64_t{1} << 40;
  setenv("RINGLOG_ROTATION_MAX_SEGMENT_BYTES", "0", 1);
  EXPECT_THAT(
      std::string(OptionsFromEnvironment(code).status().message()),
      ::testing::StartsWith("ringlog option retention.max_bytes is 1024GiB; "));
}

TEST_F(EnvironmentTest, SyntaxErrorNamesExpectedSyntax) {
  const auto message = [](const char* variable, const char* value) {
    Clear();
    setenv(variable, value, 1);
    return std::string(
        OptionsFromEnvironment(RingLogSinkOptions()).status().message());
  };
  using ::testing::EndsWith;
  EXPECT_THAT(message("RINGLOG_RING_BYTES", "64MB"),
              EndsWith("1GiB, as a number with KiB, MiB or GiB"));
  EXPECT_THAT(message("RINGLOG_FLUSH_INTERVAL", "200"),
              EndsWith("1m, with a unit, such as 200ms"));
  EXPECT_THAT(message("RINGLOG_RETENTION_MAX_AGE", "7d"),
              EndsWith("; there is no unit for days, a week is 168h"));
  EXPECT_THAT(message("RINGLOG_FLUSH_INTERVAL", "168h"), EndsWith("to 1m"));
}

TEST_F(EnvironmentTest, EmptyVariableIsIgnored) {
  for (const OptionRow& row : OptionTable()) {
    setenv(row.VariableName().c_str(), "", 1);
  }
  RingLogSinkOptions code;
  code.directory = "/code";
  const auto options = OptionsFromEnvironment(code);
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->directory, "/code");
}

TEST_F(EnvironmentTest, UnknownVariableIsIgnored) {
  setenv("RINGLOG_OF_A_LATER_VERSION", "x", 1);
  EXPECT_TRUE(OptionsFromEnvironment(RingLogSinkOptions()).ok());
  unsetenv("RINGLOG_OF_A_LATER_VERSION");
}

}  // namespace
}  // namespace ringlog
