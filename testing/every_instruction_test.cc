// Whatever instruction is a process's last: what was acknowledged is in the
// log, once, whole and in order.
//
// A kill leaves what the shared mapping and the files hold at that moment, and
// nothing else. So each scenario is run once, one instruction at a time, and
// whenever one has changed something on disk, what is there is kept; each of
// these images is then recovered. That a real kill leaves no more is shown by
// some of them, in a run each.

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/compress/flusher.h"
#include "ringlog/compress/leftover.h"
#include "ringlog/compress/rotation.h"
#include "ringlog/compress/segment_writer.h"
#include "ringlog/ring/record.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/directory_image.h"
#include "ringlog/testing/long_mode.h"
#include "ringlog/testing/read_segments.h"
#include "ringlog/testing/stepped_process.h"

namespace ringlog {
namespace {

using ::testing::IsEmpty;

constexpr size_t kMaxRecords = 64;

// In a page of its own: what the process has said, whatever became of it.
struct Oracle {
  struct Said {
    uint32_t begun;         // records whose Append() was called
    uint32_t acknowledged;  // of these, whose Append() has returned
    uint32_t dropped;       // of the acknowledged, those with kDropped
  };
  std::atomic<uint32_t> begun{0};
  std::atomic<uint32_t> acknowledged{0};
  std::atomic<uint32_t> dropped{0};
  std::atomic<uint32_t> lengths[kMaxRecords] = {};  // of texts; 0: dropped

