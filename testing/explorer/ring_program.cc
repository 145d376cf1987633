// First: it takes the place of ring/slot_access.h.
#include "ringlog/testing/explorer/modelled_slot_access.h"
// The includes of ring.cc, ring_claim.cc and ring_create.cc compile the ring
// with that header.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring.cc"
#include "ringlog/ring/ring_claim.cc"
#include "ringlog/ring/ring_create.cc"
#include "ringlog/testing/explorer/expected_record.h"
#include "ringlog/testing/explorer/explorer.h"
#include "ringlog/testing/explorer/memory_model.h"
#include "ringlog/testing/explorer/ring_program.h"

namespace ringlog {
namespace {

class RingProgram : public ExploredProgram {
 public:
  explicit RingProgram(const RingScenario& scenario);

  int thread_count() const override {
    return static_cast<int>(scenario_.writers.size()) +
           (scenario_.looks > 0 ? 1 : 0);
  }
  void Begin(MemoryModel* memory) override;
  void RunThread(int thread) override;
  void AppendState(std::string* state) const override;
  std::string CheckDeath() override;
  bool IsBeyondBound() const override {
    return scenario_.max_positions > 0 &&
           ring_->tail_position() - ring_->header().first_position >
               scenario_.max_positions;
  }
  std::string CheckEnd() override;

 private:
  static constexpr size_t kHeadBytes = kRecordHeadFixedBytes;

  void Write(int writer);
  Ring::AppendResult Append(const ExpectedRecord& record);
  void Flush();
  std::string TakeOne();
  void Persist();
  void UseSlots(const SlotRange& slots);

  unsigned char* SlotOf(uint64_t index) const {
    return file_ + ring_->header().slots_offset +
           index * ring_->header().slot_bytes;
  }
  absl::string_view File() const {
    return absl::string_view(reinterpret_cast<const char*>(file_),
                             ring_->header().file_bytes);
  }
  std::string CheckTaken() const;
  std::string CheckOverwritten() const;
  std::string CheckWords() const;

  const RingScenario scenario_;
  const std::string head_ = std::string(kHeadBytes, '\0');
  const std::unique_ptr<Ring> ring_;
  unsigned char* file_ = nullptr;
  // The file and the records before the threads begin.
  std::string image_;
  std::vector<ExpectedRecord> all_;

