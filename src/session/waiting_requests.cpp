#include "session/waiting_requests.h"

#include <algorithm>
#include <set>
#include <utility>

namespace lithe::session {
namespace {

constexpr int64_t kWorkers = 2;
constexpr size_t kMostPictures = 8;  // ahead at a time

}  // namespace

WaitingRequests::WaitingRequests(const models::Model& model, bool identifies_pictures)
    : model_(model), workers_(model, kWorkers, identifies_pictures) {}

void WaitingRequests::read(WaitingRequest& request) const {
  if (request.prompt || request.refused) return;
  try {
    request.prompt = read_prompt(model_, request.request);
  } catch (...) {
    request.refused = std::current_exception();
  }
}

void WaitingRequests::push(WaitingRequest request) {
  std::vector<const Turn*> turns;
  for (const WaitingRequest& waiting : requests_) turns.push_back(&waiting.turn);
  const auto place = static_cast<std::ptrdiff_t>(place_among(turns, request.turn));
  requests_.insert(requests_.begin() + place, std::move(request));
}

const WaitingRequest& WaitingRequests::at(size_t place) {
  read(requests_[place]);
  return requests_[place];
}

WaitingRequest WaitingRequests::pop() {
  WaitingRequest first = std::move(requests_.front());
  requests_.pop_front();
  return first;
}

std::vector<int64_t> WaitingRequests::remove_cancelled() {
  std::vector<int64_t> tickets;
  std::erase_if(requests_, [&](const WaitingRequest& request) {
    if (!request.options.cancel.stop_requested()) return false;
    tickets.push_back(request.ticket);
    return true;
  });
  return tickets;
}

int64_t WaitingRequests::picture_bytes() const {
  int64_t bytes = 0;
  std::set<const void*> counted;
  for (const WaitingRequest& request : requests_) {
    for (const ComingPicture& picture : request.coming)
      if (counted.insert(picture.id()).second) bytes += picture.bytes();
  }
  return bytes;
}

int64_t WaitingRequests::bytes_of_next(const WaitingRequest& request) const {
  return workers_.bytes_of(request.request.images[request.begun], static_cast<int64_t>(request.pictures()));
}

void WaitingRequests::begin_next(WaitingRequest& request) {
  const auto count = static_cast<int64_t>(request.pictures());
  const image::Source picture = request.request.images[request.begun];
  const ComingPicture coming = workers_.begin(picture, count);
  for (WaitingRequest& waiting : requests_) {
    const bool is_next = !waiting.refused && waiting.begun < waiting.pictures() &&
                         waiting.pictures() == request.pictures() &&
                         waiting.request.images[waiting.begun].is_same(picture);
    if (&waiting != &request && !is_next) continue;
    waiting.coming.push_back(coming);
    ++waiting.begun;
  }
}

void WaitingRequests::prepare_ahead(int64_t most_bytes) {
  if (!model_.vision) return;
  std::set<const void*> ahead;
  for (WaitingRequest& request : requests_) {
    read(request);
    for (const ComingPicture& picture : request.coming) ahead.insert(picture.id());
    while (!request.refused && request.begun < request.pictures()) {
      if (ahead.size() >= kMostPictures || picture_bytes() + bytes_of_next(request) > most_bytes) return;
      begin_next(request);
      ahead.insert(request.coming.back().id());
    }
    if (ahead.size() >= kMostPictures) return;
  }
}

void WaitingRequests::give_up(int64_t most_bytes) {
  for (auto request = requests_.rbegin(); request != requests_.rend(); ++request) {
    while (!request->coming.empty() && picture_bytes() > most_bytes) {
      request->coming.pop_back();
      --request->begun;
    }
  }
}

ComingPicture::Made WaitingRequests::take_picture(size_t place, int64_t most_bytes) {
  WaitingRequest& request = requests_[place];
  if (request.coming.empty()) {
    give_up(most_bytes - bytes_of_next(request));  // of requests that began to wait before it but come after it
    begin_next(request);
  }
  prepare_ahead(most_bytes);
  ComingPicture next = std::move(request.coming.front());
  request.coming.pop_front();
  return next.take();
}

void WaitingRequests::abandon_pictures(size_t place) {
  requests_[place].coming.clear();
  requests_[place].begun = requests_[place].pictures();
}

}  // namespace lithe::session