  Said Now() const { return {begun, acknowledged, dropped}; }
};

Oracle* NewOracle() {
  void* const page = mmap(nullptr, sizeof(Oracle), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  return new (page) Oracle;
}

std::string TextOf(uint32_t number, size_t length) {
  std::string text = absl::StrCat("record ", number, " ");
  while (text.size() < length) {
    text.push_back(static_cast<char>('a' + text.size() % 26));
  }
  return text;
}

// The process that is to die; lives in the child.
class Program {
 public:
  Program(const std::string& directory, Oracle* oracle,
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

  // A record whose text has `length` bytes, or fewer if the ring cuts it.
  void Log(size_t length) {
    const uint32_t number = oracle_->begun.load();
    const std::string text = TextOf(number, length);
    Record record;
    record.time_ns = 1795489439000000000 + number;
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

 private:
  const std::string directory_;
  Oracle* const oracle_;
  std::unique_ptr<Ring> ring_;
  std::unique_ptr<Flusher> flusher_;
};

void Steps(const std::function<void()>& what) {
  SteppedProcess::BeginSteps();
  what();
  SteppedProcess::EndSteps();
}

struct Scenario {
  std::string name;
  SteppedProcess::Thread thread = SteppedProcess::Thread::kMain;
  // Runs in the process that is stepped.
  std::function<void(const std::string& directory, Oracle*)> body;
  // Runs in a process that ends before; may be empty.
  std::function<void(const std::string& directory, Oracle*)> before;
  // So many of the oldest may be gone: a flight recorder.
  uint32_t overwritten = 0;
};

std::ostream& operator<<(std::ostream& out, const Scenario& scenario) {
  return out << scenario.name;
}

constexpr size_t kOneSlot = 100;
constexpr size_t kThreeSlots = 500;

Scenario AppendScenario(const std::string& name, int before, size_t length,
                        OverflowPolicy overflow = OverflowPolicy::kDropNewest) {
  Scenario scenario;
  scenario.name = name;
  scenario.body = [=](const std::string& directory, Oracle* oracle) {
    Program program(directory, oracle, overflow);
    program.LogMany(before);
    SteppedProcess::Freeze();
    Steps([&] { program.Log(length); });
  };
  return scenario;
}

Scenario Wrap() {
  Scenario scenario;
  scenario.name = "AppendOverTheEndOfTheRing";
  scenario.body = [](const std::string& directory, Oracle* oracle) {
    Program program(directory, oracle);
    program.StartFlusher();
    program.LogMany(12);
    CHECK(program.flusher()->Flush(absl::InfiniteDuration()));
    SteppedProcess::Freeze();
    program.Log(kOneSlot);
    Steps([&] { program.Log(kThreeSlots); });
  };
  return scenario;
}

Scenario FlusherTurn(const std::string& name, size_t frame_bytes) {
  Scenario scenario;
  scenario.name = name;
  scenario.thread = SteppedProcess::Thread::kOther;
  scenario.body = [=](const std::string& directory, Oracle* oracle) {
    Program program(directory, oracle);
    FlusherOptions options;
    options.segment.frame_bytes = frame_bytes;
    program.StartFlusher(options);
    program.LogMany(2);
    CHECK(program.flusher()->Flush(absl::InfiniteDuration()));
    SteppedProcess::Freeze();
    program.Log(kOneSlot);
    program.Log(kThreeSlots);
    Steps([&] { CHECK(program.flusher()->Flush(absl::InfiniteDuration())); });
  };
  return scenario;
}

// The first segment, and a second one that ends with the process.
Scenario Rotation() {
  Scenario scenario;
  scenario.name = "Rotation";
  scenario.thread = SteppedProcess::Thread::kOther;
  scenario.body = [](const std::string& directory, Oracle* oracle) {
    Program program(directory, oracle);
    FlusherOptions options;
    options.rotation.max_segment_bytes = 1;
    program.StartFlusher(options);
    program.LogMany(2);
    CHECK(program.flusher()->Flush(absl::InfiniteDuration()));
    SteppedProcess::Freeze();
    program.LogMany(3);
    Steps([&] { CHECK(program.flusher()->Stop().ok()); });
  };
  return scenario;
}

// Of a segment that is cut in the middle of a frame, and what the ring has
// after it.
Scenario Recovery() {
  Scenario scenario;
  scenario.name = "Recovery";
  scenario.before = [](const std::string& directory, Oracle* oracle) {
    auto* const program = new Program(directory, oracle);
    program->StartFlusher();
    program->LogMany(3);
    CHECK(program->flusher()->Flush(absl::InfiniteDuration()));
    program->Log(kThreeSlots);
    program->Log(kOneSlot);
  };
  scenario.body = [](const std::string& directory, Oracle*) {
    SteppedProcess::Freeze();
    Steps([&] {
      CHECK(RecoverLeftovers(directory, directory, SegmentWriterOptions())
                .errors.empty());
    });
  };
  return scenario;
}

std::vector<Scenario> Scenarios() {
  Scenario overwrite = AppendScenario("AppendThatOverwrites", 16, kThreeSlots,
                                      OverflowPolicy::kOverwriteOldest);
  // What 16 records of a slot and one of three leave in 16 slots.
  overwrite.overwritten = 5;
  return {AppendScenario("AppendOneSlot", 1, kOneSlot),
          AppendScenario("AppendThreeSlots", 1, kThreeSlots),
          Wrap(),
          AppendScenario("AppendThatIsCut", 1, 5000),
          AppendScenario("AppendToAFullRing", 14, kOneSlot),
          overwrite,
          FlusherTurn("FlusherTurn", 1 << 20),
          FlusherTurn("FlusherTurnThatEndsAFrame", 1),
          Rotation(),
          Recovery()};
}

// A moment at which a process may have died.
struct Moment {
  uint64_t steps;
  Oracle::Said said;
  DirectoryImage image;
};

class EveryInstructionTest : public ::testing::TestWithParam<Scenario> {
 protected:
  void SetUp() override { NewRun(); }

  void NewRun() {
    directory_ = MakeTestDirectory();
    oracle_ = NewOracle();
    const auto& before = GetParam().before;
    if (!before) return;
    SteppedProcess process(SteppedProcess::Thread::kMain, [&] {
      before(directory_, oracle_);
      SteppedProcess::Freeze();
      SteppedProcess::BeginSteps();
    });
    if (!process.Start()) GTEST_SKIP() << process.error();
  }

  std::unique_ptr<SteppedProcess> Start() {
    auto process = std::make_unique<SteppedProcess>(
        GetParam().thread, [this] { GetParam().body(directory_, oracle_); });
    if (process->Start()) return process;
    if (!absl::StrContains(process->error(), "PTRACE_SEIZE")) {
      ADD_FAILURE() << process->error();
    }
    return nullptr;
  }

  // Recovers what is in the directory, and compares it with what was said.
  void ExpectAllIsThere(const Oracle::Said& said) {
    for (int time = 0; time < 2; ++time) {  // the second has nothing to do
      const LeftoverSweep sweep =
          RecoverLeftovers(directory_, directory_, SegmentWriterOptions());
      ASSERT_THAT(sweep.errors, IsEmpty());
    }
    ASSERT_THAT(FilesIn(directory_, ".ring"), IsEmpty());
    std::vector<std::string> texts;
    uint32_t unfinished = 0;
    uint32_t dropped = 0;
    for (const std::string& line : AllLines(directory_)) {
      const std::string text = line.substr(line.find("] ") + 2);
      if (absl::StartsWith(text, "record ")) texts.push_back(text);
      // The second line of a gap's record. None is a loss.
      EXPECT_FALSE(absl::StrContains(line, "\"cause\":\"missing\"") ||
                   absl::StrContains(line, "\"cause\":\"checksum_mismatch\""))
          << line;
      unfinished += absl::StrContains(line, "\"cause\":\"unfinished\"");
      dropped += absl::StrContains(line, "\"cause\":\"ring_full\"");
    }
    ExpectTexts(texts, said);
    // At most one was on its way, and it is never there and missing.
    EXPECT_LE(unfinished, said.begun - said.acknowledged)
        << AllText(directory_);
    if (GetParam().overwritten != 0) return;
    EXPECT_GE(dropped, said.dropped);
    EXPECT_LE(dropped, said.dropped + (said.begun - said.acknowledged));
  }

  void ExpectTexts(const std::vector<std::string>& texts,
                   const Oracle::Said& said) {
    std::vector<std::string> expected;
    for (uint32_t n = 0; n < said.acknowledged; ++n) {
      const uint32_t length = oracle_->lengths[n];
      if (length != 0) expected.push_back(TextOf(n, length));
    }
    // The one that was on its way is there or not.
    if (said.begun > said.acknowledged) {
      const std::string next =
          TextOf(said.acknowledged, oracle_->lengths[said.acknowledged]);
      if (!texts.empty() && texts.back() == next) expected.push_back(next);
    }
    const size_t gone =
        expected.size() - std::min(expected.size(), texts.size());
    ASSERT_LE(gone, GetParam().overwritten);
    expected.erase(expected.begin(),
                   expected.begin() + static_cast<std::ptrdiff_t>(gone));
    ASSERT_EQ(texts, expected);
  }

  std::string directory_;
  Oracle* oracle_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(, EveryInstructionTest,
                         ::testing::ValuesIn(Scenarios()),
                         ::testing::PrintToStringParamName());

TEST_P(EveryInstructionTest, MayBeTheLast) {
  std::unique_ptr<SteppedProcess> process = Start();
  if (process == nullptr) GTEST_SKIP() << "no ptrace(2) here";
  DirectoryWatch watch(directory_);
  std::vector<Moment> moments = {{0, oracle_->Now(), watch.image()}};
  uint64_t steps = 0;
  while (process->Step()) {
    ++steps;
    const Oracle::Said said = oracle_->Now();
    // What the process says counts as much as what it does.
    if (watch.Changed(process->made_system_call()) ||
        said.acknowledged != moments.back().said.acknowledged ||
        said.begun != moments.back().said.begun) {
      moments.push_back({steps, said, watch.image()});
    }
  }
  ASSERT_EQ(process->error(), "");
  process->Kill();
  std::cout << steps << " instructions, " << moments.size()
            << " moments that differ" << std::endl;
  ASSERT_GT(moments.size(), 2u);
  for (const Moment& moment : moments) {
    moment.image.Restore(directory_);
    ExpectAllIsThere(moment.said);
    if (HasFailure()) FAIL() << "after instruction " << moment.steps;
  }

  // A hundred thousand instructions are seconds.
  const uint64_t kills = IsLongMode() ? 1000 : steps < 20000 ? 20 : 2;
  for (uint64_t kill = 0; kill < kills; ++kill) {
    const uint64_t last = steps * kill / kills;
    NewRun();
    process = Start();
    ASSERT_NE(process, nullptr);
    for (uint64_t i = 0; i < last && process->Step(); ++i) {
    }
    process->Kill();
    ExpectAllIsThere(oracle_->Now());
    if (HasFailure()) FAIL() << "killed after instruction " << last;
  }
}

}  // namespace
}  // namespace ringlog
