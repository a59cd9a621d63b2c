#include "session/request.h"

#include <utility>

#include "base/error.h"
#include "plan/parse.h"
#include "text/message.h"

namespace lithe::session {

Request RequestBuilder::request(Question question) {
  require(!question.raw || !question.system, Fault::bad_request,
          "A raw prompt has no place for a system message; write it into the prompt.");
  Request request;
  request.raw = question.raw;
  if (question.plan) request.plan = plan(*question.plan);
  request.images = pictures(std::move(question.pictures));
  if (question.raw) {
    request.text = std::move(question.prompt);
    return request;
  }
  if (question.system) request.messages.push_back(text::text_message("system", *question.system));
  request.messages.push_back(text::user_message(std::move(question.prompt), request.images.size()));
  return request;
}

AnswerOptions RequestBuilder::options(const Question& question) const {
  const SamplingWish& wish = question.sampling;
  SamplingPolicy policy = session_.default_sampling();
  policy.temperature = wish.temperature.value_or(policy.temperature);
  policy.top_k = wish.top_k.value_or(policy.top_k);
  policy.top_p = wish.top_p.value_or(policy.top_p);
  policy.min_p = wish.min_p.value_or(policy.min_p);
  policy.repetition_penalty = wish.repetition_penalty.value_or(policy.repetition_penalty);
  policy.frequency_penalty = wish.frequency_penalty;
  policy.presence_penalty = wish.presence_penalty;
  policy.biases = wish.biases;
  policy.seed = wish.seed;
  check(policy);
  return {.max_new_tokens = question.max_tokens, .stop = question.stop, .sampling = policy};
}

std::vector<image::Source> RequestBuilder::pictures(std::vector<image::Given> given) const {
  session_.check_pictures(given.size());
  std::vector<image::Source> pictures;
  for (image::Given& picture : given)
    pictures.push_back(image::Source::of(std::move(picture), session_.decode_options()));
  return pictures;
}

const plan::Plan& RequestBuilder::plan(const std::string& name) {
  const auto known = plans_.find(name);
  return known != plans_.end() ? known->second
                               : plans_.emplace(name, plan::load_plan(name, session_.facts())).first->second;
}

}  // namespace lithe::session
