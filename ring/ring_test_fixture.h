// TestRing
//
// A ring in a file under TEST_TMPDIR, with one verb for each step of a test.
// Records have the head "h".

#ifndef RINGLOG_RING_RING_TEST_FIXTURE_H_
#define RINGLOG_RING_RING_TEST_FIXTURE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "ringlog/ring/recovery.h"
#include "ringlog/ring/ring.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {

// Returns options for eight slots of 128 bytes with 96 bytes of payload.
// Positions begin slightly below 2^32.
RingOptions SmallRing();
inline constexpr size_t kSmallPayload = 96;
// The longest body of a record that takes `slots` slots of SmallRing().
constexpr size_t SmallBody(size_t slots) { return slots * kSmallPayload - 1; }

// Returns a path in TEST_TMPDIR that does not exist and that no other test of
// this process uses.
std::string UnusedPath(absl::string_view name);
bool Exists(const std::string& path);

// Thread-compatible. ring() is as thread-safe as a Ring.
class TestRing {
 public:
  explicit TestRing(const RingOptions& options = SmallRing());
  ~TestRing();

  Ring& ring() { return *ring_; }
  const std::string& path() const { return path_; }
  const RingHeader& header() const { return header_; }

  // Returns true if the ring accepted the record.
  bool Write(absl::string_view body, Severity severity = Severity::kInfo);
  // Takes the next record. Returns its body, "[cause]" for a gap, or nothing.
  std::optional<std::string> Read();
  // Takes all records.
  std::vector<std::string> ReadAll();
  void Release() { ring_->Release(); }

  // Returns the file as it would be if the process died now.
  std::string Bytes() const { return ReadFile(path_); }
  // Recovers Bytes(). Returns bodies and, for gaps, "[cause first..last]", in
  // order of position.
  std::vector<std::string> Recover(
      RecoverFrom from = RecoverFrom::kEverything) const;

  // Unmaps and unlocks the ring. The file stays.
  void Close() { ring_.reset(); }
  // Opens the ring again. Requires: Close() was called.
  void Reopen();

 private:
  const RingOptions options_;
  const std::string path_;
  RingHeader header_ = {};
  std::unique_ptr<Ring> ring_;
};

// Recovers `bytes`, with the result of TestRing::Recover().
std::vector<std::string> RecoverBytes(
    absl::string_view bytes, RecoverFrom from = RecoverFrom::kEverything);

// Returns the offset of a position's slot in the file.
size_t SlotOffset(const RingHeader& header, uint64_t position);

}  // namespace ringlog

#endif  // RINGLOG_RING_RING_TEST_FIXTURE_H_
