// Records as varied as a server's, for benchmarks to write and read.

#ifndef RINGLOG_COMPRESS_SERVER_RECORDS_H_
#define RINGLOG_COMPRESS_SERVER_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ringlog {

// A record as the ring holds it: what EncodeRecordHead made, and the text.
struct StoredRecord {
  std::string head;
  std::string body;
};

// So many that their lines have about `text_bytes`. In every run of a program
// the same for the same seed.
std::vector<StoredRecord> MakeServerRecords(size_t text_bytes, uint64_t seed);

}  // namespace ringlog

#endif  // RINGLOG_COMPRESS_SERVER_RECORDS_H_
