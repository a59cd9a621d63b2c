// Pictures are prepared by threads of their own and go through the tower together; no answer depends on that.
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <c10/core/InferenceMode.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <map>
#include <thread>

#include "image/decode.h"
#include "models/model.h"
#include "plan/parse.h"
#include "session/batch_memory.h"
#include "session/batch_support.h"
#include "session/picture_workers.h"
#include "session/tower_passes.h"

namespace lithe::session {
namespace {

namespace fs = std::filesystem;

const std::vector<const char*> kPictures = {"901.png", "506.png", "100.png", "112.png", "125.png"};

/// Several tiles for each picture.
Session& anyres() {
  return model("../tests/data/golden/hf_llavanext/checkpoint");
}

image::Source picture(const char* name) {
  return image::Source::of_file(kModels / "images" / name, demo().decode_options());
}

Request ask_about(const std::string& question, const std::vector<const char*>& names) {
  Request request{.messages = {text::user_message(question, names.size())}};
  for (const char* name : names) request.images.push_back(picture(name));
  return request;
}

/// A picture whose header is whole and whose data ends early: it fails when it is decoded.
class CutPicture {
 public:
  CutPicture() : file_(fs::temp_directory_path() / concat("lithe_cut_", ::getpid(), ".png")) {
    std::vector<std::byte> bytes = image::read_image_bytes(kPicture);
    bytes.resize(bytes.size() / 2);
    std::ofstream(file_, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  }
  ~CutPicture() { fs::remove(file_); }
  image::Source source() const { return image::Source::of_file(file_, demo().decode_options()); }

 private:
  fs::path file_;
};

TEST(PictureWorkers, PrepareWhatTheModelPrepares) {
  const models::Vision& vision = anyres().model().seeing();
  PictureWorkers workers(anyres().model(), 2);
  std::vector<ComingPicture> coming;
  for (const char* name : kPictures) coming.push_back(workers.begin(picture(name), 1));
  for (size_t i = 0; i < kPictures.size(); ++i) {
    const models::PreparedImage expected = vision.prepare(*picture(kPictures[i]).decode(), 1), made = *coming[i].take();
    EXPECT_GT(made.pixels.tiles, 1);
    EXPECT_EQ(made.pixels.values, expected.pixels.values);
    EXPECT_EQ(made.views.tiles, expected.views.tiles);
    EXPECT_EQ(made.views.canvas, expected.views.canvas);
  }
}

TEST(PictureWorkers, WhatAPictureIsRefusedForComesWithIt) {
  const CutPicture cut;
  PictureWorkers workers(demo().model(), 1);
  ComingPicture bad = workers.begin(cut.source(), 1), good = workers.begin(picture("901.png"), 1);
  try {
    bad.take();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.fault(), Fault::bad_file);
  }
  EXPECT_FALSE(good.take()->pixels.values.empty());
}

TEST(PictureWorkers, PicturesThatNobodyTakesAreGivenUp) {
  PictureWorkers workers(demo().model(), 2);
  for (int i = 0; i < 100; ++i) workers.begin(picture("901.png"), 1);
  std::vector<ComingPicture> left;
  for (int i = 0; i < 10; ++i) left.push_back(workers.begin(picture("901.png"), 1));
  left.erase(left.begin(), left.begin() + 5);
  EXPECT_LE(left.front().bytes(), workers.bytes_of(picture("901.png"), 1));
  EXPECT_FALSE(left.back().take()->pixels.values.empty());
}

/// A request whose pictures go through the tower.
PicturesInTower in_tower(const Session& session, const plan::Plan& plan, int64_t pictures,
                         const AnswerOptions& options = {}) {
  return {.plan = &plan,
          .watch = Watch(options),
          .length = PromptLength(session.model(), std::vector<int64_t>(static_cast<size_t>(pictures), text::kImageId)),
          .pictures = pictures,
          .rows = std::vector<models::ImageRows>(static_cast<size_t>(pictures))};
}

ComingPicture::Made prepared(PreparedPicture picture) {
  return std::make_shared<const PreparedPicture>(std::move(picture));
}

/// Layer 1 of the tower, and what is said of it.
plan::Plan tower_plan(const Session& session, const std::string& rest) {
  const std::string text = R"({"layers": [{"site": {"stream": "vision_tower", "layer": 1}, )" + rest + "}]}";
  return plan::parse_plan(parse_json(text, "test"), "test", session.facts());
}

TEST(TowerPasses, EveryPictureGivesTheRowsThatItGivesAloneUnderItsPlan) {
  const c10::InferenceMode no_gradients;
  for (const Session* session : {&demo(), &anyres()}) {
    const models::Vision& vision = session->model().seeing();
    const std::vector<plan::Plan> plans = {session->plan(), tower_plan(*session, R"("attention": "off")"),
                                           plan::Plan{}};
    for (const int64_t most_tiles : {1, 3, 100}) {
      std::deque<PicturesInTower> requests;
      for (const plan::Plan& plan : plans) requests.push_back(in_tower(*session, plan, 2));
      PictureCache cache(0);
      TowerPasses passes(session->model(), most_tiles, cache);
      for (size_t i = 0; i < requests.size(); ++i) {
        for (const size_t item : {i, i + 1})
          passes.add(requests[i], prepared({vision.prepare(*picture(kPictures[item]).decode(), 2)}));
      }
      passes.run();
      for (size_t i = 0; i < requests.size(); ++i) {
        ASSERT_FALSE(requests[i].failure);
        ASSERT_EQ(requests[i].rows.size(), 2U);
        for (const size_t item : {0, 1}) {
          const models::ImageRows alone =
              vision.encode(vision.prepare(*picture(kPictures[i + item]).decode(), 2), &plans[i]);
          EXPECT_EQ(requests[i].rows[item].kinds, alone.kinds);
          EXPECT_TRUE(at::allclose(requests[i].rows[item].rows, alone.rows, 1e-5, 1e-5)) << i << " " << most_tiles;
        }
      }
      EXPECT_FALSE(at::allclose(requests[0].rows[1].rows, requests[1].rows[0].rows, 1e-5, 1e-5));  // one picture
    }
  }
}

struct Mine {};  // not a std::exception

TEST(TowerPasses, ARequestEndsAlone) {
  const c10::InferenceMode no_gradients;
  const models::Vision& vision = demo().model().seeing();
  const plan::Plan drops = tower_plan(demo(), R"("rules": [{"group": "vision", "keep_count": 3, "by": "uniform",
                                                     "others_return": false}])");
  std::stop_source source;
  AnswerOptions throws, cancels;
  throws.on_progress = [](const Progress&) { throw Mine(); };
  cancels.cancel = source.get_token();
  cancels.on_progress = [&](const Progress& progress) {
    if (progress.done == 2) source.request_stop();
  };
  std::deque<PicturesInTower> requests;
  requests.push_back(in_tower(demo(), demo().plan(), 1));
  requests.push_back(in_tower(demo(), drops, 1));
  requests.push_back(in_tower(demo(), demo().plan(), 1, throws));
  requests.push_back(in_tower(demo(), demo().plan(), 1, cancels));
  requests.push_back(in_tower(demo(), demo().plan(), 1));
  PictureCache cache(0);
  TowerPasses passes(demo().model(), 8, cache);
  for (PicturesInTower& request : requests)
    passes.add(request, prepared({vision.prepare(*picture("901.png").decode())}));
  passes.run();
  const models::ImageRows alone = vision.encode(vision.prepare(*picture("901.png").decode()), &demo().plan());
  for (const size_t i : {0, 4}) {
    ASSERT_FALSE(requests[i].failure);
    EXPECT_TRUE(at::allclose(requests[i].rows.at(0).rows, alone.rows, 1e-5, 1e-5));
  }
  EXPECT_THROW(std::rethrow_exception(requests[1].failure), Error);
  for (const size_t i : {2, 3}) {
    try {
      std::rethrow_exception(requests[i].failure);
    } catch (const Cancelled& end) {
      EXPECT_EQ(end.thrown != nullptr, i == 2);
    }
  }
}

