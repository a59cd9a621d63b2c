// tokenizer.model: a ModelProto of sentencepiece with the pieces, scores and types of the list.
#include <bit>
#include <cmath>

#include "base/error.h"
#include "text/token_list_files.h"

namespace lithe::text {
namespace {

/// Protocol buffers, as far as such a model needs them.
class ProtoMessage {
 public:
  void number(uint32_t field, uint64_t value) {
    varint(uint64_t{field} << 3);
    varint(value);
  }
  void real(uint32_t field, float value) {
    varint(uint64_t{field} << 3 | 5);
    const auto bits = std::bit_cast<uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) bytes_ += static_cast<char>((bits >> shift) & 0xff);
  }
  void bytes(uint32_t field, const std::string& value) {
    varint(uint64_t{field} << 3 | 2);
    varint(value.size());
    bytes_ += value;
  }

  const std::string& str() const { return bytes_; }

 private:
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>((value & 0x7f) | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

// ModelProto, and what it holds; the numbers are those of sentencepiece_model.proto.
constexpr uint32_t kPieces = 1, kTrainer = 2, kNormalizer = 3;
constexpr uint32_t kPiece = 1, kScore = 2, kType = 3;
constexpr uint32_t kModelType = 3, kByteFallback = 35;
constexpr uint32_t kName = 1, kAddDummyPrefix = 3, kRemoveExtraSpaces = 4, kEscapeSpaces = 5;
constexpr uint64_t kBpe = 2;

}  // namespace

std::string sentencepiece_model_of(const TokenList& list) {
  require(list.scores.size() == list.tokens.size(), Fault::bad_file, list.source, ": its tokenizer has ",
          list.tokens.size(), " tokens, and scores for ", list.scores.size());
  ProtoMessage model, trainer, normalizer;
  bool falls_back = false;
  for (std::size_t id = 0; id < list.tokens.size(); ++id) {
    require(std::isfinite(list.scores[id]), Fault::bad_file, list.source, ": the score of token ", id,
            " of its tokenizer is not finite");
    ProtoMessage piece;
    piece.bytes(kPiece, list.tokens[id]);
    piece.real(kScore, list.scores[id]);
    piece.number(kType, static_cast<uint64_t>(list.kind(id)));
    falls_back = falls_back || list.kind(id) == TokenKind::byte;
    model.bytes(kPieces, piece.str());
  }
  trainer.number(kModelType, kBpe);
  trainer.number(kByteFallback, falls_back);
  normalizer.bytes(kName, "identity");
  normalizer.number(kAddDummyPrefix, list.add_space_prefix);
  normalizer.number(kRemoveExtraSpaces, list.remove_extra_spaces);
  normalizer.number(kEscapeSpaces, true);
  model.bytes(kTrainer, trainer.str());
  model.bytes(kNormalizer, normalizer.str());
  return model.str();
}

}  // namespace lithe::text
