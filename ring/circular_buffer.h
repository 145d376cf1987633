// CircularBuffer
//
// The last `capacity` elements of a sequence, in memory. If the buffer is full,
// adding an element at one end removes the element at the other end:
//
//   ringlog::CircularBuffer<std::string> last(2);
//   last.push_back("a");
//   last.push_back("b");
//   last.push_back("c");          // removes "a"
//   last.get_from_back(0);        // "c"
//   last.get_from_back(1);        // "b"
//   last.pop_front();             // returns "b"
//
// It is neither the persistent ring (ring.h) nor a queue between threads.

#ifndef RINGLOG_RING_CIRCULAR_BUFFER_H_
#define RINGLOG_RING_CIRCULAR_BUFFER_H_

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/config.h"

namespace ringlog {
namespace circular_buffer_internal {

// Throws an Exception with `message`. In a build without exceptions
// (-fno-exceptions), writes `message` to stderr and terminates the program.
template <typename Exception>
[[noreturn]] void Throw(const std::string& message) {
#ifdef ABSL_HAVE_EXCEPTIONS
  throw Exception(message);
#else
  std::fprintf(stderr, "%s\n", message.c_str());
  std::abort();
#endif
}

}  // namespace circular_buffer_internal

// Thread-compatible.
//
// Requires: T can be moved, and its destructor does not throw. T need not be
// copyable or default-constructible.
//
// Guarantees:
//   - Memory is allocated once, by the constructor.
//   - Each operation takes constant time, except for the constructor and the
//     destructor.
//   - An access to a missing element throws std::out_of_range and changes
//     nothing. The message has the index and the size.
//   - If T's move constructor throws during a push to a full buffer, the new
//     element is not added, but the element at the other end is removed.
//   - A reference to an element is valid until the element is removed.
//   - In a build without exceptions, an operation that throws by this contract
//     writes its message to stderr and terminates the program.
//
// A buffer that has been moved from may only be destroyed or assigned to.
template <typename T>
class CircularBuffer {
 public:
  // Throws std::invalid_argument if `capacity` is 0, and std::length_error or
  // std::bad_alloc if the memory cannot be allocated.
  explicit CircularBuffer(size_t capacity) : cells_(Checked(capacity)) {}

  // Adds an element at an end. If the buffer is full, first destroys the
  // element at the other end.
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

  // Removes the element at an end and returns it. Throws std::out_of_range if
  // the buffer is empty.
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

  // Removes the first element without moving it, and returns a reference to it.
  // The reference is valid until the next push. The element is destroyed when
  // its place is used again. Throws std::out_of_range if the buffer is empty.
  T& pop_front_ref() {
    T& value = Front("pop_front_ref");
    first_ = Cell(1);
    --size_;
    return value;
  }

  // Returns the element at an end. Throws std::out_of_range if the buffer is
  // empty.
  T& front() { return Front("front"); }
  const T& front() const { return Mutable().front(); }
  T& back() { return FromBack("back", 0); }
  const T& back() const { return Mutable().back(); }

  // Returns the element `index` places before the last: 0 is back(), and
  // size() - 1 is front(). Throws std::out_of_range if index >= size().
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
      circular_buffer_internal::Throw<std::invalid_argument>(
          "CircularBuffer: capacity is 0, must be at least 1");
    }
    return capacity;
  }

  void Require(const char* operation, size_t index) const {
    if (index >= size_) ThrowOutOfRange(operation, index);
  }
  // A function of its own, so that only the comparison is inlined.
  [[noreturn]] void ThrowOutOfRange(const char* operation, size_t index) const {
    circular_buffer_internal::Throw<std::out_of_range>(
        std::string("CircularBuffer::") + operation + ": index " +
        std::to_string(index) + " is out of range, size is " +
        std::to_string(size_));
  }

  // Returns the cell of the element `index` places after the first. Requires:
  // index <= capacity(). The sum cannot overflow, because a vector has at most
  // half of size_t's range.
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

  // For the const getters, which return const references and change nothing.
  CircularBuffer& Mutable() const { return const_cast<CircularBuffer&>(*this); }

  // Destroys the element in `cell`. Requires: it is the last element.
  void Discard(size_t cell) {
    cells_[cell].reset();
    --size_;
  }
  void DiscardFront() {
    cells_[first_].reset();
    first_ = Cell(1);
    --size_;
  }

  // A cell is empty if it has never been used, or if its element was destroyed.
  // pop_front_ref() leaves the element in its cell.
  std::vector<std::optional<T>> cells_;
  size_t first_ = 0;  // cell of the first element
  size_t size_ = 0;   // number of elements
};

}  // namespace ringlog

#endif  // RINGLOG_RING_CIRCULAR_BUFFER_H_
