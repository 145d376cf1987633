// Splits the messages of real LOG() statements, as this build's Abseil encodes
// them, and bytes that Abseil would not write.

#include "ringlog/logsink/internal/entry_encoder.h"

#include <cerrno>
#include <cstdint>
#include <ios>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/log/globals.h"
#include "absl/log/log.h"
#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ringlog/ring/record_extension.h"
#include "ringlog/testing/harness/test_seed.h"

namespace ringlog {
namespace {

using ::testing::StartsWith;

// Types that Abseil can log in its two ways.
struct Streamed {
  friend std::ostream& operator<<(std::ostream& os, const Streamed&) {
    return os << "a" << 1;
  }
};
struct Stringified {
  template <typename Sink>
  friend void AbslStringify(Sink& sink, const Stringified&) {
    sink.Append("b");
    sink.Append("2");
  }
};

// Streams `count` pieces.
struct Values {
  int count;
  template <typename Sink>
  friend void AbslStringify(Sink& sink, const Values& values) {
    for (int i = 0; i < values.count; ++i) sink.Append("v");
  }
};

struct Message {
  std::string encoded;
  std::string text;
};

class CapturingSink : public absl::LogSink {
 public:
  void Send(const absl::LogEntry& entry) override {
    message.encoded = std::string(entry.encoded_message());
    message.text = std::string(entry.text_message());
  }
  Message message;
};

// Returns "literal|value|literal|...", or "?" if the message cannot be split.
std::string Split(const Message& message) {
  MessagePieces pieces;
  if (!SplitMessage(message.encoded, message.text, &pieces)) return "?";
  EXPECT_TRUE(PiecesFit(pieces.lengths(), message.text));
  std::vector<std::string> all;
  absl::string_view lengths = pieces.lengths();
  absl::string_view text = message.text;
  for (absl::string_view piece; NextPiece(&lengths, &text, &piece);) {
    all.emplace_back(piece);
  }
  return absl::StrJoin(all, "|");
}

class SplitMessageTest : public ::testing::Test {
 protected:
  SplitMessageTest() {
    absl::SetStderrThreshold(absl::LogSeverityAtLeast::kInfinity);
  }
  std::string Captured() const { return Split(sink_.message); }

  CapturingSink sink_;
};

TEST_F(SplitMessageTest, LiteralsAndValuesAlternate) {
  LOG(INFO).ToSinkOnly(&sink_) << "Found " << 3 << " cookies";
  EXPECT_EQ(Captured(), "Found |3| cookies");
  LOG(INFO).ToSinkOnly(&sink_) << "ready";
  EXPECT_EQ(Captured(), "ready");
  LOG(INFO).ToSinkOnly(&sink_) << 1.5 << " of " << true << 'c';
  EXPECT_EQ(Captured(), "|1.5| of |true||c");
  LOG(INFO).ToSinkOnly(&sink_) << "one "
                               << "literal " << 7;
  EXPECT_EQ(Captured(), "one literal |7");
}

TEST_F(SplitMessageTest, NonLiteralsAreValuesOfAnyType) {
  const std::string string = "s";
  const char* const pointer = "p";
  LOG(INFO).ToSinkOnly(&sink_)
      << "x" << string << "x" << pointer << "x" << absl::string_view("v") << "x"
      << Streamed() << "x" << absl::Seconds(5) << "x" << std::hex << 255;
  EXPECT_EQ(Captured(), "x|s|x|p|x|v|x|a1|x|5s|x|0xff");
  LOG(INFO).ToSinkOnly(&sink_) << "x" << Stringified();
  EXPECT_EQ(Captured(), "x|b||2");
}

TEST_F(SplitMessageTest, VlogAndPlogAreSplit) {
  VLOG(0).ToSinkOnly(&sink_) << "level " << 0;
  EXPECT_EQ(Captured(), "level |0");
  errno = ENOENT;
  PLOG(ERROR).ToSinkOnly(&sink_) << "open " << 1;
  EXPECT_THAT(Captured(), StartsWith("open |1|: |"));
}

TEST_F(SplitMessageTest, SpecialBytesAreUnchanged) {
  LOG(INFO).ToSinkOnly(&sink_) << "{}\n"
                               << std::string("\0\xff\n|", 4) << "\xc3\xa4";
  EXPECT_EQ(Captured(), std::string("{}\n|\0\xff\n||\xc3\xa4", 11));
}

TEST_F(SplitMessageTest, MessageWithoutLiteralsIsNotSplit) {
  LOG(INFO).ToSinkOnly(&sink_) << std::string("formatted elsewhere");
  EXPECT_EQ(Captured(), "?");
  LOG(INFO).ToSinkOnly(&sink_) << "";
  EXPECT_EQ(Captured(), "?");
}

// The room for the text depends on the length of the file name.
TEST_F(SplitMessageTest, TruncatedMessageSplitsTextOrNothing) {
  LOG(INFO).ToSinkOnly(&sink_) << "long " << std::string(20000, 'x') << " end";
  EXPECT_LT(sink_.message.text.size(), 20000u);
  if (Captured() != "?") {
    EXPECT_TRUE(Captured() ==
                absl::StrCat("long |", sink_.message.text.substr(5)));
  }
}

TEST_F(SplitMessageTest, TooManyPiecesAreNotSplit) {
  LOG(INFO).ToSinkOnly(&sink_) << "," << Values{96};
  EXPECT_NE(Captured(), "?");
  LOG(INFO).ToSinkOnly(&sink_) << "," << Values{97};
  EXPECT_EQ(Captured(), "?");
}

std::vector<Message> RealMessages() {
  std::vector<Message> messages;
  CapturingSink sink;
  const auto capture = [&] { messages.push_back(sink.message); };
  LOG(INFO).ToSinkOnly(&sink) << "Found " << 3 << " cookies of " << 1.25;
  capture();
  LOG(WARNING).ToSinkOnly(&sink) << Streamed() << "{x}" << Stringified();
  capture();
  errno = EINTR;
  PLOG(ERROR).ToSinkOnly(&sink) << "read " << std::string(200, 'r');
  capture();
  return messages;
}

// Invariants checked, for damaged bytes: the pieces make up exactly the text,
// and nothing after its end is read or written (sanitizers).
TEST_F(SplitMessageTest, DamagedBytesSplitTextOrNothing) {
  for (const Message& real : RealMessages()) {
    ASSERT_NE(Split(real), "?");
    for (size_t size = 0; size < real.encoded.size(); ++size) {
      Split({real.encoded.substr(0, size), real.text});
    }
    for (size_t bit = 0; bit < 8 * real.encoded.size(); ++bit) {
      Message damaged = real;
      damaged.encoded[bit / 8] =
          static_cast<char>(damaged.encoded[bit / 8] ^ (1 << bit % 8));
      Split(damaged);
    }
  }
}

TEST_F(SplitMessageTest, RandomBytesSplitTextOrNothing) {
  std::mt19937_64 random(TestSeed());
  const std::vector<Message> real = RealMessages();
  for (int i = 0; i < 50000; ++i) {
    Message damaged = real[random() % real.size()];
    for (uint64_t n = 1 + random() % 4; n > 0; --n) {
      damaged.encoded[random() % damaged.encoded.size()] =
          static_cast<char>(random());
    }
    if (random() % 2 == 0) damaged.text.resize(random() % 64);
    Split(damaged);
  }
}

}  // namespace
}  // namespace ringlog
