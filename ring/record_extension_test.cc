#include "ringlog/ring/record_extension.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"

namespace ringlog {
namespace {

std::string Sizes(const std::vector<int>& sizes) {
  std::string bytes;
  for (const int size : sizes) {
    bytes.push_back(static_cast<char>(size & 255));
    bytes.push_back(static_cast<char>(size >> 8));
  }
  return bytes;
}

std::vector<std::string> Pieces(absl::string_view pieces,
                                absl::string_view text) {
  std::vector<std::string> all;
  for (absl::string_view piece; NextPiece(&pieces, &text, &piece);) {
    all.emplace_back(piece);
  }
  EXPECT_TRUE(text.empty());
  return all;
}

// Returns "key=value" for each field.
std::vector<std::string> Fields(absl::string_view fields) {
  std::vector<std::string> all;
  for (absl::string_view key, value; NextContextField(&fields, &key, &value);) {
    all.push_back(std::string(key) + "=" + std::string(value));
  }
  return all;
}

TEST(RecordExtensionTest, ItemsMatchFormatPage) {
  std::string room(64, 'x');
  ExtensionWriter writer(absl::MakeSpan(room.data(), room.size()));
  EXPECT_TRUE(writer.extension().empty());
  ASSERT_TRUE(writer.Add(ExtensionItem::kPieces, Sizes({6, 1, 8})));
  std::string field(16, 'x');
  field.resize(
      EncodeContextField("id", "7f", absl::MakeSpan(field.data(), 16)));
  ASSERT_TRUE(writer.Add(ExtensionItem::kContext, field));
  EXPECT_EQ(writer.extension(),
            std::string("\x01\x06\x00\x06\x00\x01\x00\x08\x00"
                        "\x02\x07\x00\x02\x02\x00"
                        "id7f",
                        9 + 10));
}

TEST(RecordExtensionTest, LongItemIsNotAdded) {
  std::string room(10, 'x');
  ExtensionWriter writer(absl::MakeSpan(room.data(), room.size()));
  EXPECT_FALSE(writer.Add(ExtensionItem::kContext, "12345678"));
  EXPECT_TRUE(writer.extension().empty());
  EXPECT_TRUE(writer.Add(ExtensionItem::kContext, "1234567"));
  EXPECT_FALSE(writer.Add(ExtensionItem::kContext, ""));
  EXPECT_FALSE(
      ExtensionWriter(absl::Span<char>()).Add(ExtensionItem::kPieces, ""));
}

TEST(RecordExtensionTest, FindsItemAfterUnknownItems) {
  std::string room(64, 'x');
  ExtensionWriter writer(absl::MakeSpan(room.data(), room.size()));
  writer.Add(static_cast<ExtensionItem>(0), "zero");
  writer.Add(static_cast<ExtensionItem>(200), "later");
  writer.Add(ExtensionItem::kContext, "context");
  writer.Add(ExtensionItem::kContext, "again");
  const std::string extension(writer.extension());
  EXPECT_EQ(FindExtension(extension, ExtensionItem::kContext), "context");
  EXPECT_EQ(FindExtension(extension, ExtensionItem::kPieces), "");
  for (size_t size = 0; size < extension.size(); ++size) {
    const absl::string_view found = FindExtension(
        absl::string_view(extension).substr(0, size), ExtensionItem::kContext);
    EXPECT_TRUE(found.empty() || found == "context") << size;
  }
}

TEST(RecordExtensionTest, PiecesDivideText) {
  const std::string text = "Found 3 cookies";
  EXPECT_TRUE(PiecesFit(Sizes({6, 1, 8}), text));
  EXPECT_EQ(Pieces(Sizes({6, 1, 8}), text),
            (std::vector<std::string>{"Found ", "3", " cookies"}));
  EXPECT_EQ(Pieces(Sizes({0, 15}), text), (std::vector<std::string>{"", text}));
  EXPECT_TRUE(PiecesFit(Sizes({0}), ""));
}

TEST(RecordExtensionTest, PiecesOfAnotherTextAreRejected) {
  EXPECT_FALSE(PiecesFit(Sizes({6, 1, 8}), "Found 3 cookie"));
  EXPECT_FALSE(PiecesFit(Sizes({6, 1, 8}), "Found 3 cookies."));
  EXPECT_FALSE(PiecesFit("", ""));
  EXPECT_FALSE(PiecesFit("\x01", "a"));
  EXPECT_FALSE(PiecesFit(std::string("\x01\x00\x00", 3), "a"));
}

TEST(RecordExtensionTest, ReadsEncodedContextFields) {
  std::string fields(64, 'x');
  size_t size = 0;
  const std::string odd("\0\n\xff\"", 4);
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, std::string>>{
           {"trace_id", "4bf9"}, {"A-z.9", ""}, {"k", odd}}) {
    const size_t added = EncodeContextField(
        key, value, absl::MakeSpan(&fields[size], fields.size() - size));
    ASSERT_NE(added, 0u);
    size += added;
  }
  fields.resize(size);
  const std::vector<std::string> expected = {"trace_id=4bf9",
                                             "A-z.9=", "k=" + odd};
  EXPECT_EQ(Fields(fields), expected);
  for (size_t cut = 0; cut < size; ++cut) {
    const std::vector<std::string> found = Fields(fields.substr(0, cut));
    ASSERT_LE(found.size(), 2u);
    EXPECT_TRUE(std::equal(found.begin(), found.end(), expected.begin()));
  }
}

TEST(RecordExtensionTest, InvalidKeysAreRejected) {
  std::string out(300, 'x');
  for (const std::string& key :
       {std::string(), std::string("a b"), std::string("a\""),
        std::string("\xc3\xa4"), std::string("\0", 1), std::string(65, 'k')}) {
    EXPECT_EQ(EncodeContextField(key, "v", absl::MakeSpan(&out[0], 300)), 0u);
    std::string forged(1, static_cast<char>(key.size()));
    forged += Sizes({1}) + key + "v";
    EXPECT_TRUE(Fields(forged).empty());
  }
  EXPECT_NE(EncodeContextField(std::string(64, 'k'), "v",
                               absl::MakeSpan(&out[0], 300)),
            0u);
  EXPECT_EQ(EncodeContextField("k", "v", absl::MakeSpan(&out[0], 4)), 0u);
}

}  // namespace
}  // namespace ringlog