// The picture of a request that ends runs on for another that waits for it.
TEST(TowerPasses, AnEqualPictureRunsOnceForAllWhoWantIt) {
  const c10::InferenceMode no_gradients;
  const models::Vision& vision = demo().model().seeing();
  const models::ImageRows alone = vision.encode(vision.prepare(*picture("901.png").decode()), &demo().plan());
  std::stop_source source;
  int64_t layers = 0;
  AnswerOptions cancels, counts;
  cancels.cancel = source.get_token();
  cancels.on_progress = [&](const Progress&) { source.request_stop(); };
  counts.on_progress = [&](const Progress&) { ++layers; };
  for (const int64_t bytes : {int64_t{0}, int64_t{1} << 30}) {
    std::deque<PicturesInTower> requests;
    requests.push_back(in_tower(demo(), demo().plan(), 1, cancels));
    requests.push_back(in_tower(demo(), demo().plan(), 1, counts));
    requests.push_back(in_tower(demo(), demo().plan(), 1));
    PictureCache cache(bytes);
    TowerPasses passes(demo().model(), 8, cache);
    const auto add = [&](PicturesInTower& request) {
      passes.add(request, prepared({vision.prepare(*picture("901.png").decode()), Digest{1}}));
    };
    layers = 0;
    add(requests[0]);
    add(requests[1]);
    passes.run();
    EXPECT_EQ(layers, std::ssize(vision.tower.blocks));
    EXPECT_TRUE(requests[0].failure);
    add(requests[2]);
    passes.run();
    EXPECT_EQ(passes.count().asked, 3);
    EXPECT_EQ(passes.count().found, bytes > 0 ? 2 : 1);
    for (const size_t i : {1, 2}) {
      ASSERT_FALSE(requests[i].failure);
      EXPECT_TRUE(at::allclose(requests[i].rows.at(0).rows, alone.rows, 1e-5, 1e-5));
      EXPECT_EQ(requests[i].rows.at(0).kinds, alone.kinds);
    }
  }
}

