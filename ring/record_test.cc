#include "ringlog/ring/record.h"

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>

#include "absl/types/span.h"
#include "gtest/gtest.h"

namespace ringlog {
namespace {

Record FullRecord() {
  Record record;
  record.time_ns = 0x0102030405060708;
  record.thread_id = 0x1112131415161718;
  record.line = 0x21222324;
  record.verbosity = 0x31323334;
  record.severity = Severity::kError;
  record.kind = RecordKind::kStackTrace;
  record.file = "dir/file.cc";
  record.text = "text";
  return record;
}

std::string Encode(const Record& record, size_t room = 128) {
  std::string head(room, '\xff');
  head.resize(EncodeRecordHead(record, absl::MakeSpan(&head[0], head.size())));
  return head;
}

void ExpectEqual(const Record& a, const Record& b) {
  EXPECT_EQ(a.time_ns, b.time_ns);
  EXPECT_EQ(a.thread_id, b.thread_id);
  EXPECT_EQ(a.line, b.line);
  EXPECT_EQ(a.verbosity, b.verbosity);
  EXPECT_EQ(a.severity, b.severity);
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.cut_bytes, b.cut_bytes);
  EXPECT_EQ(a.file, b.file);
  EXPECT_EQ(a.text, b.text);
  EXPECT_EQ(a.extension, b.extension);
}

TEST(RecordTest, HeadMatchesFormatPage) {
  const std::string head = Encode(FullRecord());
  const std::string expected(
      "\x08\x07\x06\x05\x04\x03\x02\x01"  // time
      "\x18\x17\x16\x15\x14\x13\x12\x11"  // thread id
      "\x24\x23\x22\x21"                  // line
      "\x34\x33\x32\x31"                  // verbosity
      "\x04\x00\x00\x00"                  // bytes of text
      "\x02\x01"                          // ERROR, stack trace
      "\x28\x00"                          // the name begins at 40
      "\x0b\x00"                          // the name has 11 bytes
      "\x00\x00\x00\x00\x00\x00"          // reserved
      "dir/file.cc",
      40 + 11);
  EXPECT_EQ(head, expected);
}

TEST(RecordTest, DecodesEncodedRecord) {
  for (const int64_t extreme :
       {std::numeric_limits<int64_t>::min(), int64_t{-1},
        std::numeric_limits<int64_t>::max()}) {
    for (const auto severity : {Severity::kInfo, Severity::kWarning,
                                Severity::kError, Severity::kFatal}) {
      Record record = FullRecord();
      record.time_ns = record.thread_id = extreme;
      record.line = record.verbosity = static_cast<int32_t>(extreme);
      record.severity = severity;
      const std::string head = Encode(record);
      Record decoded;
      ASSERT_TRUE(DecodeRecord(head, "text", &decoded));
      ExpectEqual(decoded, record);
    }
  }
}

TEST(RecordTest, DecodesEmptyRecord) {
  Record decoded = FullRecord();
  ASSERT_TRUE(DecodeRecord(Encode(Record()), "", &decoded));
  ExpectEqual(decoded, Record());
}

TEST(RecordTest, LongFileNameKeepsItsEnd) {
  Record record = FullRecord();
  record.file = "a/long/directory/file.cc";
  for (size_t room = 0; room <= record.file.size() + 1; ++room) {
    const std::string head = Encode(record, kRecordHeadFixedBytes + room);
    Record decoded;
    ASSERT_TRUE(DecodeRecord(head, "text", &decoded));
    const size_t kept = std::min(room, record.file.size());
    EXPECT_EQ(decoded.file, record.file.substr(record.file.size() - kept));
  }
}

TEST(RecordTest, LongExtensionIsOmitted) {
  Record record = FullRecord();
  record.extension = "8 bytes!";
  for (size_t room = 0; room <= 8 + record.file.size(); ++room) {
    const std::string head = Encode(record, kRecordHeadFixedBytes + room);
    Record decoded;
    ASSERT_TRUE(DecodeRecord(head, "text", &decoded));
    EXPECT_EQ(decoded.extension, room < 8 ? "" : record.extension);
    const size_t kept =
        std::min(room < 8 ? room : room - 8, record.file.size());
    EXPECT_EQ(decoded.file, record.file.substr(record.file.size() - kept));
  }
}

TEST(RecordTest, FileNameHasAtMost65535Bytes) {
  const std::string name = std::string(70000, 'd') + "/file.cc";
  Record record;
  record.file = name;
  const std::string head = Encode(record, 100000);
  Record decoded;
  ASSERT_TRUE(DecodeRecord(head, "", &decoded));
  EXPECT_EQ(decoded.file, name.substr(name.size() - 65535));
}

TEST(RecordTest, TruncatedTextHasCutBytes) {
  Record decoded;
  ASSERT_TRUE(DecodeRecord(Encode(FullRecord()), "te", &decoded));
  EXPECT_EQ(decoded.text, "te");
  EXPECT_EQ(decoded.cut_bytes, 2u);
}

TEST(RecordTest, BodyAfterTextIsIgnored) {
  Record decoded;
  ASSERT_TRUE(DecodeRecord(Encode(FullRecord()), "text and more", &decoded));
  EXPECT_EQ(decoded.text, "text");
  EXPECT_EQ(decoded.cut_bytes, 0u);
}

TEST(RecordTest, TruncatedHeadIsRejected) {
  const std::string head = Encode(FullRecord());
  Record decoded;
  for (size_t size = 0; size < head.size(); ++size) {
    EXPECT_FALSE(DecodeRecord(head.substr(0, size), "text", &decoded)) << size;
  }
}

TEST(RecordTest, InvalidSeverityIsRejected) {
  std::string head = Encode(FullRecord());
  Record decoded;
  for (int severity = 0; severity < 256; ++severity) {
    head[28] = static_cast<char>(severity);
    EXPECT_EQ(DecodeRecord(head, "text", &decoded), severity < 4);
  }
}

// A reader that does not know extensions finds the name by its offset.
TEST(RecordTest, ExtensionPrecedesFileName) {
  Record record = FullRecord();
  record.extension = "8 bytes!";
  std::string head = Encode(FullRecord());
  head[30] = 48;
  head.insert(40, "8 bytes!");
  EXPECT_EQ(Encode(record), head);
  Record decoded;
  ASSERT_TRUE(DecodeRecord(head, "text", &decoded));
  ExpectEqual(decoded, record);
  head[30] = 39;
  EXPECT_FALSE(DecodeRecord(head, "text", &decoded))
      << "smaller than the fixed fields";
}

TEST(RecordTest, UnknownKindIsReturned) {
  std::string head = Encode(FullRecord());
  head[29] = 77;
  Record decoded;
  ASSERT_TRUE(DecodeRecord(head, "text", &decoded));
  EXPECT_EQ(static_cast<int>(decoded.kind), 77);
}

TEST(RecordTest, SeverityNamesMatchAbseil) {
  std::string letters;
  std::string names;
  for (const auto severity : {Severity::kInfo, Severity::kWarning,
                              Severity::kError, Severity::kFatal}) {
    letters += SeverityLetter(severity);
    names += std::string(SeverityName(severity)) + " ";
  }
  EXPECT_EQ(letters, "IWEF");
  EXPECT_EQ(names, "INFO WARNING ERROR FATAL ");
}

}  // namespace
}  // namespace ringlog
