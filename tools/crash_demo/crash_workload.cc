#include "ringlog/tools/crash_demo/crash_workload.h"

#include <errno.h>
#include <stdio.h>

#include <cstddef>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "ringlog/ring/os/file_ops.h"

namespace ringlog {
namespace {

// A splitmix64 generator: the same sequence in the victim and in the check, on
// every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
  }
  uint64_t Below(uint64_t n) { return Next() % n; }

 private:
  uint64_t state_;
};

Severity PickSeverity(Random* random) {
  const uint64_t of_100 = random->Below(100);
  return of_100 < 85   ? Severity::kInfo
         : of_100 < 96 ? Severity::kWarning
                       : Severity::kError;
}

std::string ServerLine(Random* random) {
  switch (random->Below(6)) {
    case 0:
      return absl::StrCat("GET /v1/items/", random->Below(1000000), " 200 ",
                          random->Below(90000), " bytes in ",
                          random->Below(400), " ms");
    case 1:
      return absl::StrCat("cache \"sessions\": ", random->Below(100000),
                          " entries, hit rate 0.", random->Below(1000));
    case 2:
      return absl::StrCat("connection ", random->Below(5000), " from 10.0.",
                          random->Below(256), ".", random->Below(256),
                          " closed by peer");
    case 3:
      return absl::StrCat("query\ttable=orders\trows=", random->Below(3000),
                          "\tplan='index scan'");
    case 4:
      return absl::StrCat("retry ", random->Below(5), " of upload ",
                          absl::Hex(random->Next()), ": deadline exceeded");
    default:
      return absl::StrCat("queue depth ", random->Below(512));
  }
}

std::string Stack(Random* random) {
  std::string text = "request failed\n";
  for (uint64_t frame = 2 + random->Below(12); frame > 0; --frame) {
    absl::StrAppend(&text, "    at 0x", absl::Hex(random->Next()),
                    "  HandleRequest()\n");
  }
  return text;
}

std::string Bytes(Random* random, size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(random->Next());
  return text;
}

}  // namespace

absl::StatusOr<CrashWorkload> CrashWorkload::FromFile(const std::string& path) {
  FILE* file = fopen(path.c_str(), "re");
  if (file == nullptr) return absl::ErrnoToStatus(errno, "cannot open");
  std::string content;
  char buffer[1 << 16];
  size_t n;
  while ((n = fread(buffer, 1, sizeof buffer, file)) > 0) {
    content.append(buffer, n);
  }
  const bool failed = ferror(file) != 0;
  fclose(file);
  if (failed) return absl::DataLossError("cannot read");
  if (content.empty()) {
    return absl::InvalidArgumentError("file is empty");
  }
  if (content.back() == '\n') content.pop_back();
  CrashWorkload workload;
  workload.name_ = Basename(path);
  // Text lines replace other bytes in a file name, and the check compares
  // names.
  for (char& c : workload.name_) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.') {
      c = '_';
    }
  }
  workload.lines_ = absl::StrSplit(content, '\n');
  return workload;
}

WorkItem CrashWorkload::Get(int thread, uint64_t number) const {
  Random random(static_cast<uint64_t>(thread) << 48 ^ number);
  WorkItem item;
  item.severity = PickSeverity(&random);
  if (!lines_.empty()) {
    item.text = lines_[(number - 1) % lines_.size()];
    return item;
  }
  const uint64_t of_1000 = random.Below(1000);
  if (of_1000 < 5) {
    item.text = "";
  } else if (of_1000 < 25) {
    item.text = Stack(&random);
  } else if (of_1000 < 30) {
    item.text = Bytes(&random, 1 + random.Below(300));
  } else if (of_1000 < 35) {
    item.text = std::string(1000 + random.Below(13000), 'x');
  } else {
    item.text = ServerLine(&random);
  }
  return item;
}

}  // namespace ringlog
