#include "api/request.h"

#include <span>

#include "base/error.h"
#include "base/json.h"
#include "plan/parse.h"
#include "text/message.h"

namespace lithe::api {
namespace {

image::Image from_rgb(const Picture& picture, int64_t max_pixels) {
  const int64_t width = picture.width, height = picture.height;
  require(width >= 1 && height >= 1, Fault::bad_request, "A picture is ", width, " x ", height,
          " pixels; both must be at least 1.");
  require(width <= max_pixels / height, Fault::bad_request, "A picture is ", width, " x ", height,
          " pixels; give one of at most ", max_pixels, " in all.");
  require(picture.bytes.size() == static_cast<size_t>(width * height * 3), Fault::bad_request, "A picture of ", width,
          " x ", height, " pixels has ", picture.bytes.size(), " bytes; RGB needs ", width * height * 3, ".");
  return {width, height, picture.bytes};
}

}  // namespace

image::Source source_of(const Picture& picture, const image::DecodeOptions& options) {
  switch (picture.kind) {
    case Picture::Kind::file:
      return image::Source::of_file(picture.path, options);
    case Picture::Kind::encoded: {
      const auto bytes = std::as_bytes(std::span(picture.bytes));
      return image::Source::of_bytes({bytes.begin(), bytes.end()}, "the picture in memory", options);
    }
    case Picture::Kind::rgb:
      return from_rgb(picture, options.max_pixels);
  }
  fail(Fault::bad_request, "A picture is of no known kind; make it by Picture::from_file, from_memory or from_rgb.");
}

std::vector<image::Source> pictures_of(const Question& question, const session::Session& session) {
  session.check_pictures(question.pictures.size());
  std::vector<image::Source> pictures;
  for (const Picture& picture : question.pictures) pictures.push_back(source_of(picture, session.decode_options()));
  return pictures;
}

plan::Plan plan_of(const std::string& plan, const session::Session& session) {
  const std::size_t first = plan.find_first_not_of(" \t\r\n");
  const bool is_text = first != std::string::npos && (plan[first] == '{' || plan[first] == '[');
  if (!is_text) return plan::load_plan(plan, session.facts());
  return plan::parse_plan(parse_json(plan, "the plan"), "the plan", session.facts());
}

session::Request request_of(const Question& question, const session::Session& session) {
  require(!question.raw || !question.system, Fault::bad_request,
          "A raw prompt has no place for a system message; write it into the prompt.");
  session::Request request;
  request.raw = question.raw;
  if (question.plan) request.plan = plan_of(*question.plan, session);
  request.images = pictures_of(question, session);
  if (question.raw) {
    request.text = question.prompt;
    return request;
  }
  if (question.system) request.messages.push_back(text::text_message("system", *question.system));
  request.messages.push_back(text::user_message(question.prompt, question.pictures.size()));
  return request;
}

session::AnswerOptions options_of(const Question& question, const session::Session& session) {
  const Sampling& wanted = question.sampling;
  session::SamplingPolicy policy = session.default_sampling();
  policy.temperature = wanted.temperature.value_or(policy.temperature);
  policy.top_k = wanted.top_k.value_or(policy.top_k);
  policy.top_p = wanted.top_p.value_or(policy.top_p);
  policy.min_p = wanted.min_p.value_or(policy.min_p);
  policy.repetition_penalty = wanted.repetition_penalty.value_or(policy.repetition_penalty);
  policy.seed = wanted.seed;
  session::check(policy);
  session::AnswerOptions options;
  options.max_new_tokens = question.max_tokens;
  options.stop = question.stop;
  options.sampling = policy;
  return options;
}

}  // namespace lithe::api
