#include "ringlog/testing/kill/deletion_oracle.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "ringlog/compress/segment/file_name.h"
#include "ringlog/ring/os/file_ops.h"
#include "ringlog/testing/harness/test_files.h"

namespace ringlog {
namespace {

ParsedFileName Parsed(absl::string_view path) {
  return ParseFileName(Basename(path));
}

}  // namespace

void DeletionOracle::Update() {
  present_.clear();
  for (const std::string& path : FilesIn(directory_, ".zst")) {
    present_.insert(path);
    seen_.insert(path);
  }
}

void DeletionOracle::ExpectOldestFirst() const {
  int64_t oldest = std::numeric_limits<int64_t>::max();
  std::map<uint32_t, uint64_t> last;  // by ring id
  for (const std::string& path : present_) {
    const ParsedFileName name = Parsed(path);
    ASSERT_EQ(name.kind, FileKind::kSegment) << path;
    oldest = std::min(oldest, name.time_ns);
    const auto [before, is_first] =
        last.emplace(name.ring_id_prefix, name.segment_number);
    if (is_first) continue;
    EXPECT_EQ(name.segment_number, before->second + 1) << path;
    before->second = name.segment_number;
  }
  for (const std::string& path : seen_) {
    if (present_.count(path) != 0) continue;
    const ParsedFileName name = Parsed(path);
    EXPECT_LE(name.time_ns, oldest) << path;
    const auto rest = last.find(name.ring_id_prefix);
    if (rest == last.end()) continue;
    EXPECT_LT(name.segment_number, rest->second) << path;
  }
}

}  // namespace ringlog
