#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "text/engine.h"
#include "text/rust_boundary.h"

namespace lithe::text {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{128} << 20;

struct Closer {
  void operator()(LitheTokenizer* tokenizer) const { lithe_tokenizer_close(tokenizer); }
};

class JsonEngine : public Engine {
 public:
  JsonEngine(const std::string& json, std::string source) : source_(std::move(source)) {
    LitheTokenizer* tokenizer = nullptr;
    LitheBytes error{};
    const int code = lithe_tokenizer_open(json.data(), json.size(), &tokenizer, &error);
    check_rust(code, error, Fault::bad_file, source_ + ": not a tokenizer");
    tokenizer_.reset(tokenizer);
    read_vocabulary();
    swallows_space_ = encode("a", false) == encode(" a", false);
  }

  std::vector<int64_t> encode(const std::string& text, bool add_special) const override {
    LitheIds ids{};
    LitheBytes error{};
    const int code = lithe_tokenizer_encode(tokenizer_.get(), text.data(), text.size(), add_special, &ids, &error);
    check_rust(code, error, Fault::bad_file, source_ + ": cannot encode a text");
    std::vector<int64_t> result(ids.data, ids.data + ids.size);
    lithe_ids_free(ids);
    return result;
  }

  std::vector<int64_t> encode_chunk(const std::string& text) const override {
    return encode(swallows_space_ && text.starts_with(' ') ? " " + text : text, true);
  }

  std::string decode(std::span<const int64_t> ids, bool skip_special) const override {
    const std::vector<uint32_t> narrow(ids.begin(), ids.end());
    LitheBytes text{};
    LitheBytes error{};
    const int code =
        lithe_tokenizer_decode(tokenizer_.get(), narrow.data(), narrow.size(), skip_special, &text, &error);
    check_rust(code, error, Fault::bad_file, source_ + ": cannot decode ids");
    return take_rust(text);
  }

  bool decodes_byte_runs_whole() const override { return true; }

 private:
  void read_vocabulary() {
    LitheBytes bytes{};
    LitheBytes error{};
    check_rust(lithe_tokenizer_vocabulary(tokenizer_.get(), &bytes, &error), error, Fault::bad_file, source_);
    const Json json = parse_json(take_rust(bytes), source_);
    vocabulary_.byte_level = json.at("byte_level").get<bool>();
    for (const Json& row : json.at("tokens")) {
      const int64_t id = row[0].get<int64_t>();
      vocabulary_.add(id, row[1].get<std::string>());
      if (row[2].get<bool>()) vocabulary_.special.insert(id);
      if (row[3].get<bool>()) vocabulary_.added.insert(id);
    }
  }

  std::string source_;
  // The slow tokenizer puts its own mark in front of every text; some files leave that out before a space.
  bool swallows_space_ = false;
  std::unique_ptr<LitheTokenizer, Closer> tokenizer_;
};

}  // namespace

std::unique_ptr<Engine> open_json_engine(const std::filesystem::path& path) {
  return make_json_engine(read_regular_file(path, kMaxFileBytes), path.string());
}

std::unique_ptr<Engine> make_json_engine(const std::string& json, const std::string& source) {
  return std::make_unique<JsonEngine>(json, source);
}

}  // namespace lithe::text
