#include "ringlog/testing/kill/kill_scenario.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <ios>
#include <utility>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "ringlog/compress/flusher/flusher.h"
#include "ringlog/compress/retention/retention_runner.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/crash_area.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/fixtures/other_boot.h"
#include "ringlog/testing/fixtures/recover_leftovers.h"
#include "ringlog/testing/fixtures/test_records.h"
#include "ringlog/testing/harness/test_files.h"
#include "ringlog/tools/command/recover.h"

namespace ringlog {
namespace {

// The program of the stepped process: a ring, a flusher, and notes for the
// oracle.
class Program {
 public:
  Program(const std::string& directory, KillOracle* oracle,
          OverflowPolicy overflow = OverflowPolicy::kDropNewest)
      : directory_(directory), oracle_(oracle) {
    RingOptions options;
    options.slot_count = 16;
    options.head_bytes = 64;
    options.body_bytes = 160;
    options.overflow = overflow;
    options.program = "program";
    options.host = "host";
    auto ring = Ring::CreateIn(directory, RingFileName, options);
    CHECK(ring.ok()) << ring.status();
    ring_ = *std::move(ring);
  }

  void StartFlusher(FlusherOptions options = FlusherOptions()) {
    options.directory = directory_;
    auto flusher = Flusher::Start(ring_.get(), options);
    CHECK(flusher.ok()) << flusher.status();
    flusher_ = *std::move(flusher);
  }
  Flusher* flusher() { return flusher_.get(); }

  // Logs a record whose text has `length` bytes, or fewer if the ring truncates
  // it.
  void Log(size_t length) {
    const uint32_t number = oracle_->begun.load();
    const std::string text = KillText(number, length);
    Record record;
    record.time_ns = kTestTimeNs + number;
    record.file = "file.cc";
    record.line = 7;
    record.text = text;
    char head[64];
    const size_t size = EncodeRecordHead(record, absl::MakeSpan(head));
    const size_t longest = ring_->max_body_bytes(size);
    oracle_->lengths[number] =
        static_cast<uint32_t>(std::min(text.size(), longest));
    oracle_->begun.store(number + 1);
    const auto result = ring_->Append(Severity::kInfo, {head, size}, text);
    if (result == Ring::AppendResult::kDropped) {
      oracle_->lengths[number] = 0;
      oracle_->dropped.fetch_add(1);
    }
    oracle_->acknowledged.store(number + 1);
  }
  void LogMany(int count) {
    for (int i = 0; i < count; ++i) Log(20);
  }

  // Claims a record and does not commit it, as if a signal interrupted
  // Append().
  void ClaimWithoutCommit() {
    oracle_->lengths[oracle_->begun] = 20;
    oracle_->begun.fetch_add(1);
    CHECK(ring_->Claim(Severity::kInfo, 64, 20).has_value());
  }

  void WriteReport() {
    constexpr int kThread = 4711;
    constexpr int64_t kTime = 1795489440000000000;
    const CrashArea& area = ring_->crash_area();
    for (const std::string& piece : KillReport()) {
      const auto size = static_cast<uint32_t>(piece.size());
      oracle_->report_begun.fetch_add(size);
      area.Append(kThread, kTime, piece);
      oracle_->report_appended.fetch_add(size);
    }
    area.End(kThread, kTime);
  }

  // Changes the header of the ring to that of another boot, without a cursor,
  // as if the machine had died before the cursor reached the disk.
  void MoveToOtherBoot() {
    std::string other = WithOtherBootId(ReadFile(ring_->path()));
    constexpr size_t kCursors =
        kLiveOffset + offsetof(RingLive, cursor_selector);
    std::fill(other.begin() + kCursors,
              other.begin() + kLiveOffset + sizeof(RingLive), '\0');
    std::fstream file(ring_->path(),
                      std::ios::in | std::ios::out | std::ios::binary);
    file.write(other.data(), kLiveOffset + sizeof(RingLive));
    CHECK(file.flush()) << ring_->path();
  }

