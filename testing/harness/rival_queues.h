// Bounded in-memory queues that ring_benchmark compares a ring with. Their
// content is lost when the process dies.

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

// A queue for any number of producers and consumers. Each cell has a sequence
// number that tells which push or pop may use the cell next.
class ArrayQueue {
 public:
  ArrayQueue() : cells_(kRivalCapacity) {
    for (size_t i = 0; i < kRivalCapacity; ++i) cells_[i].sequence = i;
  }
  bool Push(const RivalRecord& record) {
    size_t at = tail_.load(std::memory_order_relaxed);
    for (;;) {
      Cell& cell = cells_[at % kRivalCapacity];
      const size_t sequence = cell.sequence.load(std::memory_order_acquire);
      if (sequence == at) {
        if (tail_.compare_exchange_weak(at, at + 1,
                                        std::memory_order_relaxed)) {
          cell.record = record;
          cell.sequence.store(at + 1, std::memory_order_release);
          return true;
        }
      } else if (sequence < at) {
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
      const size_t sequence = cell.sequence.load(std::memory_order_acquire);
      if (sequence == at + 1) {
        if (head_.compare_exchange_weak(at, at + 1,
                                        std::memory_order_relaxed)) {
          *record = cell.record;
          cell.sequence.store(at + kRivalCapacity, std::memory_order_release);
          return true;
        }
      } else if (sequence < at + 1) {
        return false;
      } else {
        at = head_.load(std::memory_order_relaxed);
      }
    }
  }
  void Done() {}

 private:
  struct alignas(64) Cell {
    std::atomic<size_t> sequence{0};
    RivalRecord record;
  };
  alignas(64) std::atomic<size_t> tail_{0};
  alignas(64) std::atomic<size_t> head_{0};
  std::vector<Cell> cells_;
};

// A deque under a mutex.
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