  // The state of the present run.
  std::vector<ExpectedRecord> records_;
  std::vector<int> taken_;  // in this order
  bool is_sealed_ = false;
  // For each slot, the location that stands for its content.
  std::vector<int> content_;
  std::array<uint64_t, MemoryModel::kMaxLocations> content_cells_ = {};
};

RingOptions OptionsOf(const RingScenario& scenario) {
  RingOptions options;
  options.slot_count = scenario.slot_count;
  options.head_bytes = kRecordHeadFixedBytes;
  options.body_bytes = 1;
  options.overflow = scenario.overflow;
  options.first_position = scenario.slot_count;
  return options;
}

// Resets the members of a ring that its methods change. To make a new ring
// instead would take three times as long as a run.
void ResetMembers(Ring* ring);

// An explicit instantiation may name private members. Thus the product needs no
// friend.
template <auto kTake, auto kRelease, auto kIsSealed, auto kHasFlusher>
struct ResetMembersOf {
  friend void ResetMembers(Ring* ring) {
    (ring->*kTake).store(ring->header().first_position);
    ring->*kRelease = ring->header().first_position;
    (ring->*kIsSealed).store(false);
    (ring->*kHasFlusher).store(true);
  }
};
template struct ResetMembersOf<&Ring::take_position_, &Ring::release_position_,
                               &Ring::is_sealed_, &Ring::has_flusher_>;

RingProgram::RingProgram(const RingScenario& scenario)
    : scenario_(scenario), ring_(*Ring::CreateAnonymous(OptionsOf(scenario))) {
  const size_t more_bytes = ring_->header().slot_bytes - sizeof(SlotHeader);
  const auto add = [&](int writer, int slots) {
    ExpectedRecord record;
    record.writer = writer;
    record.body = std::string(1 + (static_cast<size_t>(slots) - 1) * more_bytes,
                              static_cast<char>('a' + all_.size()));
    all_.push_back(record);
  };
  for (size_t writer = 0; writer < scenario.writers.size(); ++writer) {
    for (const int slots : scenario.writers[writer]) {
      add(static_cast<int>(writer), slots);
    }
  }
  for (int i = 0; i < scenario.records_before; ++i) {
    add(-1, 1);
    all_.back().outcome = ExpectedRecord::kCommitted;
    CHECK(Append(all_.back()) == Ring::AppendResult::kAppended);
  }
  // The tail is the integer that this loads.
  ring_->tail_position();
  auto* const tail = const_cast<uint64_t*>(SlotAccess::last_address);
  file_ = reinterpret_cast<unsigned char*>(tail) - offsetof(RingLive, tail) -
          ring_->header().live_offset;
  image_ = std::string(File());
}

void RingProgram::Begin(MemoryModel* memory) {
  const RingHeader& header = ring_->header();
  ResetMembers(ring_.get());
  const auto restore = [&](uint64_t offset, uint64_t size) {
    std::memcpy(file_ + offset, image_.data() + offset, size);
  };
  restore(header.live_offset, sizeof(RingLive));
  restore(header.slots_offset, header.slot_count * header.slot_bytes);
  records_ = all_;
  taken_.clear();
  is_sealed_ = false;

  auto* const live = reinterpret_cast<RingLive*>(file_ + header.live_offset);
  memory->AddLocation(&live->tail);
  memory->AddLocation(&live->released);
  memory->AddLocation(&live->cursor_selector);
  content_.clear();
  for (uint64_t i = 0; i < scenario_.slot_count; ++i) {
    memory->AddLocation(reinterpret_cast<uint64_t*>(SlotOf(i)));
    content_cells_[i] = 0;
    content_.push_back(memory->AddLocation(&content_cells_[i]));
  }
}

void RingProgram::RunThread(int thread) {
  if (static_cast<size_t>(thread) < scenario_.writers.size()) {
    Write(thread);
  } else {
    Flush();
  }
}

void RingProgram::UseSlots(const SlotRange& slots) {
  Explorer* const explorer = Explorer::OfRunningThread();
  if (explorer == nullptr) return;
  for (uint64_t p = slots.position; p < slots.end(); ++p) {
    explorer->Use(content_[p % scenario_.slot_count]);
  }
}

// ---- Writers ----

// As Ring::Append(), but it uses the slots between claim and commit.
Ring::AppendResult RingProgram::Append(const ExpectedRecord& record) {
  for (;;) {
    const std::optional<SlotRange> claim =
        ring_->Claim(Severity::kInfo, head_.size(), record.body.size());
    if (!claim) return Ring::AppendResult::kDropped;
    UseSlots(*claim);
    if (ring_->Commit(*claim, Severity::kInfo, head_, record.body)) {
      return Ring::AppendResult::kAppended;
    }
  }
}

void RingProgram::Write(int writer) {
  for (size_t i = 0; i < records_.size(); ++i) {
    ExpectedRecord& record = records_[i];
    if (record.writer != writer) continue;
    record.outcome = Append(record) == Ring::AppendResult::kAppended
                         ? ExpectedRecord::kCommitted
                         : ExpectedRecord::kFailed;
    Explorer::OfRunningThread()->SetThreadState(absl::StrCat(i));
  }
}

// ---- The flusher ----

void RingProgram::Flush() {
  Explorer* const explorer = Explorer::OfRunningThread();
  int skips = scenario_.skips;
  for (int look = 0; look < scenario_.looks; ++look) {
    if (skips > 0 && ring_->pending() &&
        ring_->Skip(ring_->take_position() + 1)) {
      --skips;
    }
    if (std::string found = TakeOne(); !found.empty()) {
      explorer->ReportViolation(found);
      return;
    }
    if (ring_->taken_slots() > 0) Persist();
    explorer->SetThreadState(absl::StrCat(look, " ", skips));
  }
  if (scenario_.seals) is_sealed_ = ring_->Seal();
}

std::string RingProgram::TakeOne() {
  const std::optional<Ring::Taken> taken = ring_->Take();
  if (!taken) return "";
  UseSlots(taken->slots);
  const int id = taken->gap ? -1 : FindRecord(records_, taken->body);
  if (id < 0) return "what is taken is no record";
  if (records_[static_cast<size_t>(id)].taken++ > 0) {
    return "a record is taken twice";
  }
  taken_.push_back(id);
  return "";
}

void RingProgram::Persist() {
  // The cursor counts as soon as it is complete, even before the store that
  // selects it.
  for (const int id : taken_) {
    records_[static_cast<size_t>(id)].is_persisted = true;
  }
  ring_->PublishCursor(ring_->take_position(), "");
  ring_->Release();
}

// ---- Checks ----

void RingProgram::AppendState(std::string* state) const {
  for (const ExpectedRecord& record : records_) {
    state->push_back(static_cast<char>(record.outcome));
    state->push_back(static_cast<char>(record.taken));
    state->push_back(record.is_persisted ? 1 : 0);
  }
  for (const int id : taken_) state->push_back(static_cast<char>(id));
  absl::StrAppend(state, ";", ring_->take_position(), ";", ring_->taken_slots(),
                  ";", is_sealed_, ";");
  const auto* const live =
      reinterpret_cast<const RingLive*>(file_ + ring_->header().live_offset);
  for (const PersistCursor& cursor : live->cursor) {
    absl::StrAppend(state, cursor.end_position, ";");
  }
  state->append(reinterpret_cast<const char*>(&live->dropped),
                sizeof live->dropped);
  for (uint64_t i = 0; i < scenario_.slot_count; ++i) {
    // The word is in the MemoryModel. The checksum depends on the ring's id,
    // which is random, and apart from it only on bytes that follow.
    constexpr size_t kBegin = offsetof(SlotHeader, part_index);
    state->append(reinterpret_cast<const char*>(SlotOf(i)) + kBegin,
                  ring_->header().slot_bytes - kBegin);
  }
}

std::string RingProgram::CheckDeath() {
  const bool evicts = scenario_.overflow == OverflowPolicy::kOverwriteOldest;
  return CheckRecovery(File(), ring_->header(), records_,
                       evicts ? MayLack::kEvicted : MayLack::kNone);
}

std::string RingProgram::CheckEnd() {
  if (scenario_.overflow == OverflowPolicy::kOverwriteOldest) {
    const std::string violation = CheckOverwritten();
    return violation.empty() ? CheckWords() : violation;
  }
  if (!is_sealed_) {
    for (size_t i = 0; i <= records_.size(); ++i) {
      if (std::string found = TakeOne(); !found.empty()) return found;
    }
    if (ring_->pending()) return "a position stays pending";
    ring_->Release();
    if (!ring_->Seal()) return "the ring cannot be sealed";
  }
  const std::string violation = CheckTaken();
  return violation.empty() ? CheckWords() : violation;
}

std::string RingProgram::CheckTaken() const {
  for (const ExpectedRecord& record : records_) {
    if ((record.outcome == ExpectedRecord::kCommitted) != (record.taken == 1)) {
      return "a record is committed and not taken, or the reverse";
    }
  }
  for (size_t i = 0; i < taken_.size(); ++i) {
    for (size_t j = i + 1; j < taken_.size(); ++j) {
      const int first = taken_[i];
      const int second = taken_[j];
      if (records_[static_cast<size_t>(first)].writer ==
              records_[static_cast<size_t>(second)].writer &&
          first > second) {
        return "two records of a writer have changed their order";
      }
    }
  }
  return "";
}

// Each committed record is in the ring or counted as overwritten.
std::string RingProgram::CheckOverwritten() const {
  const RecoveredRing ring =
      RecoverRing(File(), ring_->header(), RecoverFrom::kCursor);
  uint64_t expected = 0;
  for (const ExpectedRecord& record : records_) {
    if (record.outcome == ExpectedRecord::kFailed) return "a record is dropped";
    expected += record.outcome == ExpectedRecord::kCommitted ? 1 : 0;
  }
  const uint64_t overwritten =
      ring_->dropped(DropCause::kOverwritten, Severity::kInfo);
  if (ring.records.size() + overwritten != expected) {
    return absl::StrCat(expected, " records are committed, ",
                        ring.records.size(), " are in the ring, and ",
                        overwritten, " are counted as overwritten");
  }
  return "";
}

std::string RingProgram::CheckWords() const {
  for (uint64_t i = 0; i < scenario_.slot_count; ++i) {
    uint64_t word;
    std::memcpy(&word, SlotOf(i), sizeof word);
    if (WordState(word) == SlotState::kFilling ||
        WordState(word) == SlotState::kSkipped) {
      return "a slot is lost to the ring";
    }
  }
  return "";
}

}  // namespace

Exploration ExploreRing(const RingScenario& scenario, const RingFault& fault) {
  SlotAccess::keeps_late_headers = fault.keeps_late_headers;
  RingProgram program(scenario);
  return Explorer(&program, fault.weakened).Explore();
}

}  // namespace ringlog
