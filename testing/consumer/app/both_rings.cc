// Includes the application's own ring/ring.h and the sink's: neither hides the
// other.

#include "ring/ring.h"
#include "ringlog/ring/ring.h"

namespace consumer {

static_assert(AddInRing(6, 2) == 1);
static_assert(sizeof(ringlog::RingOptions::slot_count) == 8);

}  // namespace consumer
