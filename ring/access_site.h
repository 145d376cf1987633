// The places of slot.h that access an integer which several threads change.

#ifndef RINGLOG_RING_ACCESS_SITE_H_
#define RINGLOG_RING_ACCESS_SITE_H_

#include <cstdint>

namespace ringlog {

// One enumerator for each atomic access of slot.h. The names begin with the
// function that makes the access.
enum class AccessSite : uint8_t {
  kTailRead,
  kTailReadReleased,
  kTailReadAgain,
  kTailSwap,
  kClaimRead,
  kClaimSwap,
  kClaimSwapMark,
  kCommitSwap,
  kCommitFreeLate,
  kExamineReadTail,
  kExamineRead,
  kExamineSwapMark,
  kMarkPersisting,
  kSkipRead,
  kSkipSwap,
  kFreeRead,
  kFreeSwap,
  kEvictRead,
  kEvictSwap,
  kAdvanceReleased,
  kAdvanceReleasedFrom,
  kResumeAt,
  kReadTail,
  kReadReleased,
  kReadWord,
  kPublishCursor,
};

inline constexpr int kAccessSiteCount =
    static_cast<int>(AccessSite::kPublishCursor) + 1;

}  // namespace ringlog

#endif  // RINGLOG_RING_ACCESS_SITE_H_
