// Compares the speed of segments with zstd alone:
//  - writing a segment with compressing the same text at the same level into
//    one frame;
//  - reading a segment with decompressing the same file;
//  - formatting lines with copying them.
//
//   bazel run -c opt //compress/segment:segment_benchmark
//
// Each iteration runs ringlog and then its rivals, so that other load on the
// machine affects all of them. Counters:
//  - `of_zstd`, `of_memcpy`: median of the rival's time divided by ringlog's
//    time. 1 is as fast; 0.5 takes twice as long.
//  - `size_of_zstd`: ringlog's bytes divided by the rival's bytes.
// Times are processor times. They do not include the disk, because the files
// stay in the page cache.
//
// The lines are generated with a fixed seed and are as varied as those of a
// server.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "ringlog/compress/line/line_format.h"
#include "ringlog/compress/segment/batch_builder.h"
#include "ringlog/compress/segment/segment_format.h"
#include "ringlog/compress/segment/segment_reader.h"
#include "ringlog/compress/segment/segment_writer.h"
#include "ringlog/testing/fixtures/server_records.h"
#include "zstd.h"

namespace ringlog {
namespace {

constexpr size_t kBatchBytes = 64 << 10;  // Like the flusher.
constexpr int kLevel = SegmentWriterOptions().compression_level;

constexpr uint64_t kSeed = 20261124;

size_t g_text_bytes = 32 << 20;

const std::vector<StoredRecord>& Records() {
  static const auto* const records =
      new std::vector<StoredRecord>(MakeServerRecords(g_text_bytes, kSeed));
  return *records;
}

// A batch that owns its lines.
struct OwnedBatch {
  std::string lines;
  FrameSummary summary;
};

// Builds batches like the flusher and calls `take` for each.
template <typename Take>
void ForEachBatch(LineFormat format, Take take) {
  BatchBuilder builder(format, 1);
  uint64_t position = 1;
  for (const StoredRecord& stored : Records()) {
    builder.AddRecord(position++, 1, stored.head, stored.body);
    if (builder.text_bytes() < kBatchBytes) continue;
    take(builder.batch());
    builder.Clear();
  }
  take(builder.batch());
}

std::vector<OwnedBatch> MakeBatches(LineFormat format) {
  std::vector<OwnedBatch> batches;
  ForEachBatch(format, [&batches](const SegmentWriter::Batch& batch) {
    batches.push_back({std::string(batch.lines), batch.summary});
  });
  return batches;
}

std::string AllLines(const std::vector<OwnedBatch>& batches) {
  std::string lines;
  for (const OwnedBatch& batch : batches) lines += batch.lines;
  return lines;
}

void Check(bool ok, absl::string_view error) {
  if (ok) return;
  fprintf(stderr, "segment_benchmark: %s\n", std::string(error).c_str());
  abort();
}

double Seconds(const std::function<void()>& work) {
  const auto now = [] {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
  };
  const double begin = now();
  work();
  return now() - begin;
}

double Median(std::vector<double> values) {
  const auto middle =
      values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

struct Rival {
  const char* counter;
  std::function<void()> work;
};

// Measures `work` and `rivals`, each of which processes `bytes` bytes of text.
void Compare(benchmark::State& state, size_t bytes,
             const std::function<void()>& work,
             const std::vector<Rival>& rivals) {
  std::vector<std::vector<double>> ratios(rivals.size());
  for (auto _ : state) {
    const double seconds = Seconds(work);
    for (size_t i = 0; i < rivals.size(); ++i) {
      ratios[i].push_back(Seconds(rivals[i].work) / seconds);
    }
    state.SetIterationTime(seconds);
  }
  for (size_t i = 0; i < rivals.size(); ++i) {
    state.counters[rivals[i].counter] = Median(ratios[i]);
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes) *
                          static_cast<int64_t>(state.iterations()));
}

class ScratchFile {
 public:
  ScratchFile() {
    const char* const base = getenv("TEST_TMPDIR");
    directory_ = absl::StrCat(base != nullptr ? base : "/tmp",
                              "/segment_benchmark.XXXXXX");
    Check(mkdtemp(directory_.data()) != nullptr, "mkdtemp");
  }
  ~ScratchFile() { std::filesystem::remove_all(directory_); }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  std::string path() const { return directory_ + "/segment"; }
  void Remove() const { unlink(path().c_str()); }

