// A header of the application with the same name as a header of the sink in its
// repository: neither must hide the other.

#ifndef CONSUMER_RING_RING_H_
#define CONSUMER_RING_RING_H_

namespace consumer {

// Adds modulo 7, in the ring Z/7.
constexpr int AddInRing(int a, int b) { return (a + b) % 7; }

}  // namespace consumer

#endif  // CONSUMER_RING_RING_H_
