#include "ringlog/ring/ring_test_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "ringlog/ring/gap.h"

namespace ringlog {

RingOptions SmallRing() {
  RingOptions options;
  options.slot_count = 8;
  options.head_bytes = 40;
  options.body_bytes = 56;
  options.first_position = (uint64_t{1} << 32) - 3;
  return options;
}

std::string UnusedPath(absl::string_view name) {
  static std::atomic<int> number{0};
  return absl::StrCat(::testing::TempDir(), "/", getpid(), "-", number++, "-",
                      name);
}

bool Exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

TestRing::TestRing(const RingOptions& options)
    : options_(options), path_(UnusedPath("test.ring")) {
  auto ring = Ring::Create(path_, options);
  if (!ring.ok()) {
    // No test can continue without a ring.
    fprintf(stderr, "%s\n", ring.status().ToString().c_str());
    abort();
  }
  ring_ = *std::move(ring);
  header_ = ring_->header();
}

TestRing::~TestRing() { unlink(path_.c_str()); }

bool TestRing::Write(absl::string_view body, Severity severity) {
  return ring_->Append(severity, "h", body) != Ring::AppendResult::kDropped;
}

std::optional<std::string> TestRing::Read() {
  const std::optional<Ring::Taken> taken = ring_->Take();
  if (!taken) return std::nullopt;
  if (taken->gap) return absl::StrCat("[", GapCauseName(*taken->gap), "]");
  EXPECT_EQ(taken->head, "h");
  return std::string(taken->body);
}

std::vector<std::string> TestRing::ReadAll() {
  std::vector<std::string> all;
  while (std::optional<std::string> body = Read()) {
    all.push_back(*std::move(body));
  }
  return all;
}

std::vector<std::string> TestRing::Recover(RecoverFrom from) const {
  return RecoverBytes(Bytes(), from);
}

void TestRing::Reopen() {
  Close();
  auto ring = Ring::Open(path_, options_);
  ASSERT_TRUE(ring.ok()) << ring.status();
  ring_ = *std::move(ring);
}

std::vector<std::string> RecoverBytes(absl::string_view bytes,
                                      RecoverFrom from) {
  std::vector<std::string> lines;
  const auto ring = RecoverRing(bytes, from);
  if (!ring.ok()) return {ring.status().ToString()};
  size_t g = 0;
  const auto add_gaps_before = [&](uint64_t position) {
    for (; g < ring->gaps.size() && ring->gaps[g].first_position < position;
         ++g) {
      const Gap& gap = ring->gaps[g];
      const uint64_t first = ring->header.first_position;
      lines.push_back(absl::StrCat("[", GapCauseName(gap.cause), " +",
                                   gap.first_position - first, "..+",
                                   gap.end_position - 1 - first, "]"));
    }
  };
  for (const RecoveredRecord& record : ring->records) {
    add_gaps_before(record.position);
    EXPECT_EQ(record.head, "h");
    lines.emplace_back(record.body);
  }
  add_gaps_before(UINT64_MAX);
  return lines;
}

size_t SlotOffset(const RingHeader& header, uint64_t position) {
  return static_cast<size_t>(header.slots_offset +
                             (position & (header.slot_count - 1)) *
                                 header.slot_bytes);
}

}  // namespace ringlog