 private:
  std::string directory_;
};

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

// Compresses `lines` into one frame in `file`, like `zstd` with a pipe, and
// returns the number of compressed bytes.
size_t CompressPlainly(const ScratchFile& file, absl::string_view lines) {
  file.Remove();
  const int fd =
      open(file.path().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  Check(fd >= 0, "open");
  const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
  std::string buffer(ZSTD_CStreamOutSize(), '\0');
  size_t bytes = 0;
  while (true) {
    const absl::string_view piece = lines.substr(0, ZSTD_CStreamInSize());
    lines.remove_prefix(piece.size());
    ZSTD_inBuffer in = {piece.data(), piece.size(), 0};
    size_t left = 0;
    do {
      ZSTD_outBuffer out = {buffer.data(), buffer.size(), 0};
      left = ZSTD_compressStream2(context.get(), &out, &in,
                                  lines.empty() ? ZSTD_e_end : ZSTD_e_continue);
      Check(!ZSTD_isError(left), "ZSTD_compressStream2");
      Check(write(fd, buffer.data(), out.pos) == static_cast<ssize_t>(out.pos),
            "write");
      bytes += out.pos;
    } while (in.pos < in.size || (lines.empty() && left != 0));
    if (lines.empty()) break;
  }
  close(fd);
  return bytes;
}

std::unique_ptr<SegmentWriter> CreateWriter(const ScratchFile& file,
                                            LineFormat format) {
  file.Remove();
  SegmentIdentity identity;
  identity.format = format;
  absl::StatusOr<std::unique_ptr<SegmentWriter>> writer =
      SegmentWriter::Create(file.path(), identity, SegmentWriterOptions());
  Check(writer.ok(), writer.status().message());
  return *std::move(writer);
}

void AddAndWrite(const SegmentWriter::Batch& batch, SegmentWriter* writer) {
  absl::Status status = writer->AddBatch(batch);
  status.Update(writer->Write());
  Check(status.ok(), status.message());
}

// Closes the segment and returns its size in bytes.
uint64_t Close(SegmentWriter* writer) {
  absl::Status status = writer->AddEnd();
  status.Update(writer->Write());
  Check(status.ok(), status.message());
  return writer->segment_bytes();
}

uint64_t WriteSegment(const ScratchFile& file, LineFormat format,
                      const std::vector<OwnedBatch>& batches) {
  const std::unique_ptr<SegmentWriter> writer = CreateWriter(file, format);
  for (const OwnedBatch& owned : batches) {
    SegmentWriter::Batch batch;
    batch.lines = owned.lines;
    batch.summary = owned.summary;
    AddAndWrite(batch, writer.get());
  }
  return Close(writer.get());
}

void BM_Write(benchmark::State& state, LineFormat format) {
  const std::vector<OwnedBatch> batches = MakeBatches(format);
  const std::string lines = AllLines(batches);
  const ScratchFile file, plain_file;
  uint64_t ours = 0;
  size_t theirs = 0;
  Compare(state, lines.size(),
          [&] { ours = WriteSegment(file, format, batches); },
          {{"of_zstd", [&] { theirs = CompressPlainly(plain_file, lines); }}});
  state.counters["size_of_zstd"] =
      static_cast<double>(ours) / static_cast<double>(theirs);
  state.counters["text_of_size"] =
      static_cast<double>(lines.size()) / static_cast<double>(ours);
}

// Does the work of the flusher except taking records from the ring.
void BM_FormatAndWrite(benchmark::State& state, LineFormat format) {
  const std::string lines = AllLines(MakeBatches(format));
  const ScratchFile file, plain_file;
  const auto work = [&file, format] {
    const std::unique_ptr<SegmentWriter> writer = CreateWriter(file, format);
    ForEachBatch(format, [&writer](const SegmentWriter::Batch& batch) {
      AddAndWrite(batch, writer.get());
    });
    Close(writer.get());
  };
  Compare(state, lines.size(), work,
          {{"of_zstd", [&] { CompressPlainly(plain_file, lines); }}});
}

void CopyInBatches(absl::string_view lines) {
  std::string copy(kBatchBytes, '\0');
  while (!lines.empty()) {
    const size_t bytes = std::min(lines.size(), copy.size());
    std::memcpy(copy.data(), lines.data(), bytes);
    benchmark::DoNotOptimize(copy.data());
    benchmark::ClobberMemory();
    lines.remove_prefix(bytes);
  }
}

void BM_Format(benchmark::State& state, LineFormat format) {
  const std::string lines = AllLines(MakeBatches(format));
  const auto work = [format] {
    ForEachBatch(format, [](const SegmentWriter::Batch& batch) {
      benchmark::DoNotOptimize(batch.lines.data());
    });
  };
  Compare(state, lines.size(), work,
          {{"of_memcpy", [&lines] { CopyInBatches(lines); }}});
  state.counters["records"] = static_cast<double>(Records().size());
}

// Decompresses a file like `zstd -dc`, discards the text, and returns its size
// in bytes.
size_t DecompressPlainly(const std::string& path) {
  const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  std::string in_buffer(ZSTD_DStreamInSize(), '\0');
  std::string out_buffer(ZSTD_DStreamOutSize(), '\0');
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  Check(fd >= 0, "open");
  size_t bytes = 0;
  ssize_t got;
  while ((got = read(fd, in_buffer.data(), in_buffer.size())) > 0) {
    ZSTD_inBuffer in = {in_buffer.data(), static_cast<size_t>(got), 0};
    ZSTD_outBuffer out;
    do {
      out = {out_buffer.data(), out_buffer.size(), 0};
      const size_t result = ZSTD_decompressStream(context.get(), &out, &in);
      Check(!ZSTD_isError(result), "ZSTD_decompressStream");
      benchmark::DoNotOptimize(out_buffer.data());
      bytes += out.pos;
    } while (in.pos < in.size || out.pos == out.size);
  }
  close(fd);
  return bytes;
}

using NextFunction =
    SegmentReader::Result (SegmentReader::*)(absl::string_view* lines);

size_t ReadSegment(const std::string& path, NextFunction next) {
  absl::StatusOr<std::unique_ptr<SegmentReader>> reader =
      SegmentReader::Open(path);
  Check(reader.ok(), reader.status().message());
  size_t bytes = 0;
  absl::string_view lines;
  while ((reader->get()->*next)(&lines) != SegmentReader::Result::kEnd) {
    benchmark::DoNotOptimize(lines.data());
    bytes += lines.size();
  }
  return bytes;
}

void BM_Read(benchmark::State& state, LineFormat format, NextFunction next) {
  const std::vector<OwnedBatch> batches = MakeBatches(format);
  const std::string lines = AllLines(batches);
  const ScratchFile file;
  WriteSegment(file, format, batches);
  const auto expect_all = [&lines](size_t bytes) {
    Check(bytes == lines.size(), "text is incomplete");
  };
  Compare(state, lines.size(),
          [&] { expect_all(ReadSegment(file.path(), next)); },
          {{"of_zstd", [&] { expect_all(DecompressPlainly(file.path())); }},
           {"of_memcpy", [&lines] { CopyInBatches(lines); }}});
}

void RegisterAll(bool once) {
  for (const LineFormat format : {LineFormat::kText, LineFormat::kJson}) {
    const char* const name = format == LineFormat::kText ? "Text" : "Json";
    for (auto* const benchmark :
         {benchmark::RegisterBenchmark(absl::StrCat("BM_Write/", name),
                                       BM_Write, format),
          benchmark::RegisterBenchmark(absl::StrCat("BM_FormatAndWrite/", name),
                                       BM_FormatAndWrite, format),
          benchmark::RegisterBenchmark(absl::StrCat("BM_Format/", name),
                                       BM_Format, format),
          benchmark::RegisterBenchmark(absl::StrCat("BM_ReadBulk/", name),
                                       BM_Read, format,
                                       &SegmentReader::NextRecords),
          benchmark::RegisterBenchmark(absl::StrCat("BM_ReadRecords/", name),
                                       BM_Read, format,
                                       &SegmentReader::Next)}) {
      benchmark->UseManualTime()->Unit(benchmark::kMillisecond);
      if (once) benchmark->Iterations(1);
    }
  }
}

}  // namespace
}  // namespace ringlog

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  // --once runs each benchmark once on less text, to test that it works.
  const bool once = argc == 2 && absl::string_view(argv[1]) == "--once";
  if (once) {
    ringlog::g_text_bytes = 3 << 20;
  } else if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 1;
  }
  ringlog::RegisterAll(once);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