 private:
  const std::string directory_;
  KillOracle* const oracle_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<Flusher> flusher_;
};

// Runs `body` between BeginSteps() and EndSteps().
void RunStepped(const std::function<void()>& body) {
  SteppedProcess::BeginSteps();
  body();
  SteppedProcess::EndSteps();
}

constexpr size_t kOneSlot = 100;
constexpr size_t kThreeSlots = 500;

KillScenario AppendScenario(
    const std::string& name, int before, size_t length,
    OverflowPolicy overflow = OverflowPolicy::kDropNewest) {
  KillScenario scenario;
  scenario.name = name;
  scenario.body = [=](const std::string& directory, KillOracle* oracle) {
    Program program(directory, oracle, overflow);
    program.LogMany(before);
    SteppedProcess::Freeze();
    RunStepped([&] { program.Log(length); });
  };
  return scenario;
}

KillScenario WrappingAppend() {
  KillScenario scenario;
  scenario.name = "AppendThatWraps";
  scenario.body = [](const std::string& directory, KillOracle* oracle) {
    Program program(directory, oracle);
    program.StartFlusher();
    program.LogMany(12);
    CHECK(program.flusher()->Flush(absl::InfiniteDuration()));
    SteppedProcess::Freeze();
    program.Log(kOneSlot);
    RunStepped([&] { program.Log(kThreeSlots); });
  };
  return scenario;
}

KillScenario FlusherIteration(const std::string& name, bool sync) {
  KillScenario scenario;
  scenario.name = name;
  scenario.thread = SteppedProcess::Thread::kOther;
  scenario.body = [=](const std::string& directory, KillOracle* oracle) {
    Program program(directory, oracle);
    FlusherOptions options;
    options.sync = sync;
    program.StartFlusher(options);
    program.LogMany(2);
    CHECK(program.flusher()->Flush(absl::InfiniteDuration()));
    SteppedProcess::Freeze();
    program.Log(kOneSlot);
    program.Log(kThreeSlots);
    RunStepped(
        [&] { CHECK(program.flusher()->Flush(absl::InfiniteDuration())); });
  };
  return scenario;
}

// Closes a first segment and begins a second one, which Stop() closes.
KillScenario Rotation(const std::string& name, bool sync) {
  KillScenario scenario;
  scenario.name = name;
  scenario.thread = SteppedProcess::Thread::kOther;
  scenario.body = [=](const std::string& directory, KillOracle* oracle) {
    Program program(directory, oracle);
    FlusherOptions options;
    options.sync = sync;
    options.rotation.max_segment_bytes = 1;
    program.StartFlusher(options);
    program.LogMany(2);
    CHECK(program.flusher()->Flush(absl::InfiniteDuration()));
    SteppedProcess::Freeze();
    program.LogMany(3);
    RunStepped([&] { program.flusher()->Stop().IgnoreError(); });
  };
  return scenario;
}

// Makes a segment whose last frame is open, and a ring with later records.
Program* MakeSegmentAndRing(const std::string& directory, KillOracle* oracle) {
  auto* const program = new Program(directory, oracle);
  program->StartFlusher();
  program->LogMany(3);
  CHECK(program->flusher()->Flush(absl::InfiniteDuration()));
  program->Log(kThreeSlots);
  program->Log(kOneSlot);
  return program;
}

KillScenario Recovery() {
  KillScenario scenario;
  scenario.name = "Recovery";
  scenario.by_system_calls = true;  // its memory is not shared
  scenario.before = MakeSegmentAndRing;
  scenario.body = [](const std::string& directory, KillOracle*) {
    SteppedProcess::Freeze();
    RunStepped([&] { RecoverLeftovers(directory, directory); });
  };
  return scenario;
}

// Recovery after a restart of the machine: the frames of the segment, not the
// cursor, show how many bytes count.
KillScenario RecoveryAfterReboot() {
  KillScenario scenario = Recovery();
  scenario.name = "RecoveryAfterReboot";
  scenario.before = [](const std::string& directory, KillOracle* oracle) {
    auto* const program = new Program(directory, oracle);
    FlusherOptions options;
    options.sync = true;
    program->StartFlusher(options);
    for (int frame = 0; frame < 2; ++frame) {
      program->LogMany(2);
      CHECK(program->flusher()->Flush(absl::InfiniteDuration()));
    }
    program->Log(kThreeSlots);
    program->MoveToOtherBoot();
  };
  return scenario;
}

KillScenario ReportDuringAppend() {
  KillScenario scenario;
  scenario.name = "ReportDuringAppend";
  scenario.body = [](const std::string& directory, KillOracle* oracle) {
    Program program(directory, oracle);
    program.LogMany(2);
    program.ClaimWithoutCommit();
    SteppedProcess::Freeze();
    RunStepped([&] { program.WriteReport(); });
  };
  return scenario;
}

KillScenario RecoveryOfReport() {
  KillScenario scenario = Recovery();
  scenario.name = "RecoveryOfReport";
  scenario.before = [](const std::string& directory, KillOracle* oracle) {
    MakeSegmentAndRing(directory, oracle)->WriteReport();
  };
  return scenario;
}

std::string OutputIn(const std::string& directory) {
  return directory + "/out";
}

KillScenario RecoveryIntoAnotherDirectory() {
  KillScenario scenario;
  scenario.name = "RecoveryIntoAnotherDirectory";
  scenario.before = MakeSegmentAndRing;
  scenario.into_output = true;
  scenario.by_system_calls = true;
  scenario.body = [](const std::string& directory, KillOracle* oracle) {
    SteppedProcess::Freeze();
    RunStepped([&] {
      const int exit_status = Recover({directory}, OutputIn(directory));
      oracle->is_recovered.store(exit_status == 0);
    });
  };
  return scenario;
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const KillScenario& scenario) {
  return out << scenario.name;
}

std::vector<KillScenario> AppendScenarios() {
  KillScenario overwrite =
      AppendScenario("AppendThatOverwrites", 16, kThreeSlots,
                     OverflowPolicy::kOverwriteOldest);
  // The number of evicted records after 16 records of one slot and one of three
  // slots in a ring of 16 slots.
  overwrite.overwritten = 5;
  return {AppendScenario("AppendOneSlot", 1, kOneSlot),
          AppendScenario("AppendThreeSlots", 1, kThreeSlots),
          WrappingAppend(),
          AppendScenario("AppendThatIsTruncated", 1, 5000),
          AppendScenario("AppendToFullRing", 14, kOneSlot),
          overwrite};
}

std::vector<KillScenario> BackgroundScenarios() {
  return {FlusherIteration("FlusherIteration", false),
          FlusherIteration("FlusherIterationWithSync", true),
          Rotation("Rotation", false),
          Rotation("RotationWithSync", true),
          Recovery(),
          RecoveryAfterReboot(),
          RecoveryIntoAnotherDirectory()};
}

std::vector<KillScenario> ReportScenarios() {
  return {ReportDuringAppend(), RecoveryOfReport()};
}

KillScenario DeletionScenario() {
  constexpr int kRecordsPerSegment = 2;
  KillScenario scenario;
  scenario.name = "Deletion";
  constexpr int kDeleted = 2;
  scenario.overwritten = kDeleted * kRecordsPerSegment;
  scenario.by_system_calls = true;  // its memory is not shared
  scenario.body = [](const std::string& directory, KillOracle* oracle) {
    Program program(directory, oracle);
    FlusherOptions options;
    options.rotation.max_segment_bytes = 1;
    program.StartFlusher(options);
    for (int segment = 0; segment < 4; ++segment) {
      program.LogMany(kRecordsPerSegment);
      CHECK(program.flusher()->Flush(absl::InfiniteDuration()));
    }
    SteppedProcess::Freeze();
    RunStepped([&] {
      RetentionRunner retention({directory, directory, "program"});
      RetentionPolicy policy;
      policy.limits.max_files = 2;
      CHECK(retention.Run(policy, [] { return false; }));
    });
  };
  return scenario;
}

void KillScenarioTest::NewRun() {
  directory_ = MakeTestDirectory();
  oracle_ = page_.emplace().get();
  const auto& before = GetParam().before;
  if (!before) return;
  SteppedProcess process(SteppedProcess::Thread::kMain, [&] {
    before(directory_, oracle_);
    SteppedProcess::Freeze();
    SteppedProcess::BeginSteps();
  });
  if (!process.Start()) GTEST_SKIP() << process.error();
}

// If the scenario recovers into another directory, repeats this recovery, and
// then recovers the source in place. Both recoveries must have the same result.
void KillScenarioTest::ExpectAllRecovered(
    const KillOracle::Progress& progress) {
  const std::string output = OutputIn(directory_);
  if (GetParam().into_output) {
    const std::string text = progress.is_recovered ? AllText(output) : "";
    ASSERT_EQ(Recover({directory_}, output), 0);
    if (progress.is_recovered) {
      EXPECT_EQ(AllText(output), text);
    }
  }
  ringlog::ExpectAllRecovered(directory_, *oracle_, progress,
                              GetParam().overwritten);
  if (!GetParam().into_output) return;
  EXPECT_FALSE(std::filesystem::is_empty(output));
  for (const auto& entry : std::filesystem::directory_iterator(output)) {
    EXPECT_EQ(
        ReadFile(entry.path()),
        ReadFile(std::filesystem::path(directory_) / entry.path().filename()));
  }
  EXPECT_EQ(AllText(output), AllText(directory_));
}

std::unique_ptr<SteppedProcess> KillScenarioTest::Start() {
  auto process = std::make_unique<SteppedProcess>(
      GetParam().thread, [this] { GetParam().body(directory_, oracle_); });
  if (process->Start()) return process;
  if (!absl::StrContains(process->error(), "PTRACE_SEIZE")) {
    ADD_FAILURE() << process->error();
  }
  return nullptr;
}

}  // namespace ringlog
