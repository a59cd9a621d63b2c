#include <sentencepiece_processor.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "text/engine.h"
#include "text/message.h"
#include "text/sentencepiece_check.h"
#include "text/token_bytes.h"

namespace lithe::text {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{64} << 20;
// ModelProto.normalizer_spec.add_dummy_prefix = false; a message's later fields win.
constexpr std::string_view kNoDummyPrefix("\x1A\x02\x18\x00", 4);

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

/// Follows the slow LLaMA tokenizer of transformers step by step: cut out added tokens, then sentencepiece.
class SentencepieceEngine : public Engine {
 public:
  SentencepieceEngine(std::string model, std::string source, const Settings& settings)
      : source_(std::move(source)), legacy_(settings.legacy), add_bos_(settings.add_bos), add_eos_(settings.add_eos) {
    check_sentencepiece_model(model, source_);
    if (!legacy_) model += kNoDummyPrefix;
    const auto status = processor_.LoadFromSerializedProto(model);
    require(status.ok(), Fault::bad_file, source_, ": not a sentencepiece model: ", status.message());
    for (int id = 0; id < processor_.GetPieceSize(); ++id) vocabulary_.add(id, processor_.IdToPiece(id));
    read_added(settings);
    unk_text_ = settings.unk ? settings.unk->content : "<unk>";
    unk_pieces_ = pieces_of(unk_text_).size();
  }

  std::vector<int64_t> encode(const std::string& text, bool add_special) const override {
    std::vector<int64_t> ids;
    if (add_special && add_bos_ && bos_) ids.push_back(*bos_);
    for (const std::string& token : tokenize(text)) ids.push_back(id_of(token));
    if (add_special && add_eos_ && eos_) ids.push_back(*eos_);
    return ids;
  }

  std::vector<int64_t> encode_chunk(const std::string& text) const override { return encode(text, true); }

  std::string decode(std::span<const int64_t> ids, bool skip_special) const override {
    std::vector<std::string> parts;
    std::vector<std::string> run;
    const auto end_run = [&] {
      if (run.empty()) return;
      std::string text = join(run);
      if (!text.empty()) parts.push_back(std::move(text));
      run.clear();
    };
    for (const int64_t id : ids) {
      const bool special = vocabulary_.special.contains(id);
      if (special && skip_special) continue;
      const std::string& token = vocabulary_.tokens.at(id);
      if (!special && added_.contains(token)) {
        end_run();
        parts.push_back(token);
      } else {
        run.push_back(token);
      }
    }
    end_run();
    std::string text;
    for (std::size_t i = 0; i < parts.size(); ++i) text += (i > 0 ? " " : "") + parts[i];
    return text;
  }

  bool decodes_byte_runs_whole() const override { return false; }

 private:
  void read_added(const Settings& settings) {
    for (const auto& [id, token] : settings.added) add(id, token);
    for (const auto* token : {&settings.unk, &settings.bos, &settings.eos, &settings.pad}) {
      if (*token) add_special(**token);
    }
    for (const AddedToken& token : settings.additional_special) add_special(token);
    bos_ = vocabulary_.find(settings.bos ? settings.bos->content : "<s>");
    eos_ = vocabulary_.find(settings.eos ? settings.eos->content : "</s>");
  }

  void add_special(AddedToken token) {
    const auto known = vocabulary_.find(token.content);
    token.special = true;
    add(known ? *known : vocabulary_.size, token);
  }

  void add(int64_t id, const AddedToken& token) {
    if (token.content.empty()) return;
    vocabulary_.add(id, token.content);
    if (token.special) vocabulary_.special.insert(id);
    vocabulary_.added.insert(id);
    added_[token.content] = token;
    longest_added_ = std::max(longest_added_, token.content.size());
    added_starts_[static_cast<unsigned char>(token.content[0])] = true;
  }

  std::vector<std::string> pieces_of(const std::string& text) const {
    std::vector<std::string> pieces;
    const auto status = processor_.Encode(text, &pieces);
    require(status.ok(), Fault::bad_file, source_, ": cannot encode a text: ", status.message());
    return pieces;
  }

  /// An added token is found before sentencepiece knows it; what nobody knows becomes <unk>.
  int64_t id_of(const std::string& token) const {
    if (added_.contains(token)) return vocabulary_.ids.at(token);
    return processor_.PieceToId(token);
  }

  std::vector<std::string> tokenize(const std::string& text) const {
    if (legacy_ || text.empty()) return tokenize_parts(text);
    std::vector<std::string> tokens = tokenize_parts(kSpaceMark + replaced(text, kSpaceMark, " "));
    if (tokens.size() > 1 && tokens[0] == kSpaceMark && is_special(tokens[1])) tokens.erase(tokens.begin());
    return tokens;
  }

