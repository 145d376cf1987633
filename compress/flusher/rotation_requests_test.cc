#include "ringlog/compress/flusher/rotation_requests.h"

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/ring.h"
#include "ringlog/ring/ring_format.h"

namespace ringlog {
namespace {

constexpr absl::Duration kHour = absl::Hours(1);

class RotationRequestsTest : public ::testing::Test {
 protected:
  RotationRequestsTest() {
    options_.interval = kHour;
    // The next boundary is in half an hour.
    const absl::Duration in_hour = absl::Now() - absl::UnixEpoch();
    options_.offset =
        absl::Trunc(in_hour % kHour + kHour / 2, absl::Seconds(1)) % kHour;
    requests_ = std::make_unique<RotationRequests>(ring_.get(), options_);
  }

  // Polls as if `time` had passed since the process began.
  void PollAfter(absl::Duration time, bool segment_is_open) {
    requests_->Poll(absl::Now() + time, segment_is_open);
  }
  RotationRequest RequestInRing() const { return *ring_->rotation_request(); }

  const std::unique_ptr<Ring> ring_ = *Ring::CreateAnonymous(RingOptions());
  RotationOptions options_;
  std::unique_ptr<RotationRequests> requests_;
};

TEST_F(RotationRequestsTest, BoundaryClosesOpenSegment) {
  PollAfter(kHour, /*segment_is_open=*/true);
  EXPECT_TRUE(requests_->is_pending());
  EXPECT_TRUE(requests_->IsReady(0)) << "at any position";
  requests_->SegmentClosed();
  EXPECT_FALSE(requests_->is_pending());
  PollAfter(kHour, /*segment_is_open=*/true);
  EXPECT_FALSE(requests_->is_pending()) << "the boundary was handled before";
}

TEST_F(RotationRequestsTest, BoundaryWithoutSegmentDoesNotCloseNextOne) {
  PollAfter(kHour, /*segment_is_open=*/false);
  EXPECT_FALSE(requests_->is_pending());
  PollAfter(kHour, /*segment_is_open=*/true);
  EXPECT_FALSE(requests_->is_pending());
  PollAfter(2 * kHour, /*segment_is_open=*/true);
  EXPECT_TRUE(requests_->is_pending()) << "the next boundary counts";
}

TEST_F(RotationRequestsTest, CallIsReadyWhenEarlierRecordsArePersisted) {
  ASSERT_EQ(ring_->Append(Severity::kInfo, "head", "body"),
            Ring::AppendResult::kAppended);
  const uint64_t number = requests_->Ask();
  EXPECT_TRUE(requests_->has_new_requests());
  PollAfter(absl::ZeroDuration(), /*segment_is_open=*/true);
  EXPECT_FALSE(requests_->has_new_requests());
  EXPECT_TRUE(requests_->is_pending());
  EXPECT_FALSE(requests_->IsReady(ring_->tail_position() - 1));
  EXPECT_TRUE(requests_->IsReady(ring_->tail_position()));
  EXPECT_TRUE(
      absl::IsDeadlineExceeded(requests_->Await(number, absl::ZeroDuration())));
  requests_->Answer(absl::DataLossError("cannot write the seek table"));
  EXPECT_FALSE(requests_->is_pending());
  EXPECT_TRUE(
      absl::IsDataLoss(requests_->Await(number, absl::InfiniteDuration())));
}

TEST_F(RotationRequestsTest, AnswersOtherProcessAfterSuccessOnly) {
  const uint64_t before = RequestInRing().done;
  EXPECT_NE(before, 0u) << "no process answers requests";
  for (const uint64_t asked : {before + 1, before + 2}) {
    ring_->rotation_request()->asked = asked;
    PollAfter(absl::ZeroDuration(), /*segment_is_open=*/true);
    EXPECT_TRUE(requests_->is_pending());
    EXPECT_EQ(RequestInRing().done, before) << "no segment is closed yet";
    // The first rotation fails.
    requests_->Answer(asked == before + 1
                          ? absl::DataLossError("cannot write the seek table")
                          : absl::OkStatus());
    EXPECT_FALSE(requests_->is_pending());
  }
  EXPECT_EQ(RequestInRing().done, before + 2);
}

TEST_F(RotationRequestsTest, CloseRefusesLaterRequests) {
  const uint64_t number = requests_->Ask();
  requests_->Close(absl::OkStatus());
  EXPECT_TRUE(requests_->Await(number, absl::InfiniteDuration()).ok());
  EXPECT_EQ(requests_->Ask(), 0u);
}

}  // namespace
}  // namespace ringlog
