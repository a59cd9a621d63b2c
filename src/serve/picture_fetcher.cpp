#include "serve/picture_fetcher.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/printable.h"
#include "io/bytes.h"
#include "serve/refusal.h"
#include "web/client.h"

namespace lithe::serve {
namespace {

std::vector<std::byte> picture_at(const web::Question& question, const std::string& field) {
  try {
    const web::Reply reply = web::ask(question);
    require(reply.status == 200, Fault::bad_request, "The address ", in_quotes(question.url), " replies with status ",
            reply.status, "; correct it.");
    const std::span<const std::byte> bytes = io::as_bytes(reply.body);
    return {bytes.begin(), bytes.end()};
  } catch (const Error& error) {
    if (error.fault() == Fault::no_memory) throw;
    throw Refusal(400, concat(field, ": ", error.what()), field);
  }
}

image::Source source_of(std::vector<std::byte> bytes, const std::string& field, const image::DecodeOptions& decode) {
  try {
    return image::Source::of_bytes(std::move(bytes), field, decode);
  } catch (const Error& error) {
    if (error.fault() == Fault::no_memory) throw;
    throw Refusal(400, error.what(), field);
  }
}

}  // namespace

void PictureFetcher::fetch(Call& call, const image::DecodeOptions& decode) const {
  const Stopwatch clock;
  web::Question question{.redirects = limits_.redirects, .most_bytes = limits_.bytes, .may_reach = may_reach_};
  question.goes_on = [this] { return !stopped_; };
  for (const RemotePicture& remote : call.remote) {
    const auto left = limits_.patience - std::chrono::milliseconds(static_cast<int64_t>(clock.elapsed_ms()));
    question.patience = std::max(left, std::chrono::milliseconds(1));
    question.url = remote.url;
    std::vector<std::byte> bytes = picture_at(question, remote.field);
    question.most_bytes -= bytes.size();
    auto& images = call.request.images;
    images.insert(images.begin() + static_cast<std::ptrdiff_t>(remote.index),
                  source_of(std::move(bytes), remote.field, decode));
  }
  call.remote.clear();
}

}  // namespace lithe::serve
