#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "models/model.h"
#include "session/batch_support.h"
#include "session/errors.h"
#include "session/read_prompt.h"
#include "session/tokens.h"
#include "session/turn.h"
#include "session/waiting_requests.h"

namespace lithe::session {
namespace {

/// Requests that wait, as "A1 B1 A2": the client and the number of its request.
class Queue {
 public:
  void push(const std::string& client, int64_t priority = 0) {
    std::vector<const Turn*> turns;
    for (const Waiting& one : waiting_) turns.push_back(&one.turn);
    const Turn turn{.priority = priority, .client = client};
    const auto place = static_cast<std::ptrdiff_t>(place_among(turns, turn));
    waiting_.insert(waiting_.begin() + place, {turn, concat(client, ++sent_[client])});
  }
  std::string pop() {
    std::string first = waiting_.front().name;
    waiting_.erase(waiting_.begin());
    return first;
  }
  void drop(const std::string& name) {
    std::erase_if(waiting_, [&](const Waiting& one) { return one.name == name; });
  }
  std::string text() const {
    std::string text;
    for (const Waiting& one : waiting_) text += (text.empty() ? "" : " ") + one.name;
    return text;
  }

 private:
  struct Waiting {
    Turn turn;
    std::string name;
  };
  std::vector<Waiting> waiting_;
  std::map<std::string, int> sent_;
};

TEST(Turns, ClientsAlternate) {
  Queue queue;
  for (const char* client : {"A", "A", "A", "B", "B", "C", "A"}) queue.push(client);
  EXPECT_EQ(queue.text(), "A1 B1 C1 A2 B2 A3 A4");
  EXPECT_EQ(queue.pop(), "A1");
  queue.push("D");
  EXPECT_EQ(queue.text(), "B1 C1 A2 D1 B2 A3 A4");
}

// One that asks again after each answer gets every second turn, and not all of them.
TEST(Turns, NobodyIsOvertakenForEver) {
  Queue queue;
  for (int i = 0; i < 3; ++i) queue.push("A");
  std::string order;
  bool waits = false;
  for (int i = 0; i < 6; ++i) {
    if (!waits) queue.push("B");
    const std::string next = queue.pop();
    waits = !next.starts_with("B");
    order += next + " ";
  }
  EXPECT_EQ(order, "A1 B1 A2 B2 A3 B3 ");
  Queue many;
  many.push("A");
  many.push("A");
  for (int i = 0; i < 3; ++i) many.push(concat("new", i));
  EXPECT_EQ(many.pop(), "A1");
  for (int i = 3; i < 6; ++i) many.push(concat("new", i));
  EXPECT_EQ(many.text(), "new01 new11 new21 A2 new31 new41 new51");
}

TEST(Turns, ALowerPriorityNumberGoesFirst) {
  Queue queue;
  queue.push("A", 0);
  queue.push("A", 5);
  queue.push("B", 5);
  queue.push("A", -1);
  queue.push("A", 0);
  queue.push("C", 0);
  EXPECT_EQ(queue.text(), "A3 A1 C1 A4 A2 B1");
}

TEST(Turns, OneClientsRequestsKeepTheirOrder) {
  Queue queue;
  for (const char* client : {"A", "B", "A", "B", "A", "B", "A"}) queue.push(client);
  EXPECT_EQ(queue.text(), "A1 B1 A2 B2 A3 B3 A4");
  for (const char* gone : {"A1", "A2", "A3"}) queue.drop(gone);
  queue.push("A");
  EXPECT_EQ(queue.text(), "B1 B2 B3 A4 A5");
}

/// The tickets in the order in which their requests ended.
std::vector<int64_t> order_of(BatchRun& batch) {
  std::vector<int64_t> order;
  while (!batch.idle()) {
    for (const Outcome& outcome : batch.step()) {
      EXPECT_FALSE(outcome.error) << outcome.error->what();
      order.push_back(outcome.ticket);
    }
  }
  return order;
}

TEST(Turns, DecideWhoJoinsABatch) {
  Session& session = model("easyvqa-pmod");
  const AnswerOptions options{.max_new_tokens = 2, .ignore_eos = true};
  BatchRun batch(session, {.sequences = 1});
  const auto submit = [&](int64_t ticket, const Turn& turn) {
    batch.submit_several(ticket, ask(session, {}, "is there a circle?"), {options}, turn);
  };
  submit(0, {.client = "a"});
  EXPECT_TRUE(batch.step().empty());  // it runs, and is not overtaken
  submit(1, {.client = "a"});
  submit(2, {.client = "a"});
  submit(3, {.priority = 1, .client = "c"});
  submit(4, {.client = "b"});
  submit(5, {.priority = -1, .client = "a"});
  EXPECT_EQ(order_of(batch), (std::vector<int64_t>{0, 5, 1, 4, 2, 3}));
}

// Pictures of those that are overtaken were begun; with little memory they make room and are begun again.
TEST(Turns, ChangeNoAnswer) {
  Session& session = model("easyvqa-pmod");
  const std::vector<BatchQuestion> questions = mixed_questions(session, {"", "dense", "fastv"});
  for (const int64_t bytes : {int64_t{1} << 30, int64_t{40} << 20}) {
    BatchRun batch(session, {.sequences = 2, .bytes = bytes});
    std::map<int64_t, Outcome> outcomes;
    for (size_t i = 0; i < questions.size(); ++i) {
      const auto ticket = static_cast<int64_t>(i);
      const BatchQuestion& question = questions[i];
      batch.submit_several(ticket, question.request, {question.options},
                           {.priority = -ticket / 4, .client = concat(i % 3)}, read_prompt(session, question.request));
      for (Outcome& outcome : batch.step()) outcomes.emplace(outcome.ticket, std::move(outcome));
    }
    while (!batch.idle()) {
      for (Outcome& outcome : batch.step()) outcomes.emplace(outcome.ticket, std::move(outcome));
    }
    EXPECT_LE(batch.state().peak_bytes_admitted, bytes);
    ASSERT_EQ(outcomes.size(), questions.size());
    for (const auto& [ticket, outcome] : outcomes) {
      ASSERT_FALSE(outcome.error) << outcome.error->what();
      const BatchQuestion& question = questions[static_cast<size_t>(ticket)];
      expect_same(outcome.answer, session.answer(question.request, question.options), concat("question ", ticket));
    }
  }
}

// The picture that is next gets the memory of those that were begun ahead of it.
TEST(Turns, ARequestThatOvertakesKeepsWithinTheMemoryOfPictures) {
  Session& session = model("easyvqa-pmod");
  WaitingRequests waiting(session.model(), false);
  const Request many = ask(session, std::vector<std::string>(8, "901.png"), "what is it?");
  waiting.push({.ticket = 0, .request = many});
  waiting.prepare_ahead(int64_t{1} << 30);
  const int64_t one = PictureWorkers(session.model(), 1).bytes_of(many.images.front(), 1);
  ASSERT_GT(waiting.picture_bytes(), one);
  waiting.push({.ticket = 1, .request = ask(session, {"901.png"}, "what is it?"), .turn = {.priority = -1}});
  ASSERT_EQ(waiting.at(0).ticket, 1);
  EXPECT_FALSE(waiting.take_picture(0, one)->views.tiles.empty());
  EXPECT_LE(waiting.picture_bytes(), one);
}

// Under several plans, or with several questions about it.
TEST(Turns, APictureOfSeveralRequestsIsPreparedOnce) {
  Session& session = model("easyvqa-pmod");
  WaitingRequests waiting(session.model(), true);
  Request both = ask(session, {"901.png", "506.png"}, "what is it?");
  waiting.push({.ticket = 0, .request = both});
  waiting.push({.ticket = 1, .request = both});
  std::swap(both.images[0], both.images[1]);
  waiting.push({.ticket = 2, .request = both});
  waiting.push({.ticket = 3, .request = ask(session, {"901.png"}, "what is it?")});
  constexpr int64_t kEnough = int64_t{1} << 30;
  std::vector<ComingPicture::Made> first, second;
  for (size_t place = 0; place < 4; ++place) first.push_back(waiting.take_picture(place, kEnough));
  for (size_t place = 0; place < 3; ++place) second.push_back(waiting.take_picture(place, kEnough));
  EXPECT_EQ(first[0], first[1]);
  EXPECT_EQ(second[0], second[1]);
  EXPECT_EQ(first[0]->content, second[2]->content) << "the other order";
  EXPECT_NE(first[0]->content, first[2]->content);
  EXPECT_NE(first[0], first[3]) << "a prompt with one picture may cut it into other tiles";
}

TEST(ReadPrompt, RefusesOnOtherThreadsWhatABatchWouldRefuse) {
  Session& session = model("easyvqa-pmod");
  const auto failure_of = [&](const Request& request) {
    std::exception_ptr failure;
    std::thread([&] {
      try {
        read_prompt(session, request);
      } catch (...) {
        failure = std::current_exception();
      }
    }).join();
    return failure;
  };
  EXPECT_FALSE(failure_of(ask(session, {"901.png"}, "what is it?")));
  const std::exception_ptr marks = failure_of(ask(session, {}, "<image> what is it?"));
  ASSERT_TRUE(marks);
  EXPECT_THROW(std::rethrow_exception(marks), Error);
  EXPECT_FALSE(says_too_long(marks));
  std::string words;
  for (int i = 0; i < 3000; ++i) words += "circle ";
  EXPECT_TRUE(says_too_long(failure_of(ask(session, {}, words))));
}

TEST(Batch, ARefusedPictureSaysWhichOneItIs) {
  Session& session = model("easyvqa-pmod");
  Request request = ask(session, {"901.png", "506.png"}, "what is it?");
  std::vector<std::byte> bytes = image::read_image_bytes(kModels / "images/901.png");
  bytes.resize(bytes.size() / 2);
  request.images[1] = image::Source::of_bytes(std::move(bytes), "the second", session.decode_options());
  const auto outcomes = run_all(session, {{request, {}}}, {});
  ASSERT_TRUE(outcomes.at(0).error);
  try {
    std::rethrow_exception(outcomes.at(0).thrown);
  } catch (const PictureError& error) {
    EXPECT_EQ(error.picture(), 1U);
    return;
  } catch (...) {
  }
  FAIL() << "not the picture's error";
}

}  // namespace
}  // namespace lithe::session
