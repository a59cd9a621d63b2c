#include "session/waiting_requests.h"

#include <algorithm>
#include <utility>

#include "session/answer.h"
#include "session/errors.h"
#include "session/given_answer.h"
#include "session/needed.h"

namespace lithe::session {
namespace {

constexpr int64_t kWorkers = 2;
constexpr size_t kMostPictures = 8;  // ahead at a time

}  // namespace

WaitingRequests::WaitingRequests(const models::Model& model, bool identifies_pictures)
    : model_(model), workers_(model, kWorkers, identifies_pictures) {}

void WaitingRequests::read(WaitingRequest& request) const {
  if (request.plan || request.refused) return;
  try {
    naming_failures([&] {
      request.ids = prompt_ids(model_, request.request, request.pictures());
      request.given = given_answer_ids(model_, request.request, request.ids);
      request.length.emplace(model_, request.ids);
      const auto plan = plan_of(model_, request.request);
      require_needed(request.request, *plan);
      request.plan = plan;
    });
  } catch (...) {
    request.refused = std::current_exception();
  }
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
  for (const WaitingRequest& request : requests_) {
    for (const ComingPicture& picture : request.coming) bytes += picture.bytes();
  }
  return bytes;
}

void WaitingRequests::begin_next(WaitingRequest& request) {
  const auto count = static_cast<int64_t>(request.pictures());
  request.coming.push_back(workers_.begin(request.request.images[request.begun], count));
  ++request.begun;
}

void WaitingRequests::prepare_ahead(int64_t most_bytes) {
  if (!model_.vision) return;
  size_t ahead = 0;
  for (WaitingRequest& request : requests_) {
    read(request);
    ahead += request.coming.size();
    while (!request.refused && request.begun < request.pictures()) {
      const auto count = static_cast<int64_t>(request.pictures());
      const int64_t more = workers_.bytes_of(request.request.images[request.begun], count);
      if (ahead >= kMostPictures || picture_bytes() + more > most_bytes) return;
      begin_next(request);
      ++ahead;
    }
    if (ahead >= kMostPictures) return;
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

PreparedPicture WaitingRequests::take_picture(size_t place, int64_t most_bytes) {
  WaitingRequest& request = requests_[place];
  if (request.coming.empty()) begin_next(request);
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
