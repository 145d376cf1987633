// TestRing
//
// A ring in a file under TEST_TMPDIR, with the verbs that the tests of this
// package speak in. Records have the head "h".

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

namespace ringlog {

// Eight slots of 128 bytes, of which 96 are payload. Positions begin right
// below 2^32.
RingOptions SmallRing();
inline constexpr size_t kSmallPayload = 96;
// The longest body of a record that takes `slots` of SmallRing()'s.
constexpr size_t SmallBody(size_t slots) { return slots * kSmallPayload - 1; }

// A name that no other test of this process uses; nothing is there.
std::string UnusedPath(absl::string_view name);
// Everything in a file. Fails the test if it cannot be read.
std::string ReadFile(const std::string& path);
void WriteFile(const std::string& path, absl::string_view content);
bool Exists(const std::string& path);

// Thread-compatible; ring() is as thread-safe as a Ring.
class TestRing {
 public:
  explicit TestRing(const RingOptions& options = SmallRing());
  ~TestRing();

  Ring& ring() { return *ring_; }
  const std::string& path() const { return path_; }
  const RingHeader& header() const { return header_; }

  // True if the record is in the ring.
  bool Write(absl::string_view body, Severity severity = Severity::kInfo);
  // Takes the next record: its body, or "[cause]" of a gap, or nothing.
  std::optional<std::string> Read();
  // Takes all that there is.
  std::vector<std::string> ReadAll();
  void Release() { ring_->Release(); }

  // What the process's death leaves: the ring as it is now.
  std::string Bytes() const { return ReadFile(path_); }
  // Bytes() through RecoverRing(): bodies and "[cause first..last]" of gaps, by
  // position.
  std::vector<std::string> Recover(
      RecoverFrom from = RecoverFrom::kEverything) const;

  // Unmaps the ring, and maps it again.
  void Close() { ring_.reset(); }
  void Reopen();

 private:
  const RingOptions options_;
  const std::string path_;
  RingHeader header_ = {};
  std::unique_ptr<Ring> ring_;
};

// What TestRing::Recover() returns, for any bytes.
std::vector<std::string> RecoverBytes(
    absl::string_view bytes, RecoverFrom from = RecoverFrom::kEverything);

// The offset of a position's slot in the file.
size_t SlotOffset(const RingHeader& header, uint64_t position);

}  // namespace ringlog

#endif  // RINGLOG_RING_RING_TEST_FIXTURE_H_
