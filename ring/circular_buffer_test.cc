#include "ringlog/ring/circular_buffer.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

// Returns the message of the Exception that `f` throws.
template <typename Exception, typename F>
std::string Thrown(F f) {
  try {
    f();
  } catch (const Exception& e) {
    return e.what();
  }
  return "nothing thrown";
}

std::vector<int> Contents(const CircularBuffer<int>& buffer) {
  std::vector<int> contents;
  for (size_t i = buffer.size(); i > 0; --i) {
    contents.push_back(buffer.get_from_back(i - 1));
  }
  return contents;
}

using Ints = std::vector<int>;

TEST(CircularBufferTest, NewBufferIsEmpty) {
  CircularBuffer<int> buffer(3);
  EXPECT_TRUE(buffer.empty());
  EXPECT_FALSE(buffer.full());
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_EQ(buffer.capacity(), 3u);
}

TEST(CircularBufferTest, CapacityZeroThrows) {
  EXPECT_EQ(Thrown<std::invalid_argument>([] { CircularBuffer<int> b(0); }),
            "CircularBuffer: capacity is 0, must be at least 1");
}

TEST(CircularBufferTest, PushBackKeepsLastElements) {
  CircularBuffer<int> buffer(3);
  for (int i = 1; i <= 5; ++i) buffer.push_back(i);
  EXPECT_TRUE(buffer.full());
  EXPECT_EQ(Contents(buffer), (Ints{3, 4, 5}));
}

TEST(CircularBufferTest, PushFrontReplacesBack) {
  CircularBuffer<int> buffer(3);
  for (int i = 1; i <= 5; ++i) buffer.push_front(i);
  EXPECT_EQ(Contents(buffer), (Ints{5, 4, 3}));
}

TEST(CircularBufferTest, PopBackReturnsLastElement) {
  CircularBuffer<int> buffer(3);
  buffer.push_back(1);
  buffer.push_back(2);
  EXPECT_EQ(buffer.pop_back(), 2);
  EXPECT_EQ(buffer.pop_back(), 1);
  EXPECT_TRUE(buffer.empty());
}

TEST(CircularBufferTest, PopBackReturnsLastFromFirstCell) {
  CircularBuffer<int> buffer(2);
  for (int i = 1; i <= 3; ++i) buffer.push_back(i);  // 3 replaced 1
  EXPECT_EQ(buffer.pop_back(), 3);
  buffer.push_back(4);
  EXPECT_EQ(Contents(buffer), (Ints{2, 4}));
}

TEST(CircularBufferTest, PopFrontRefDoesNotMoveElement) {
  CircularBuffer<std::string> buffer(2);
  buffer.push_back("a");
  buffer.push_back("b");
  const std::string* first = &buffer.front();
  std::string& popped = buffer.pop_front_ref();
  EXPECT_EQ(&popped, first);
  EXPECT_EQ(popped, "a");
  EXPECT_EQ(buffer.size(), 1u);
  EXPECT_EQ(buffer.front(), "b");
}

TEST(CircularBufferTest, GetFromBackCountsFromLast) {
  CircularBuffer<int> buffer(4);
  for (int i = 1; i <= 6; ++i) buffer.push_back(i);
  EXPECT_EQ(buffer.get_from_back(0), 6);
  EXPECT_EQ(buffer.get_from_back(3), 3);
  buffer.get_from_back(3) = 30;
  EXPECT_EQ(buffer.front(), 30);
}

TEST(CircularBufferTest, OutOfRangeMessageHasIndexAndSize) {
  CircularBuffer<int> buffer(4);
  buffer.push_back(1);
  EXPECT_EQ(Thrown<std::out_of_range>([&] { buffer.get_from_back(1); }),
            "CircularBuffer::get_from_back: index 1 is out of range, size is "
            "1");
  EXPECT_EQ(
      Thrown<std::out_of_range>([&] { buffer.get_from_back(SIZE_MAX); }),
      "CircularBuffer::get_from_back: index 18446744073709551615 is out of "
      "range, size is 1");
}

TEST(CircularBufferTest, EmptyBufferThrowsAndStaysEmpty) {
  CircularBuffer<int> buffer(2);
  const CircularBuffer<int>& constant = buffer;
  const std::string rest = ": index 0 is out of range, size is 0";
  auto thrown = [](auto f) { return Thrown<std::out_of_range>(f); };
  EXPECT_EQ(thrown([&] { buffer.pop_front(); }),
            "CircularBuffer::pop_front" + rest);
  EXPECT_EQ(thrown([&] { buffer.pop_front_ref(); }),
            "CircularBuffer::pop_front_ref" + rest);
  EXPECT_EQ(thrown([&] { buffer.pop_back(); }),
            "CircularBuffer::pop_back" + rest);
  EXPECT_EQ(thrown([&] { constant.front(); }), "CircularBuffer::front" + rest);
  EXPECT_EQ(thrown([&] { constant.back(); }), "CircularBuffer::back" + rest);
  EXPECT_EQ(buffer.size(), 0u);
  buffer.push_back(7);
  EXPECT_EQ(Contents(buffer), (Ints{7}));
}