TEST(Pictures, APictureThatFailsEndsItsOwnRequestOnly) {
  const CutPicture cut;
  Request bad = ask_about("is there a circle?", {"506.png", "901.png"});
  bad.images[1] = cut.source();
  const AnswerOptions options{.max_new_tokens = 4, .ignore_eos = true};
  const Request good = ask_about("is there a circle?", {"901.png"});
  BatchRun batch(demo());
  for (const int64_t ticket : {0, 1, 2}) batch.submit(ticket, ticket == 1 ? bad : good, options);
  std::vector<int64_t> order;
  const auto outcomes = finish(batch, &order);
  EXPECT_EQ(order, (std::vector<int64_t>{1, 0, 2}));
  ASSERT_TRUE(outcomes.at(1).error);
  EXPECT_EQ(outcomes.at(1).error->fault(), Fault::bad_file);
  for (const int64_t ticket : {0, 2}) EXPECT_EQ(outcomes.at(ticket).answer.tokens, demo().answer(good, options).tokens);
  EXPECT_THROW(demo().answer(bad, options), Error);
}

// What is refused is told in the order in which it came, whether the prompt or a picture is at fault.
TEST(Pictures, RefusalsKeepTheirOrder) {
  const CutPicture cut;
  Request no_picture = ask_about("is there a circle?", {"901.png"}), bad = no_picture;
  no_picture.images.clear();
  bad.images[0] = cut.source();
  BatchRun batch(demo());
  for (int64_t ticket = 0; ticket < 6; ++ticket) batch.submit(ticket, ticket % 2 == 0 ? bad : no_picture);
  std::vector<int64_t> order;
  finish(batch, &order);
  EXPECT_EQ(order, (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
}

// As many pictures are prepared ahead as fit; with little memory they are given up and prepared again.
TEST(Pictures, AnswersDoNotDependOnHowMuchIsPreparedAhead) {
  std::vector<Request> requests;
  for (size_t i = 0; i < 12; ++i) {
    requests.push_back(ask_about("what shape is in the image?", {kPictures[i % 5], kPictures[(i + 1) % 5]}));
    // A large picture, as a file: it takes far more memory while it is decoded than as tiles.
    if (i % 4 == 1) requests.back().images[0] = image::Source(image::Image(1200, 900, 200, 30, 40));
  }
  const AnswerOptions options{.max_new_tokens = 3, .ignore_eos = true};
  const int64_t decode = requests[0].images[0].header().decoding_bytes;
  const int64_t least = worst_case(demo().model(), {.caches = int64_t{4} << 20, .joining_rows = 200, .sequences = 1});
  for (const int64_t bytes : {least + decode, least + (int64_t{12} << 20), int64_t{1} << 32}) {
    BatchRun batch(demo(), {.sequences = 3, .bytes = bytes});
    for (size_t i = 0; i < requests.size(); ++i) batch.submit(static_cast<int64_t>(i), requests[i], options);
    const auto outcomes = finish(batch);
    EXPECT_LE(batch.state().peak_bytes_admitted, bytes);
    for (size_t i = 0; i < requests.size(); ++i) {
      const Outcome& outcome = outcomes.at(static_cast<int64_t>(i));
      ASSERT_FALSE(outcome.error) << outcome.error->what();
      EXPECT_EQ(outcome.answer.tokens, demo().answer(requests[i], options).tokens) << i;
    }
  }
}

// A thin picture among several is padded to a square, which takes far more than its pixels.
TEST(Pictures, TheSquareOfAThinPictureIsCounted) {
  const Session session = Session::open(LITHE_TEST_DATA "/golden/llava_onevision/checkpoint");
  constexpr int64_t kSide = 4096, kSquare = 3 * kSide * kSide;
  const AnswerOptions options{.max_new_tokens = 2, .ignore_eos = true};
  for (const size_t count : {1, 2}) {
    Request request{.messages = {text::user_message("What?", count)}};
    for (size_t i = 0; i < count; ++i) request.images.emplace_back(image::Image(1, kSide, 200, 30, 40));
    EXPECT_EQ(preparing_bytes(session.model(), request.images[0], static_cast<int64_t>(count)) > kSquare, count > 1);
    BatchRun little(session, {.bytes = kSquare});
    little.submit(0, request, options);
    const std::optional<Error> error = finish(little).at(0).error;
    EXPECT_EQ(error.has_value(), count > 1);
    if (error) {
      EXPECT_EQ(error->fault(), Fault::no_memory);
    }
    BatchRun enough(session, {.bytes = 2 * kSquare});
    for (const int64_t ticket : {0, 1, 2}) enough.submit(ticket, request, options);
    for (const auto& [ticket, outcome] : finish(enough))
      EXPECT_EQ(outcome.answer.tokens, session.answer(request, options).tokens) << ticket;
    EXPECT_LE(enough.state().peak_bytes_admitted, 2 * kSquare);
    EXPECT_EQ(enough.state().peak_bytes_admitted > kSquare, count > 1);
  }
}

TEST(Pictures, ATicketIsCancelledFromAnotherThreadAtTheLayerAtHand) {
  const Request request = ask_about("is there a circle?", {"901.png"});
  const AnswerOptions plain{.max_new_tokens = 6, .ignore_eos = true};
  const Answer alone = demo().answer(request, plain);
  for (const auto stage : {Progress::Stage::pictures, Progress::Stage::prefill, Progress::Stage::decode}) {
    BatchRun batch(demo(), {.sequences = 3});
    Progress last;
    AnswerOptions watched = plain;
    watched.on_progress = [&](const Progress& progress) {
      last = progress;
      if (progress.stage == stage && progress.done == 2) std::thread([&] { batch.cancel(1); }).join();
    };
    for (const int64_t ticket : {0, 1, 2, 3}) batch.submit(ticket, request, ticket == 1 ? watched : plain);
    const auto outcomes = finish(batch);
    ASSERT_EQ(outcomes.size(), 4U);
    EXPECT_EQ(outcomes.at(1).answer.stop, StopReason::cancelled);
    EXPECT_FALSE(outcomes.at(1).error);
    EXPECT_EQ(last.stage, stage);
    EXPECT_EQ(last.done, 2);
    for (const int64_t ticket : {0, 2, 3}) EXPECT_EQ(outcomes.at(ticket).answer.tokens, alone.tokens);
  }
}

TEST(Pictures, AnyThreadMayCancelAnyTicketAtAnyTime) {
  const Request request = ask_about("is there a circle?", {"901.png"});
  const AnswerOptions options{.max_new_tokens = 5, .ignore_eos = true};
  const Answer alone = demo().answer(request, options);
  BatchRun batch(demo(), {.sequences = 4});
  constexpr int64_t kRequests = 24;
  std::stop_source every_third;
  for (int64_t ticket = 0; ticket < kRequests; ++ticket) {
    AnswerOptions how = options;
    if (ticket % 3 == 0) how.cancel = every_third.get_token();
    batch.submit(ticket, request, how);
  }
  std::map<int64_t, Outcome> outcomes;
  {
    const std::jthread odd([&](const std::stop_token& end) {
      for (int64_t ticket = 1; ticket < kRequests && !end.stop_requested(); ticket += 2) batch.cancel(ticket);
      every_third.request_stop();
    });
    outcomes = finish(batch);
  }
  ASSERT_EQ(outcomes.size(), static_cast<size_t>(kRequests));
  for (const auto& [ticket, outcome] : outcomes) {
    ASSERT_FALSE(outcome.error) << outcome.error->what();
    const bool may_end_early = ticket % 2 == 1 || ticket % 3 == 0;
    if (outcome.answer.stop == StopReason::cancelled)
      EXPECT_TRUE(may_end_early) << ticket;
    else
      EXPECT_EQ(outcome.answer.tokens, alone.tokens) << ticket;
  }
}

}  // namespace
}  // namespace lithe::session