  bool is_special(const std::string& token) const {
    const auto id = vocabulary_.find(token);
    return id && vocabulary_.special.contains(*id);
  }

  std::vector<std::string> tokenize_parts(const std::string& text) const {
    std::vector<std::string> parts = cut(text);
    trim_around_added(parts);
    std::vector<std::string> tokens;
    for (const std::string& part : parts) {
      if (part.empty()) continue;
      if (added_.contains(part)) {
        tokens.push_back(part);
      } else {
        const std::vector<std::string> pieces = tokenize_plain(part);
        tokens.insert(tokens.end(), pieces.begin(), pieces.end());
      }
    }
    return tokens;
  }

  /// Parts that are added tokens and the texts between them; of several that start at one place the longest wins.
  std::vector<std::string> cut(const std::string& text) const {
    std::vector<std::string> parts(1);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = added_at(text, at);
      if (size == 0) {
        parts.back() += text[at++];
      } else {
        parts.push_back(text.substr(at, size));
        parts.emplace_back();
        at += size;
      }
    }
    return parts;
  }

  std::size_t added_at(const std::string& text, std::size_t at) const {
    if (!added_starts_[static_cast<unsigned char>(text[at])]) return 0;
    for (std::size_t size = std::min(longest_added_, text.size() - at); size > 0; --size) {
      if (added_.contains(text.substr(at, size))) return size;
    }
    return 0;
  }

  void trim_around_added(std::vector<std::string>& parts) const {
    for (std::size_t i = 1; i + 1 < parts.size(); i += 2) {
      const AddedToken& token = added_.at(parts[i]);
      std::string& left = parts[i - 1];
      std::string& right = parts[i + 1];
      if (token.rstrip) right.erase(right.begin(), std::find_if_not(right.begin(), right.end(), is_space));
      if (token.lstrip) left.erase(std::find_if_not(left.rbegin(), left.rend(), is_space).base(), left.end());
      if (!token.single_word) continue;
      if (!left.empty() && left.back() != ' ') {
        left += std::exchange(parts[i], "");
      } else if (!right.empty() && right.front() != ' ') {
        right = std::exchange(parts[i], "") + right;
      }
    }
  }

  /// legacy=false: sentencepiece drops a space in front, so <unk> stands there while it works and is cut off again.
  std::vector<std::string> tokenize_plain(const std::string& text) const {
    if (legacy_ || !(text.starts_with(kSpaceMark) || text.starts_with(' '))) return pieces_of(text);
    std::vector<std::string> pieces = pieces_of(unk_text_ + text);
    if (pieces.size() >= unk_pieces_) pieces.erase(pieces.begin(), pieces.begin() + static_cast<long>(unk_pieces_));
    return pieces;
  }

  /// Special tokens are written as they are; sentencepiece sees what lies between them.
  std::string join(std::vector<std::string> tokens) const {
    if (tokens[0].starts_with(kSpaceMark)) tokens[0].erase(0, std::string_view(kSpaceMark).size());
    std::string text;
    std::vector<std::string> run;
    bool special_before = false;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      if (!is_special(tokens[i])) {
        run.push_back(tokens[i]);
        special_before = false;
        continue;
      }
      if (!special_before && i != 0 && legacy_) text += ' ';
      text += decode_pieces(run) + tokens[i];
      special_before = true;
      run.clear();
    }
    return text + decode_pieces(run);
  }

  std::string decode_pieces(const std::vector<std::string>& pieces) const {
    std::string text;
    const auto status = processor_.Decode(pieces, &text);
    require(status.ok(), Fault::bad_file, source_, ": cannot decode ids: ", status.message());
    return text;
  }

  std::string source_;
  bool legacy_, add_bos_, add_eos_;
  sentencepiece::SentencePieceProcessor processor_;
  std::unordered_map<std::string, AddedToken> added_;
  std::size_t longest_added_ = 0;
  bool added_starts_[256] = {};
  std::string unk_text_;
  std::size_t unk_pieces_ = 0;
  std::optional<int64_t> bos_, eos_;
};

}  // namespace

std::unique_ptr<Engine> open_sentencepiece_engine(const std::filesystem::path& path, const Settings& settings) {
  return make_sentencepiece_engine(read_regular_file(path, kMaxFileBytes), path.string(), settings);
}

std::unique_ptr<Engine> make_sentencepiece_engine(std::string model, const std::string& source,
                                                  const Settings& settings) {
  return std::make_unique<SentencepieceEngine>(std::move(model), source, settings);
}

}  // namespace lithe::text