TEST(CircularBufferTest, ElementsMayBeMoveOnly) {
  CircularBuffer<std::unique_ptr<int>> buffer(2);
  for (int i = 1; i <= 3; ++i) buffer.push_back(std::make_unique<int>(i));
  std::unique_ptr<int> popped = buffer.pop_front();
  EXPECT_EQ(*popped, 2);
  CircularBuffer<std::unique_ptr<int>> moved = std::move(buffer);
  EXPECT_EQ(*moved.front(), 3);
}

TEST(CircularBufferTest, ElementsNeedOnlyAMoveConstructor) {
  struct Fixed {
    explicit Fixed(int v) : value(v) {}
    const int value;
  };
  CircularBuffer<Fixed> buffer(2);
  for (int i = 1; i <= 3; ++i) buffer.push_back(Fixed(i));
  buffer.push_front(Fixed(0));
  EXPECT_EQ(buffer.pop_front().value, 0);
  EXPECT_EQ(buffer.pop_front().value, 2);
}

TEST(CircularBufferTest, DestroysPoppedAndReplacedElements) {
  auto token = std::make_shared<int>(0);
  CircularBuffer<std::shared_ptr<int>> buffer(3);
  for (int i = 0; i < 5; ++i) buffer.push_back(token);
  EXPECT_EQ(token.use_count(), 4);
  buffer.pop_back();
  buffer.pop_front();
  EXPECT_EQ(token.use_count(), 2);
}

TEST(CircularBufferTest, ThrowingMoveKeepsOtherElements) {
  struct ThrowsOnMove {
    explicit ThrowsOnMove(int v) : value(v) {}
    // NOLINTNEXTLINE(performance-noexcept-move-constructor): it may throw.
    ThrowsOnMove(ThrowsOnMove&& other) : value(other.value) {
      if (value == 13) throw std::runtime_error("13");
    }
    int value;
  };
  CircularBuffer<ThrowsOnMove> buffer(2);
  buffer.push_back(ThrowsOnMove(1));
  buffer.push_back(ThrowsOnMove(2));
  EXPECT_EQ(
      Thrown<std::runtime_error>([&] { buffer.push_back(ThrowsOnMove(13)); }),
      "13");
  ASSERT_EQ(buffer.size(), 1u);
  EXPECT_EQ(buffer.front().value, 2);
  EXPECT_EQ(
      Thrown<std::runtime_error>([&] { buffer.push_front(ThrowsOnMove(13)); }),
      "13");
  ASSERT_EQ(buffer.size(), 1u);
  buffer.push_front(ThrowsOnMove(3));
  EXPECT_EQ(buffer.pop_back().value, 2);
  EXPECT_EQ(buffer.pop_back().value, 3);
}

// Invariants, after each of many random operations: the buffer has the elements
// of a std::deque that is limited to the same capacity; reads and pops return
// the same element as the deque, and throw if the deque has none.
class Model {
 public:
  Model(size_t capacity, uint64_t seed) : buffer_(capacity), random_(seed) {}

  void Step() {
    const int value = static_cast<int>(random_() >> 33);
    switch (random_() % 6) {
      case 0:
      case 1:
        if (model_.size() == buffer_.capacity()) model_.pop_front();
        model_.push_back(value);
        buffer_.push_back(value);
        break;
      case 2:
        if (model_.size() == buffer_.capacity()) model_.pop_back();
        model_.push_front(value);
        buffer_.push_front(value);
        break;
      case 3:
        Pop([this] { return buffer_.pop_front(); }, true);
        break;
      case 4:
        Pop([this] { return buffer_.pop_front_ref(); }, true);
        break;
      case 5:
        Pop([this] { return buffer_.pop_back(); }, false);
        break;
    }
    Compare();
  }

 private:
  template <typename F>
  void Pop(F pop, bool from_front) {
    if (model_.empty()) {
      EXPECT_THROW(pop(), std::out_of_range);
      return;
    }
    EXPECT_EQ(pop(), from_front ? model_.front() : model_.back());
    if (from_front) {
      model_.pop_front();
    } else {
      model_.pop_back();
    }
  }

  void Compare() const {
    ASSERT_EQ(Contents(buffer_), Ints(model_.begin(), model_.end()));
    ASSERT_EQ(buffer_.empty(), model_.empty());
    ASSERT_EQ(buffer_.full(), model_.size() == buffer_.capacity());
    EXPECT_THROW(buffer_.get_from_back(model_.size()), std::out_of_range);
    if (model_.empty()) return;
    ASSERT_EQ(buffer_.front(), model_.front());
    ASSERT_EQ(buffer_.back(), model_.back());
  }

  CircularBuffer<int> buffer_;
  std::deque<int> model_;
  std::mt19937_64 random_;
};

TEST(CircularBufferTest, RandomOperationsAgreeWithADeque) {
  const uint64_t seed = TestSeed();
  for (size_t capacity : std::vector<size_t>{1, 2, 3, 5, 8, 17}) {
    SCOPED_TRACE("capacity " + std::to_string(capacity));
    Model model(capacity, seed + capacity);
    for (int step = 0; step < 5000 && !::testing::Test::HasFailure(); ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      model.Step();
    }
  }
}

}  // namespace
}  // namespace ringlog
