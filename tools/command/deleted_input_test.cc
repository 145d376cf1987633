// Tests with files that another process, for example retention or recovery,
// deletes while they are decoded. A deleted file is an error only if the
// command line names it.

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/testing/fixtures/scripted_process.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/tools/decode/decode.h"
#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// The directory has three segments of one record each, and a ring with one
// record.
class DeletedInputTest : public ::testing::Test {
 protected:
  DeletedInputTest() : process_(directory_) {
    for (const char* text : {"a", "b", "c"}) {
      process_.Log(text);
      process_.Flush();
      process_.EndSegment();
    }
    process_.Log("d");
  }

  // Decodes `paths`, deletes all segments when the record `last` is decoded,
  // and returns the exit status.
  int DecodeAndDelete(const std::vector<std::string>& paths,
                      absl::string_view last) {
    DecodeSink sink;
    sink.on_record = [&](const DecodedRecord& decoded) {
      texts_.emplace_back(decoded.record.text);
      for (size_t n = 1; n <= 3 && texts_.back() == last; ++n) {
        std::filesystem::remove(process_.segment_path(n));
      }
      return true;
    };
    sink.on_damage =
        sink.on_note = [this](const std::string&, absl::string_view message) {
          messages_.emplace_back(message);
        };
    sink.on_unusable = [this](const std::string& path, const absl::Status&) {
      unusable_.push_back(path);
    };
    return Decode(paths, sink).exit_status();
  }

  const std::string directory_ = MakeTestDirectory();
  ScriptedProcess process_;
  std::vector<std::string> texts_;
  std::vector<std::string> messages_;
  std::vector<std::string> unusable_;
};

TEST_F(DeletedInputTest, IgnoresDeletedFilesOfDirectory) {
  EXPECT_EQ(DecodeAndDelete({directory_}, "a"), 0);
  EXPECT_THAT(texts_, ElementsAre("a", "d"));
  EXPECT_THAT(messages_, IsEmpty());
  EXPECT_THAT(unusable_, IsEmpty());
}

TEST_F(DeletedInputTest, ReadsOpenDeletedSegment) {
  EXPECT_EQ(DecodeAndDelete({directory_}, "c"), 0);
  EXPECT_THAT(texts_, ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(messages_, IsEmpty());
}

TEST_F(DeletedInputTest, ReportsDeletedFileThatWasNamed) {
  EXPECT_EQ(DecodeAndDelete({process_.ring_path(), process_.segment_path(1),
                             process_.segment_path(2)},
                            "a"),
            2);
  EXPECT_THAT(unusable_, ElementsAre(process_.segment_path(2)));
}

}  // namespace
}  // namespace ringlog
