#include "ringlog/testing/explorer/explorer.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "ringlog/testing/explorer/fibers.h"
#include "ringlog/testing/explorer/memory_model.h"

namespace ringlog {
namespace {

Explorer* g_explorer = nullptr;

}  // namespace

Explorer::Explorer(ExploredProgram* program,
                   std::optional<WeakenedOrder> weakened)
    : program_(program),
      weakened_(weakened),
      thread_count_(program->thread_count()),
      memory_(thread_count_),
      fibers_(thread_count_),
      next_access_(static_cast<size_t>(thread_count_)),
      next_place_(static_cast<size_t>(thread_count_)),
      thread_state_(static_cast<size_t>(thread_count_)) {
  CHECK(g_explorer == nullptr) << "one explorer at a time";
  g_explorer = this;
}

Explorer::~Explorer() { g_explorer = nullptr; }

Explorer* Explorer::OfRunningThread() {
  return g_explorer != nullptr && g_explorer->fibers_.running() >= 0
             ? g_explorer
             : nullptr;
}

Exploration Explorer::Explore() {
  Exploration result;
  do {
    ++result.runs;
    result.violation = RunOnce();
  } while (result.violation.empty() && GoToNextChoice());
  result.states = states_.size();
  return result;
}

std::string Explorer::RunOnce() {
  memory_ = MemoryModel(thread_count_);
  violation_.clear();
  program_->Begin(&memory_);
  for (int thread = 0; thread < thread_count_; ++thread) {
    thread_state_[static_cast<size_t>(thread)].clear();
    fibers_.Start(thread, [this, thread] { program_->RunThread(thread); });
    fibers_.Resume(thread);
  }
  for (size_t depth = 0;; ++depth) {
    if (!violation_.empty()) return violation_;
    if (depth == trail_.size()) {
      std::vector<Move> moves = Moves();
      if (moves.empty()) return program_->CheckEnd();
      if (!states_.insert(State()).second) return "";
      if (std::string found = program_->CheckDeath(); !found.empty()) {
        return found;
      }
      if (program_->IsBeyondBound()) return "";
      trail_.push_back({std::move(moves), 0});
    }
    const Move& move = trail_[depth].moves[trail_[depth].chosen];
    next_place_[static_cast<size_t>(move.thread)] = move.place;
    fibers_.Resume(move.thread);
  }
}

// Returns false if all choices have been made.
bool Explorer::GoToNextChoice() {
  while (!trail_.empty()) {
    if (++trail_.back().chosen < trail_.back().moves.size()) return true;
    trail_.pop_back();
  }
  return false;
}

std::vector<Explorer::Move> Explorer::Moves() const {
  std::vector<Move> moves;
  for (int thread = 0; thread < thread_count_; ++thread) {
    if (fibers_.is_done(thread)) continue;
    for (const int place :
         memory_.PlacesOf(thread, next_access_[static_cast<size_t>(thread)])) {
      moves.push_back({thread, place});
    }
  }
  return moves;
}

std::string Explorer::State() const {
  std::string state;
  std::vector<int> live;
  for (int thread = 0; thread < thread_count_; ++thread) {
    const std::string& own = thread_state_[static_cast<size_t>(thread)];
    state.append(std::to_string(own.size())).push_back(':');
    state.append(own);
    state.push_back(fibers_.is_done(thread) ? 1 : 0);
    if (!fibers_.is_done(thread)) live.push_back(thread);
  }
  memory_.AppendState(live, &state);
  program_->AppendState(&state);
  return state;
}

uint64_t Explorer::Perform(ModelledAccess access) {
  const int thread = fibers_.running();
  if (weakened_ && weakened_->site == access.site) {
    access.order = weakened_->order;
    access.failure_order = weakened_->failure_order;
  }
  next_access_[static_cast<size_t>(thread)] = access;
  fibers_.Yield();
  const uint64_t value =
      memory_.Perform(thread, access, next_place_[static_cast<size_t>(thread)]);
  thread_state_[static_cast<size_t>(thread)].append(
      reinterpret_cast<const char*>(&value), sizeof value);
  return value;
}

void Explorer::Use(int location) {
  if (!memory_.Use(fibers_.running(), location)) {
    ReportViolation("a data race");
  }
}

void Explorer::ReportViolation(const std::string& violation) {
  if (violation_.empty()) violation_ = violation;
}

void Explorer::SetThreadState(const std::string& state) {
  thread_state_[static_cast<size_t>(fibers_.running())] = state;
}

}  // namespace ringlog
