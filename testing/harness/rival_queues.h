// What ring_benchmark compares a ring with: bounded queues in memory, as an
// application would write them. They lose what is in them when it dies.

#ifndef RINGLOG_TESTING_HARNESS_RIVAL_QUEUES_H_
#define RINGLOG_TESTING_HARNESS_RIVAL_QUEUES_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <deque>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace ringlog {

using RivalRecord = std::array<char, 192>;
inline constexpr size_t kRivalCapacity = 16384;

// Any number of producers and consumers; each cell has a turn number.
class ArrayQueue {
 public:
  ArrayQueue() : cells_(kRivalCapacity) {
    for (size_t i = 0; i < kRivalCapacity; ++i) cells_[i].turn = i;
  }
  bool Push(const RivalRecord& record) {
    size_t at = tail_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[at % kRivalCapacity];
      const size_t turn = cell.turn.load(std::memory_order_acquire);
      if (turn == at) {
        if (tail_.compare_exchange_weak(at, at + 1,
                                        std::memory_order_relaxed)) {
          cell.record = record;
          cell.turn.store(at + 1, std::memory_order_release);
          return true;
        }
      } else if (turn < at) {
        return false;
      } else {
        at = tail_.load(std::memory_order_relaxed);
      }
    }
  }
  bool Pop(RivalRecord* record) {
    size_t at = head_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[at % kRivalCapacity];
      const size_t turn = cell.turn.load(std::memory_order_acquire);
      if (turn == at + 1) {
        if (head_.compare_exchange_weak(at, at + 1,
                                        std::memory_order_relaxed)) {
          *record = cell.record;
          cell.turn.store(at + kRivalCapacity, std::memory_order_release);
          return true;
        }
      } else if (turn < at + 1) {
        return false;
      } else {
        at = head_.load(std::memory_order_relaxed);
      }
    }
  }
  void Done() {}

 private:
  struct alignas(64) Cell {
    std::atomic<size_t> turn{0};
    RivalRecord record;
  };
  alignas(64) std::atomic<size_t> tail_{0};
  alignas(64) std::atomic<size_t> head_{0};
  std::vector<Cell> cells_;
};

class MutexQueue {
 public:
  bool Push(const RivalRecord& record) {
    absl::MutexLock lock(&mutex_);
    if (records_.size() == kRivalCapacity) return false;
    records_.push_back(record);
    return true;
  }
  bool Pop(RivalRecord* record) {
    absl::MutexLock lock(&mutex_);
    if (records_.empty()) return false;
    *record = records_.front();
    records_.pop_front();
    return true;
  }
  void Done() {}

 private:
  absl::Mutex mutex_;
  std::deque<RivalRecord> records_;
};

}  // namespace ringlog

#endif  // RINGLOG_TESTING_HARNESS_RIVAL_QUEUES_H_
