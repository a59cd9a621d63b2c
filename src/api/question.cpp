#include "api/question.h"

#include <span>

#include "base/error.h"

namespace lithe::api {

image::Given given_picture(const Picture& picture) {
  switch (picture.kind) {
    case Picture::Kind::file:
      return std::filesystem::path(picture.path);
    case Picture::Kind::encoded: {
      const auto bytes = std::as_bytes(std::span(picture.bytes));
      return std::vector<std::byte>(bytes.begin(), bytes.end());
    }
    case Picture::Kind::rgb:
      return image::Image(picture.width, picture.height, picture.bytes);
  }
  fail(Fault::bad_request, "A picture is not of a known kind; make it by Picture::from_file, from_memory or from_rgb.");
}

session::Question given_question(const Question& question) {
  const Sampling& sampling = question.sampling;
  session::Question given{.prompt = question.prompt,
                          .system = question.system,
                          .raw = question.raw,
                          .plan = question.plan,
                          .max_tokens = question.max_tokens,
                          .stop = question.stop,
                          .sampling = {.temperature = sampling.temperature,
                                       .top_k = sampling.top_k,
                                       .top_p = sampling.top_p,
                                       .min_p = sampling.min_p,
                                       .repetition_penalty = sampling.repetition_penalty,
                                       .seed = sampling.seed}};
  for (const Picture& picture : question.pictures) given.pictures.push_back(given_picture(picture));
  return given;
}

}  // namespace lithe::api
