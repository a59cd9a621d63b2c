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

/// `full`: whether there was no room for it.
std::vector<std::byte> picture_at(const web::Question& question, const std::string& field, const bool& full) {
  try {
    const web::Reply reply = web::ask(question);
    require(reply.status == 200, Fault::bad_request, "The address ", in_quotes(question.url), " replies with status ",
            reply.status, "; correct it.");
    const std::span<const std::byte> bytes = io::as_bytes(reply.body);
    return {bytes.begin(), bytes.end()};
  } catch (const Error& error) {
    if (full) throw Refusal(503, "Too many pictures are fetched; send it again later.", {}, "queue_full");
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

void PictureFetcher::fetch(Call& call, const image::DecodeOptions& decode, const FetchWatch& watch) const {
  const Stopwatch clock;
  web::Question question{.redirects = limits_.redirects, .most_bytes = limits_.bytes, .may_reach = may_reach_};
  question.goes_on = [&] { return !stopped_ && (!watch.goes_on || watch.goes_on()); };
  bool full = false;
  question.has_room = [&](std::size_t bytes) {
    full = watch.has_room && !watch.has_room(bytes);
    return !full;
  };
  for (const RemotePicture& remote : call.remote) {
    const auto left = limits_.patience - std::chrono::milliseconds(static_cast<int64_t>(clock.elapsed_ms()));
    question.patience = std::max(left, std::chrono::milliseconds(1));
    question.url = remote.url;
    std::vector<std::byte> bytes = picture_at(question, remote.field, full);
    question.most_bytes -= bytes.size();
    auto& images = call.request.images;
    images.insert(images.begin() + static_cast<std::ptrdiff_t>(remote.index),
                  source_of(std::move(bytes), remote.field, decode));
  }
  call.remote.clear();
}

}  // namespace lithe::serve
