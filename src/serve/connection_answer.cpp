// The part of a connection that waits for the engine: whole answers, streams, and a look at whether the client is
// there.
#include <boost/asio/post.hpp>
#include <exception>
#include <optional>

#include "serve/answer_json.h"
#include "serve/connection.h"
#include "serve/picture_fetcher.h"

namespace lithe::serve {
namespace {

using asio::awaitable;
using boost::system::error_code;

constexpr std::size_t kMostAhead = 16 << 10;  // bytes of later requests that are read while one is answered

/// What the client gets in place of the answers. If one prompt has none, its outcome comes alone.
std::optional<Refusal> failure_of(const ReplyForm::Outcomes& outcomes, const Exchange& exchange, bool stopping) {
  const session::Outcome& outcome = outcomes.front();
  if (outcome.error) return refusal_of(outcome.thrown, exchange.pictures, exchange.prompt);
  if (outcome.answer.stop != session::StopReason::cancelled) return std::nullopt;
  if (stopping) return no_room(true);
  return Refusal(503, "The answer was cut, because it was read too slowly; send the request again.", {}, "slow_reader");
}

/// What the log says of the answers.
void note(const ReplyForm::Outcomes& outcomes, AccessEntry& entry) {
  entry.answer = outcomes.front().answer;
  for (const session::Outcome& outcome : outcomes) {
    entry.prompt_tokens += outcome.answer.timings.prompt_rows;
    entry.new_tokens += new_tokens(outcome);
  }
}

/// Tells the engine that nobody waits any more.
struct Abandon {
  AnswerQueue& queue;
  ~Abandon() { queue.abandon(); }
};

}  // namespace

Refusal no_room(bool stopping) {
  if (stopping) return {503, "The server is shutting down; send it again later.", {}, "shutting_down"};
  return {503, "Too many requests wait; send it again later.", {}, "queue_full"};
}

/// The body as a call, with its pictures.
awaitable<Call> Connection::read_call(Exchange& exchange, const Route& route, std::string body) {
  Service& service = host_.service;
  const auto read = [&service, &route, &body, seed = service.next_seed()] {
    return service.read_call(route, body, seed);
  };
  Call call = co_await on(host_.readers, read);
  if (call.remote.empty()) co_return call;
  const FetchWatch watch{.goes_on = [this] { return !left_; },
                         .has_room = [&exchange](std::size_t bytes) { return exchange.held.grow(bytes); }};
  const auto fetch = [&service, &call, &watch] { service.fetch_pictures(call, watch); };
  try {
    co_await on(host_.fetchers, fetch);
  } catch (const Refusal&) {
    if (left_) throw ClientLeft();  // so it was given up
    throw;
  }
  co_return call;
}

awaitable<void> Connection::call_engine(Exchange& exchange, const Route& route, std::string body) {
  watch();
  std::exception_ptr failure;
  try {
    co_await answer(exchange, route, std::move(body));
  } catch (...) {
    failure = std::current_exception();
  }
  co_await stop_watching();
  if (failure) std::rethrow_exception(failure);
}

awaitable<void> Connection::answer(Exchange& exchange, const Route& route, std::string body) {
  Service& service = host_.service;
  Call call = co_await read_call(exchange, route, std::move(body));
  if (left_) throw ClientLeft();
  exchange.pictures = !call.request.images.empty();
  exchange.form = service.form_of(call, exchange.framing.id);
  exchange.entry.stream = call.stream;
  exchange.entry.lora = call.lora;
  const auto wake = [wake = wake_] { asio::post(wake->get_executor(), [wake] { wake->cancel(); }); };
  const auto queue = std::make_shared<AnswerQueue>(wake, call.prompts.size());
  if (!service.submit(call, exchange.caller, queue)) throw no_room(service.engine().stopping());
  const Abandon at_the_end{*queue};
  if (exchange.entry.stream) {
    co_await stream_answer(exchange, *queue);
  } else {
    co_await whole_answer(exchange, *queue);
  }
}

/// Text, the end, or nothing for as long as a stream may be silent. Throws ClientLeft.
awaitable<AnswerQueue::News> Connection::next_news(AnswerQueue& queue) {
  AnswerQueue::News news = queue.take();
  if (news.empty() && !left_) {
    wake_->expires_after(patience_.ping);
    co_await wake_->async_wait(kAwait);
    news = queue.take();
  }
  if (left_) throw ClientLeft();
  co_return news;
}

awaitable<void> Connection::whole_answer(Exchange& exchange, AnswerQueue& queue) {
  AnswerQueue::News news;
  while (!news.outcomes) news = co_await next_news(queue);
  const auto failure = failure_of(*news.outcomes, exchange, host_.service.engine().stopping());
  if (failure) throw *failure;
  exchange.entry.status = 200;
  note(*news.outcomes, exchange.entry);
  if (host_.service.engine().stopping()) exchange.framing.keep_alive = false;
  co_await write(whole_reply(json_response(exchange.form->whole(*news.outcomes)), exchange.framing));
}

awaitable<void> Connection::stream_answer(Exchange& exchange, AnswerQueue& queue) {
  if (!exchange.framing.chunked) exchange.framing.keep_alive = false;
  bool begun = false, ended = false;
  while (!ended) {
    const AnswerQueue::News news = co_await next_news(queue);
    ended = news.outcomes.has_value();
    std::optional<Refusal> failure;
    if (ended) failure = failure_of(*news.outcomes, exchange, host_.service.engine().stopping());
    if (failure && !exchange.replied) throw *failure;
    std::string reply, events;
    if (!exchange.replied) {
      reply = stream_head(exchange.framing);
      exchange.replied = true;
      exchange.entry.status = 200;
    }
    if (!begun && !news.empty()) {  // a ping before it says nothing of the answer
      events = exchange.form->begin();
      begun = true;
    }
    events += events_of(exchange, news, failure);
    reply += framed(events, exchange.framing);
    if (ended) reply += stream_tail(exchange.framing);
    co_await write(std::move(reply));
  }
}

/// What a stream says of the news. `failure`: in place of an answer.
std::string Connection::events_of(Exchange& exchange, const AnswerQueue::News& news,
                                  const std::optional<Refusal>& failure) {
  if (news.empty()) return ": ping\n\n";
  std::string events;
  for (std::size_t i = 0; i < news.pieces.size(); ++i) {
    if (!news.pieces[i].empty()) events += exchange.form->grown(i, news.pieces[i]);
  }
  for (const AnswerQueue::Ended& one : news.ended) events += exchange.form->ended(one.answer, one.what);
  if (!news.outcomes) return events;
  if (failure) {
    exchange.entry.error = failure->what();
    return events + exchange.form->failed(*failure);
  }
  note(*news.outcomes, exchange.entry);
  return events + exchange.form->end(*news.outcomes);
}

/// From here to stop_watching(), left_ says whether the client has closed its side.
void Connection::watch() {
  watching_ = true;
  stream_.socket().async_wait(tcp::socket::wait_read,
                              [self = shared_from_this()](const error_code& error) { self->look(error); });
}

void Connection::look(error_code error) {
  watching_ = false;
  if (!error && buffer_.size() < kMostAhead) {
    const std::size_t bytes = stream_.read_some(buffer_.prepare(4096), error);
    if (!error) buffer_.commit(bytes);
    if (!error || error == asio::error::would_block) return watch();
  }
  if (error && error != asio::error::operation_aborted) left_ = true;
  wake_->cancel();
}

awaitable<void> Connection::stop_watching() {
  error_code ignored;
  if (watching_) stream_.socket().cancel(ignored);
  while (watching_) {
    wake_->expires_after(std::chrono::seconds(1));
    co_await wake_->async_wait(kAwait);
  }
}

}  // namespace lithe::serve
