#include "ringlog/testing/kill/killed_log.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/tools/decode/decode.h"
#include "ringlog/tools/decode/decode_sink.h"

namespace ringlog {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

void ExpectIsReportOf(const KilledLife& life, const std::string& text) {
  EXPECT_TRUE(absl::StartsWith(life.begun_report(), text))
      << text << "\nis not a prefix of\n"
      << life.begun_report();
  // A record does not end in a line break.
  const std::string appended = life.appended_report();
  EXPECT_GE(text.size(), absl::StripSuffix(appended, "\n").size()) << text;
}

// The records and reports of one life that the log has.
struct FoundLife {
  // By thread: the number after its last record; 0: no record.
  std::array<uint64_t, KilledLife::kMaxThreads> ends = {};
  std::vector<std::string> reports;
};

// Collects the lines of a log and compares them with the notes.
class FoundLog {
 public:
  FoundLog(absl::Span<const KilledLife> lives, bool may_lack_oldest)
      : lives_(lives),
        may_lack_oldest_(may_lack_oldest),
        found_(lives.size()) {}

  void AddLine(const std::string& line) {
    if (absl::StartsWith(line, " ")) {  // the second line of a gap
      ASSERT_TRUE(absl::StrContains(line, "\"unfinished\"")) << line;
      return;
    }
    if (absl::StartsWith(line, "\t")) {  // only reports have continuation lines
      ASSERT_NE(report_, nullptr) << line;
      absl::StrAppend(report_, "\n", line.substr(1));
      return;
    }
    report_ = nullptr;
    const std::vector<std::string> parts =
        absl::StrSplit(line, absl::MaxSplits("] ", 1));
    ASSERT_THAT(parts, SizeIs(2)) << line;
    if (absl::StrContains(parts[0], " signal:")) {
      AddReport(parts[0], parts[1]);
    } else if (!absl::StartsWith(parts[1], "position")) {
      AddRecord(parts[1]);
    }
  }

  void ExpectAllRecovered() const {
    for (size_t life = 0; life < lives_.size(); ++life) {
      for (size_t t = 0; t < KilledLife::kMaxThreads; ++t) {
        const uint64_t end = found_[life].ends[t];
        const uint64_t acknowledged = lives_[life].acknowledged[t];
        ASSERT_LE(end, acknowledged + 1) << life << " " << t;
        if (end == 0 && may_lack_oldest_) continue;
        ASSERT_GE(end, acknowledged) << life << " " << t;
      }
      ExpectReport(lives_[life], found_[life]);
    }
  }

 private:
  void AddReport(absl::string_view prefix, const std::string& text) {
    const std::vector<absl::string_view> words = absl::StrSplit(prefix, ' ');
    pid_t tid = 0;
    ASSERT_TRUE(words.size() == 4 && absl::SimpleAtoi(words[2], &tid))
        << prefix;
    for (size_t life = 0; life < lives_.size(); ++life) {
      if (lives_[life].reporter != tid) continue;
      found_[life].reports.push_back(text);
      report_ = &found_[life].reports.back();
      return;
    }
    FAIL() << "report of an unknown thread: " << prefix << "] " << text;
  }

  void AddRecord(const std::string& text) {
    const std::vector<absl::string_view> words = absl::StrSplit(text, ' ');
    uint64_t life = 0;
    uint64_t t = 0;
    uint64_t number = 0;
    ASSERT_TRUE(words.size() == 7 && absl::SimpleAtoi(words[1], &life) &&
                absl::SimpleAtoi(words[3], &t) &&
                absl::SimpleAtoi(words[5], &number) && life < lives_.size() &&
                t < KilledLife::kMaxThreads)
        << text;
    ASSERT_THAT(found_[life].reports, IsEmpty())
        << "after the crash report: " << text;
    uint64_t& end = found_[life].ends[t];
    if (end == 0 && may_lack_oldest_) end = number;
    // It must be the next record of its thread. This excludes a lost, doubled,
    // reordered or changed record.
    ASSERT_EQ(text, LifeText(life, t, end));
    ++end;
  }

  void ExpectReport(const KilledLife& life, const FoundLife& found) const {
    if (life.reporter == 0) return;
    ASSERT_LE(found.reports.size(), 1u);
    for (const std::string& report : found.reports) {
      ExpectIsReportOf(life, report);
    }
    const bool has_record = std::any_of(found.ends.begin(), found.ends.end(),
                                        [](uint64_t end) { return end != 0; });
    // Retention deletes the report together with the last records of its life.
    if (life.appended_bytes == 0 || (may_lack_oldest_ && !has_record)) return;
    ASSERT_THAT(found.reports, SizeIs(1)) << life.appended_report();
  }

  const absl::Span<const KilledLife> lives_;
  const bool may_lack_oldest_;
  std::vector<FoundLife> found_;
  std::string* report_ = nullptr;  // the report of the last line
};

}  // namespace

void ExpectLivesRecovered(const std::string& directory,
                          absl::Span<const KilledLife> lives,
                          bool may_lack_oldest) {
  FoundLog log(lives, may_lack_oldest);
  for (const std::string& line : AllLines(directory)) {
    log.AddLine(line);
    if (::testing::Test::HasFatalFailure()) return;
  }
  log.ExpectAllRecovered();
}

void ExpectReportIsLast(const std::vector<std::string>& paths,
                        const KilledLife& life) {
  std::vector<std::string> reports;
  bool is_last = false;
  DecodeSink sink;
  sink.on_record = [&](const DecodedRecord& found) {
    if (found.gap != nullptr) return true;
    is_last = found.record.file == "signal";
    if (is_last) reports.emplace_back(found.record.text);
    return true;
  };
  sink.on_damage = [](const std::string& path, absl::string_view message) {
    ADD_FAILURE() << path << ": " << message;
  };
  sink.on_unusable = [](const std::string& path, const absl::Status& status) {
    ADD_FAILURE() << path << ": " << status;
  };
  Decode(paths, sink);
  ASSERT_LE(reports.size(), 1u);
  ASSERT_GE(reports.size(), life.appended_bytes == 0 ? 0u : 1u);
  if (reports.empty()) return;
  EXPECT_TRUE(is_last) << "records follow the report";
  ExpectIsReportOf(life, reports[0]);
}

}  // namespace ringlog
