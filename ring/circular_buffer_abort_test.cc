// CircularBuffer as a build without exceptions compiles it. The rest of this
// binary does not use CircularBuffer, so no other definition of it is linked.

#include "absl/base/config.h"
#undef ABSL_HAVE_EXCEPTIONS
#include "gtest/gtest.h"
#include "ringlog/ring/circular_buffer.h"

namespace ringlog {
namespace {

TEST(CircularBufferAbortTest, MissingElementTerminatesWithMessage) {
  CircularBuffer<int> buffer(2);
  buffer.push_back(1);
  EXPECT_DEATH(buffer.get_from_back(1),
               "CircularBuffer::get_from_back: index 1 is out of range, size "
               "is 1");
}

TEST(CircularBufferAbortTest, CapacityZeroTerminatesWithMessage) {
  EXPECT_DEATH(CircularBuffer<int>(0),
               "CircularBuffer: capacity is 0, must be at least 1");
}

TEST(CircularBufferAbortTest, BufferWorks) {
  CircularBuffer<int> buffer(2);
  for (int i = 1; i <= 3; ++i) buffer.push_back(i);
  EXPECT_EQ(buffer.pop_front(), 2);
  EXPECT_EQ(buffer.back(), 3);
}

}  // namespace
}  // namespace ringlog
