#include "ringlog/logsink/dying_process.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "ringlog/ring/gap.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/read_segments.h"
#include "ringlog/testing/run_child.h"
#include "ringlog/tools/decode.h"
#include "ringlog/tools/decode_sink.h"

namespace ringlog {

int RunToDeath(const std::function<void()>& body) {
  return AwaitChild(StartChild([&body] {
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, STDERR_FILENO);
    body();
  }));
}

RingLogSinkOptions DyingOptions(const std::string& directory) {
  RingLogSinkOptions options;
  options.directory = directory + "/log";
  options.ring_directory = directory + "/ring";
  options.ring_bytes = 64 << 10;
  options.flush_interval = absl::Milliseconds(1);
  return options;
}

RingLogSink* MustInstall(const RingLogSinkOptions& options) {
  absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
  const absl::StatusOr<RingLogSink*> sink = Install(options);
  if (!sink.ok() || !WaitForRecovery(absl::Minutes(10))) _exit(100);
  return *sink;
}

void FillRing(RingLogSink* sink, const RingLogSinkOptions& options) {
  std::filesystem::remove_all(options.directory);
  WriteFile(options.directory, "a file, which the flusher cannot use");
  while (sink->ring().dropped(DropCause::kRingFull, Severity::kInfo) == 0) {
    LOG(INFO) << "fills the ring";
  }
}

bool operator==(const LoggedRecord& a, const LoggedRecord& b) {
  return a.severity == b.severity && a.tid == b.tid && a.file == b.file &&
         a.line == b.line && a.text == b.text;
}

std::ostream& operator<<(std::ostream& out, const LoggedRecord& record) {
  return out << SeverityLetter(record.severity) << ' ' << record.tid << ' '
             << record.file << ':' << record.line << "] " << record.text;
}

std::vector<LoggedRecord> ReadLog(const std::string& directory) {
  std::vector<LoggedRecord> records;
  DecodeSink sink;
  sink.on_record = [&](const DecodedRecord& found) {
    if (found.gap != nullptr) return true;
    const Record& record = found.record;
    const absl::string_view path = record.file;
    records.push_back({record.severity, record.tid,
                       std::string(path.substr(path.rfind('/') + 1)),
                       record.line, std::string(record.text)});
    return true;
  };
  sink.on_gap = [](const std::string& path, const Gap& gap) {
    if (!IsLoss(gap.cause) || gap.cause == GapCause::kRingFull) return;
    ADD_FAILURE() << path << ": " << Describe(gap);
  };
  sink.on_damage = [](const std::string& path, absl::string_view message) {
    ADD_FAILURE() << path << ": " << message;
  };
  sink.on_unusable = [](const std::string& path, const absl::Status& status) {
    ADD_FAILURE() << path << ": " << status;
  };
  const RingLogSinkOptions options = DyingOptions(directory);
  std::vector<std::string> paths = FilesIn(options.ring_directory, ".ring");
  if (std::filesystem::is_directory(options.directory)) {
    for (std::string& path : FilesIn(options.directory, ".zst")) {
      paths.push_back(std::move(path));
    }
  }
  Decode(paths, sink);
  return records;
}

std::vector<LoggedRecord> ReadLogAndRecover(const std::string& directory) {
  const std::vector<LoggedRecord> before = ReadLog(directory);
  const RingLogSinkOptions options = DyingOptions(directory);
  if (!std::filesystem::is_directory(options.directory)) {
    std::filesystem::remove(options.directory);  // FillRing()'s
  }
  EXPECT_EQ(RunToDeath([&] { MustInstall(options); }), 0);
  EXPECT_EQ(FilesIn(options.ring_directory, ".ring"),
            std::vector<std::string>());
  std::vector<LoggedRecord> after = ReadLog(directory);
  EXPECT_EQ(after, before);
  return after;
}

}  // namespace ringlog
