#include "session/given_answer.h"

#include <algorithm>
#include <optional>
#include <string>
#include <variant>

#include "base/error.h"
#include "ops/rope.h"
#include "text/words.h"

namespace lithe::session {
namespace {

/// A prompt and the answer to it, as text.
struct Written {
  std::string answered;  ///< Up to the answer's last character.
  std::string whole;     ///< With what the template writes after it.
};

Written written(const models::Prompting& prompting, const Request& request, const std::string& answer) {
  if (request.raw) return {request.text + answer, request.text + answer};
  const std::string prompt = prompting.render(request.messages);
  std::vector<text::Message> messages = request.messages;
  messages.push_back(text::text_message("assistant", answer));
  std::string whole = prompting.render(messages, false);
  const std::size_t at = whole.starts_with(prompt) ? whole.find(answer, prompt.size()) : std::string::npos;
  const bool follows =
      at != std::string::npos && text::stripped(whole.substr(prompt.size(), at - prompt.size())).empty();
  require(follows, Fault::bad_request,
          "the chat template does not write an answer right after the prompt, so its tokens can't be found");
  return {whole.substr(0, at + answer.size()), std::move(whole)};
}

/// The token that the template writes at the end of an answer, else the model's own.
std::optional<int64_t> end_token(const models::Prompting& prompting, const std::vector<int64_t>& whole,
                                 std::size_t prompt) {
  const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(std::min(prompt, whole.size()));
  const auto end = std::find_if(begin, whole.end(), [&](int64_t id) { return prompting.ends(id); });
  return end != whole.end() ? std::optional(*end) : prompting.tokenizer->eos();
}

void check_ids(const models::Model& model, const std::vector<int64_t>& ids) {
  for (const int64_t id : ids)
    require(id >= 0 && id < model.decoder.config.vocab, Fault::bad_request,
            "the answer holds an image mark, or a token that the model has no embedding for");
}

bool reads_the_pass(const routing::Site& site) {
  const auto* branch = std::get_if<nn::Pia>(&site.branch);
  const bool stand_in = site.stand_in && site.stand_in->pia && !site.stand_in->pia->freezes_mean;
  return stand_in || (branch && !branch->freezes_mean) || (site.pia && !site.pia->freezes_mean);
}

}  // namespace

std::vector<int64_t> given_answer_ids(const models::Model& model, const Request& request,
                                      const std::vector<int64_t>& prompt) {
  if (!request.given_answer) return {};
  const models::Prompting& prompting = model.prompting;
  const std::string answer = text::stripped(*request.given_answer);
  require(!answer.empty(), Fault::bad_request, "the answer is empty, so there is nothing to score");
  require(answer.size() <= text::kMaxTextBytes, Fault::bad_request, "the answer has ", answer.size(),
          " bytes, of which at most ", text::kMaxTextBytes, " are read");
  const auto ids_of = [&](const std::string& text) {
    return prompting.tokenizer->encode_with_images(text, prompting.dialect);
  };
  const Written text = written(prompting, request, answer);
  std::vector<int64_t> ids = ids_of(text.answered);
  require(ids.size() > prompt.size() && std::equal(prompt.begin(), prompt.end(), ids.begin()), Fault::bad_request,
          "the tokenizer joins the answer with the end of the prompt, so its tokens can't be found");
  ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(prompt.size()));
  check_ids(model, ids);
  const auto end =
      end_token(prompting, text.whole == text.answered ? std::vector<int64_t>{} : ids_of(text.whole), prompt.size());
  if (end) ids.push_back(*end);
  return ids;
}

bool answers_run_whole(const models::Model& model) {
  if (model.decoder.config.rope.scaling == ops::RopeConfig::Scaling::dynamic) return false;
  const auto& blocks = model.decoder.blocks;
  return std::none_of(blocks.begin(), blocks.end(), [](const routing::Block& block) {
    return std::any_of(block.sites.begin(), block.sites.end(), reads_the_pass);
  });
}

}  // namespace lithe::session
