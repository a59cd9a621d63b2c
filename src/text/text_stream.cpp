#include <algorithm>
#include <cstring>

#include "base/utf8.h"
#include "text/token_bytes.h"
#include "text/tokenizer.h"

namespace lithe::text {
namespace {

/// Bytes of the text that later ids cannot change. A character of which bytes are still to come shows as up to three
/// U+FFFD at the end.
std::size_t settled_bytes(const std::string& text) {
  const std::size_t width = std::strlen(kReplacement);
  std::size_t end = text.size();
  for (int i = 0; i < 3 && end >= width && text.compare(end - width, width, kReplacement) == 0; ++i) end -= width;
  return end;
}

bool has_visible(const std::string& text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return c > ' '; });
}

}  // namespace

TextStream::TextStream(const Tokenizer& tokenizer, bool skip_special)
    : tokenizer_(&tokenizer), skip_special_(skip_special) {}

std::string TextStream::push(int64_t id) {
  if (!tokenizer_->has_id(id) || (skip_special_ && tokenizer_->is_special(id))) return "";
  window_.push_back(id);
  if (tokenizer_->decodes_byte_runs_whole() && fallback_byte(tokenizer_->token_of(id))) return "";
  return emit(false);
}

std::string TextStream::finish() {
  return emit(true);
}

std::string TextStream::emit(bool last) {
  const std::string text = tokenizer_->decode(window_, skip_special_);
  const std::size_t settled = last ? text.size() : settled_bytes(text);
  if (settled < sent_bytes_) return "";
  const std::string piece = text.substr(sent_bytes_, settled - sent_bytes_);
  sent_bytes_ = settled;
  if (settled < text.size()) return piece;
  // Decoders treat the first token of a text in their own way, so some settled text stays in front. It must show
  // something: a decoder may drop more than one space in front.
  const std::vector<int64_t> rest(window_.begin() + static_cast<long>(context_), window_.end());
  const std::string rest_text = tokenizer_->decode(rest, skip_special_);
  if (has_visible(rest_text)) {
    window_ = rest;
    sent_bytes_ = rest_text.size();
  }
  context_ = window_.size();
  return piece;
}

}  // namespace lithe::text
