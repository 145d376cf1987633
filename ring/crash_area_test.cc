// Invariants checked:
// - Appended text is read back, separately for each thread.
// - Whatever the bytes are, all text that is read was appended, except for the
//   marks of missing text.

#include "ringlog/ring/crash_area.h"

#include <signal.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/crc/crc32c.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/ring_format.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr size_t kCells = 16;
constexpr absl::crc32c_t kSeed{0x12345678};
constexpr int32_t kThread = 7;
constexpr int64_t kTime = 1795489439000000000;

struct Memory {
  alignas(kCacheLineBytes)
      std::array<unsigned char, kCells * sizeof(CrashCell)> bytes = {};

  CrashArea area() { return CrashArea(absl::MakeSpan(bytes), kSeed); }
  absl::string_view view() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::vector<CrashReport> Read() const { return ReadCrashArea(view(), kSeed); }
  CrashAreaHead* head() {
    return reinterpret_cast<CrashAreaHead*>(bytes.data());
  }
  CrashCell* cell(size_t i) {
    return reinterpret_cast<CrashCell*>(bytes.data() + i * sizeof(CrashCell));
  }
};

std::vector<std::string> Texts(const std::vector<CrashReport>& reports) {
  std::vector<std::string> texts;
  for (const CrashReport& report : reports) texts.push_back(report.text);
  return texts;
}

TEST(CrashAreaTest, ZerosAreEmpty) {
  Memory memory;
  EXPECT_TRUE(memory.area().empty());
  EXPECT_THAT(memory.Read(), IsEmpty());
}

TEST(CrashAreaTest, PiecesAreOneReport) {
  Memory memory;
  const CrashArea area = memory.area();
  const std::string longer(3 * kCrashTextBytes - 1, 'x');
  area.Append(kThread, kTime, "*** SIGSEGV received at time=1 ***\n");
  area.Append(kThread, kTime + 1, "");
  area.Append(kThread, kTime + 2, longer);
  area.End(kThread, kTime + 3);
  EXPECT_FALSE(area.empty());
  const std::vector<CrashReport> reports = memory.Read();
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_EQ(reports[0].text, "*** SIGSEGV received at time=1 ***\n" + longer);
  EXPECT_EQ(reports[0].thread_id, kThread);
  EXPECT_EQ(reports[0].time_ns, kTime);
  EXPECT_EQ(reports[0].signal, SIGSEGV);
  EXPECT_EQ(reports[0].lost_bytes, 0u);
  EXPECT_TRUE(reports[0].is_complete);
}

TEST(CrashAreaTest, EachThreadHasItsReport) {
  Memory memory;
  const CrashArea area = memory.area();
  area.Append(1, kTime, "one ");
  area.Append(2, kTime, "two ");
  area.Append(1, kTime, "goes on");
  area.End(2, kTime);
  area.Append(2, kTime, "two again");
  const std::vector<CrashReport> reports = memory.Read();
  EXPECT_THAT(Texts(reports), ElementsAre("one goes on", "two ", "two again"));
  EXPECT_FALSE(reports[0].is_complete);
  EXPECT_TRUE(reports[1].is_complete);
  EXPECT_FALSE(reports[2].is_complete);
}

