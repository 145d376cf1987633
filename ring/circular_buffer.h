// CircularBuffer
//
// The last `capacity` elements of a sequence, in memory. When it is full, an
// element pushed at one end pushes out the element at the other:
//
//   ringlog::CircularBuffer<std::string> last(2);
//   last.push_back("a");
//   last.push_back("b");
//   last.push_back("c");          // "a" is gone
//   last.get_from_back(0);        // "c"
//   last.get_from_back(1);        // "b"
//   last.pop_front();             // returns "b"
//
// What it is not: the persistent ring (ring.h), and shared between threads.
//
// Thread-compatible.

#ifndef RINGLOG_RING_CIRCULAR_BUFFER_H_
#define RINGLOG_RING_CIRCULAR_BUFFER_H_

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace ringlog {

// Requires: T can be moved (copying and a default constructor are not needed),
// and its destructor does not throw.
//
// Guarantees: memory is allocated once, by the constructor; every operation
// takes constant time. Asking for an element that is not there throws
// std::out_of_range, which names the index and the size, and changes nothing.
// If T's move constructor throws in a push, the new element is not in, and the
// one that it would have pushed out is gone; the rest is as it was.
//
// References to elements stay valid until the element is popped or pushed out.
// A buffer that has been moved from may only be destroyed or assigned to.
template <typename T>
class CircularBuffer {
 public:
  // Throws std::invalid_argument if `capacity` is 0, and std::length_error or
  // std::bad_alloc if there cannot be that much memory.
  explicit CircularBuffer(size_t capacity) : cells_(Checked(capacity)) {}

  // Adds at an end. When full, the element at the other end is destroyed first.
  void push_front(T value) {
    if (full()) Discard(Cell(size_ - 1));
    const size_t before = first_ == 0 ? capacity() - 1 : first_ - 1;
    cells_[before].emplace(std::move(value));
    first_ = before;
    ++size_;
  }
  void push_back(T value) {
    if (full()) DiscardFront();
    cells_[Cell(size_)].emplace(std::move(value));
    ++size_;
  }

  // Removes the element at an end and returns it. Throws when empty.
  T pop_front() {
    T value = std::move(Front("pop_front"));
    DiscardFront();
    return value;
  }
  T pop_back() {
    T value = std::move(FromBack("pop_back", 0));
    Discard(Cell(size_ - 1));
    return value;
  }

  // Removes the first element where it is, without moving it: the reference is
  // valid until the next push, and the element is destroyed only when its place
  // is used again. Throws when empty.
  T& pop_front_ref() {
    T& value = Front("pop_front_ref");
    first_ = Cell(1);
    --size_;
    return value;
  }

  // The elements at the ends. Throw when empty.
  T& front() { return Front("front"); }
  const T& front() const { return Mutable().front(); }
  T& back() { return FromBack("back", 0); }
  const T& back() const { return Mutable().back(); }

  // The element `index` places before the last: 0 is back(), size() - 1 is
  // front(). Throws when there is none.
  T& get_from_back(size_t index) { return FromBack("get_from_back", index); }
  const T& get_from_back(size_t index) const {
    return Mutable().get_from_back(index);
  }

  size_t size() const { return size_; }
  size_t capacity() const { return cells_.size(); }
  bool empty() const { return size_ == 0; }
  bool full() const { return size_ == capacity(); }

 private:
  static size_t Checked(size_t capacity) {
    if (capacity == 0) {
      throw std::invalid_argument(
          "CircularBuffer: capacity is 0, must be at least 1");
    }
    return capacity;
  }

  void Require(const char* operation, size_t index) const {
    if (index >= size_) ThrowOutOfRange(operation, index);
  }
  // Apart from the test, which so is inlined wherever it guards a cell.
  [[noreturn]] void ThrowOutOfRange(const char* operation, size_t index) const {
    throw std::out_of_range(std::string("CircularBuffer::") + operation +
                            ": index " + std::to_string(index) +
                            " is out of range, size is " +
                            std::to_string(size_));
  }

  // Where the element `index` places after the first is, or would be. Requires:
  // index <= capacity(). No sum can overflow: a vector has at most half of
  // size_t's range.
  size_t Cell(size_t index) const {
    const size_t cell = first_ + index;
    return cell < capacity() ? cell : cell - capacity();
  }

  T& Front(const char* operation) {
    Require(operation, 0);
    return *cells_[first_];
  }
  T& FromBack(const char* operation, size_t index) {
    Require(operation, index);
    return *cells_[Cell(size_ - 1 - index)];
  }

  // For the const getters, which change nothing and return const references.
  CircularBuffer& Mutable() const { return const_cast<CircularBuffer&>(*this); }

  // Destroys the element in `cell`, which is the last.
  void Discard(size_t cell) {
    cells_[cell].reset();
    --size_;
  }
  void DiscardFront() {
    cells_[first_].reset();
    first_ = Cell(1);
    --size_;
  }

  // An empty optional is a place that has never been used, or whose element was
  // destroyed. pop_front_ref() leaves the element in its place.
  std::vector<std::optional<T>> cells_;
  size_t first_ = 0;  // the cell of the first element
  size_t size_ = 0;
};

}  // namespace ringlog

#endif  // RINGLOG_RING_CIRCULAR_BUFFER_H_
