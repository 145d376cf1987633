#include "ringlog/compress/server_records.h"

#include <cstdint>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "ringlog/ring/record.h"

namespace ringlog {
namespace {

using Random = std::mt19937_64;

std::string Address(Random& random) {
  return absl::StrCat("10.", random() % 4, ".", random() % 256, ".",
                      random() % 256, ":", 30000 + random() % 30000);
}

std::string Message(Random& random) {
  const auto below = [&random](uint64_t n) { return random() % n; };
  constexpr absl::string_view kTables[] = {"users", "orders", "events", "audit",
                                           "sessions"};
  switch (below(64)) {
    case 0:
      return absl::StrCat("cannot reach ", Address(random),
                          "\nstatus: DEADLINE_EXCEEDED\nattempt ", below(5),
                          " of 5, next in ", 1 << below(12), " ms");
    case 1:
    case 2:
      return "";
    default:
      break;
  }
  switch (below(6)) {
    case 0:
      return absl::StrCat("GET /api/v1/users/", below(100000),
                          "/orders?page=", below(20), " 200 ", below(90000),
                          " us");
    case 1:
      return absl::StrCat("request ", absl::Hex(random(), absl::kZeroPad16),
                          " from ", Address(random), " took ", below(20000),
                          " us, status 200, user agent curl/7.88.1");
    case 2:
      return absl::StrCat("cache miss for session:",
                          absl::Hex(random() >> 24, absl::kZeroPad10),
                          " in shard ", below(64), ", loading from storage");
    case 3:
      return absl::StrCat("connection ", Address(random), " closed after ",
                          below(300), " requests, ", below(1 << 24),
                          " bytes in, ", below(1 << 26), " bytes out");
    case 4:
      return absl::StrCat("compacted table ", kTables[below(5)], "-", below(32),
                          ": ", below(1 << 30), " bytes into ", below(40),
                          " files in ", below(9000), " ms");
    default:
      return absl::StrCat("queue of worker ", below(16), " holds ", below(2000),
                          " jobs, the oldest is ", below(5000), " ms old");
  }
}

}  // namespace

std::vector<StoredRecord> MakeServerRecords(size_t text_bytes, uint64_t seed) {
  constexpr absl::string_view kFiles[] = {
      "server/http_handler.cc", "storage/table.cc", "rpc/channel.cc",
      "cache/session_cache.cc", "worker/queue.cc"};
  Random random(seed);
  std::vector<StoredRecord> records;
  int64_t time_ns = 1795489384123456789;
  for (size_t bytes = 0; bytes < text_bytes;) {
    Record record;
    record.time_ns = time_ns += static_cast<int64_t>(random() % 90000);
    record.tid = 20011 + static_cast<int64_t>(random() % 16);
    const size_t file = random() % 5;
    record.file = kFiles[file];
    record.line = static_cast<int32_t>(40 * file + random() % 8);
    const uint64_t severity = random() % 256;
    record.severity = severity == 0  ? Severity::kError
                      : severity < 6 ? Severity::kWarning
                                     : Severity::kInfo;
    StoredRecord stored;
    stored.body = Message(random);
    record.text = stored.body;
    stored.head.resize(kRecordHeadFixedBytes + record.file.size());
    EncodeRecordHead(record, absl::MakeSpan(stored.head));
    bytes += stored.body.size() + 45;  // about what the line has before it
    records.push_back(std::move(stored));
  }
  return records;
}

}  // namespace ringlog