TEST(CrashAreaTest, ConcurrentThreadsDoNotMix) {
  constexpr int kThreads = 4;
  constexpr int kPieces = 5000;
  struct alignas(kCacheLineBytes) Cell {
    unsigned char bytes[sizeof(CrashCell)];
  };
  std::vector<Cell> memory(1 + kThreads * kPieces, Cell{});
  const CrashArea area(
      absl::MakeSpan(memory[0].bytes, memory.size() * sizeof(CrashCell)),
      kSeed);
  const auto piece = [](int t, int i) {
    return absl::StrCat("thread ", t, " piece ", i, "\n");
  };
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      ready.fetch_add(1);
      while (ready.load() < kThreads) {
      }
      for (int i = 0; i < kPieces; ++i) area.Append(t, kTime, piece(t, i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<CrashReport> reports = ReadCrashArea(
      absl::string_view(reinterpret_cast<const char*>(memory[0].bytes),
                        memory.size() * sizeof(CrashCell)),
      kSeed);
  ASSERT_THAT(reports, SizeIs(kThreads));
  for (const CrashReport& report : reports) {
    std::string expected;
    for (int i = 0; i < kPieces; ++i) expected += piece(report.thread_id, i);
    EXPECT_EQ(report.text, expected);
    EXPECT_EQ(report.lost_bytes, 0u);
  }
}

// Complete reports are not truncated.
TEST(CrashAreaTest, LostBytesCountForReportWithoutEnd) {
  Memory memory;
  const CrashArea area = memory.area();
  area.Append(1, kTime, "first");
  area.Append(2, kTime, "second");
  area.End(2, kTime);
  const std::string text(kCells * kCrashTextBytes, 'x');
  area.Append(1, kTime, text);
  area.Append(1, kTime, "more");
  area.End(1, kTime);
  const std::vector<CrashReport> reports = memory.Read();
  ASSERT_THAT(reports, SizeIs(2));
  EXPECT_EQ(reports[0].text.size() + reports[0].lost_bytes,
            std::strlen("first") + text.size() + std::strlen("more"));
  EXPECT_TRUE(absl::StartsWith("first" + text, reports[0].text));
  EXPECT_FALSE(reports[0].is_complete);
  EXPECT_EQ(reports[1].text, "second");
  EXPECT_EQ(reports[1].lost_bytes, 0u);
}

TEST(CrashAreaTest, AreaWithoutRoomStoresNothing) {
  alignas(kCacheLineBytes) std::array<unsigned char, 3 * sizeof(CrashCell)>
      bytes = {};
  const auto all = absl::MakeSpan(bytes);
  for (const absl::Span<unsigned char> given :
       {all.subspan(0, 0), all.subspan(0, 63), all.subspan(0, 64),
        all.subspan(8, 128)}) {
    const CrashArea area(given, kSeed);
    area.Append(kThread, kTime, "text");
    area.End(kThread, kTime);
    EXPECT_THAT(
        ReadCrashArea(absl::string_view(reinterpret_cast<char*>(given.data()),
                                        given.size()),
                      kSeed),
        IsEmpty());
  }
}

TEST(CrashAreaTest, ReportOfAnotherRingIsIgnored) {
  Memory memory;
  memory.area().Append(kThread, kTime, "text");
  EXPECT_THAT(ReadCrashArea(memory.view(), absl::crc32c_t{1}), IsEmpty());
}

TEST(CrashAreaTest, DamagedCellIsMarked) {
  Memory memory;
  const CrashArea area = memory.area();
  for (const char* text : {"one ", "two ", "three ", "four"}) {
    area.Append(kThread, kTime, text);
  }
  memory.cell(2)->text[0] ^= 1;
  memory.cell(3)->crc32c ^= 1;
  EXPECT_THAT(Texts(memory.Read()),
              ElementsAre("one [up to 88 bytes are missing here]four"));
}

TEST(CrashAreaTest, UnknownCellKindsAreIgnored) {
  Memory memory;
  const CrashArea area = memory.area();
  for (const char* text : {"one ", "two ", "three"}) {
    area.Append(kThread, kTime, text);
  }
  CrashCell* const cell = memory.cell(2);
  cell->kind = 3;
  cell->crc32c = CrashCellChecksum(kSeed, *cell);
  EXPECT_THAT(Texts(memory.Read()), ElementsAre("one three"));
}

// Cells with matching checksums and random content.
TEST(CrashAreaTest, HostileCellsAreBounded) {
  std::mt19937_64 random(TestSeed());
  for (int round = 0; round < 2000; ++round) {
    Memory memory;
    for (unsigned char& byte : memory.bytes) {
      byte = static_cast<unsigned char>(random() % 4 == 0 ? random() : 0);
    }
    memory.head()->used_cells = random() % 3 == 0 ? random() : kCells;
    for (size_t i = 1; i < kCells; ++i) {
      CrashCell* const cell = memory.cell(i);
      cell->kind = static_cast<uint8_t>(random() % 4);
      if (random() % 8 != 0) cell->crc32c = CrashCellChecksum(kSeed, *cell);
    }
    size_t bytes = 0;
    const std::vector<CrashReport> reports = memory.Read();
    for (const CrashReport& report : reports) bytes += report.text.size();
    ASSERT_LT(reports.size(), kCells);
    ASSERT_LE(bytes, kCells * (kCrashTextBytes + sizeof "[up to N bytes are "
                                                        "missing here]"));
  }
}

TEST(CrashAreaTest, FlippedBitCostsAtMostItsCell) {
  Memory intact;
  const CrashArea area = intact.area();
  area.Append(1, kTime, std::string(kCrashTextBytes, 'a'));
  area.Append(2, kTime, std::string(kCrashTextBytes, 'b'));
  area.Append(1, kTime, std::string(kCrashTextBytes, 'c'));
  area.End(1, kTime);
  const std::vector<std::string> texts = Texts(intact.Read());
  for (size_t bit = 0; bit < 8 * intact.bytes.size(); ++bit) {
    Memory damaged = intact;
    damaged.bytes[bit / 8] =
        static_cast<unsigned char>(damaged.bytes[bit / 8] ^ 1 << bit % 8);
    const size_t cell = bit / 8 / sizeof(CrashCell);
    const std::vector<CrashReport> reports = damaged.Read();
    for (const CrashReport& report : reports) {
      EXPECT_EQ(report.lost_bytes, 0u) << bit;
    }
    // Cells 1 to 4 are in use.
    if (cell == 0 || cell > 4) {
      EXPECT_EQ(Texts(reports), texts) << bit;
    } else if (cell == 2) {
      EXPECT_THAT(Texts(reports),
                  ElementsAre(absl::StrCat(texts[0].substr(0, kCrashTextBytes),
                                           "[up to 44 bytes are missing here]",
                                           texts[0].substr(kCrashTextBytes))))
          << bit;
    } else if (cell == 4) {
      EXPECT_EQ(Texts(reports), texts) << bit;
      EXPECT_FALSE(reports[0].is_complete) << bit;
    } else {
      ASSERT_THAT(reports, SizeIs(2)) << bit;
      EXPECT_EQ(reports[0].text.size() + reports[1].text.size(),
                2 * kCrashTextBytes)
          << bit;
    }
  }
}

TEST(SignalOfReportTest, ParsesReportsOfAbseil) {
  EXPECT_EQ(SignalOfReport("*** SIGABRT received at time=1 on cpu 2 ***"),
            SIGABRT);
  EXPECT_EQ(SignalOfReport("*** Signal 31 received at time=1 ***"), 31);
  for (const char* text :
       {"", "*** ", "*** SIGSEGV", "*** SIGNONE received", "SIGSEGV received",
        "*** Signal  received", "*** Signal -1 received",
        "*** Signal 99999999999 received", "*** Signal 11x received"}) {
    EXPECT_EQ(SignalOfReport(text), 0) << text;
  }
}

}  // namespace
}  // namespace ringlog
