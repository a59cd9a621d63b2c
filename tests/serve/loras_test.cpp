#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>

#include "base/error.h"
#include "models/shipped_lora.h"
#include "serve/support.h"
#include "session/loras.h"
#include "temporary_folder.h"

// LoRA that requests choose by name.
namespace lithe::serve {
namespace {

namespace fs = std::filesystem;
using lithe::test::lora_of_all_parts;
using lithe::test::lora_of_decoder;
using lithe::test::PeftFolder;
using lithe::test::TemporaryFolder;

constexpr const char* kLoad = "/v1/load_lora_adapter";
constexpr const char* kUnload = "/v1/unload_lora_adapter";

class Loras : public ::testing::Test {
 protected:
  void SetUp() override {
    lora_of_decoder(1).write(root_ / "a");
    lora_of_all_parts(2).write(root_ / "b");
  }
  /// A server with two LoRA.
  ServerOptions options() const {
    ServerOptions options;
    options.loras = {{"red", (root_ / "a").string()}, {"blue", (root_ / "b").string()}};
    options.lora_root = root_.path();
    return options;
  }
  /// The tokens of the model that is opened with this folder's LoRA.
  std::vector<int64_t> tokens_alone(const std::string& folder, const Shipped& shipped) const {
    const session::Session session = session::Session::open(kModels / "easyvqa-pmod", {.lora = root_ / folder});
    return tokens_of(session, shipped);
  }
  static std::vector<int64_t> tokens_of(const session::Session& session, const Shipped& shipped) {
    session::Request request;
    request.images.push_back(image::read_image(kModels / shipped.image, session.decode_options()));
    request.messages.push_back(text::user_message(shipped.question, 1));
    return session.answer(request, {.max_new_tokens = 12, .ignore_eos = true}).tokens;
  }
  static Json body_for(const std::string& model, const Shipped& shipped) {
    Json body = chat_body(shipped);
    body.update({{"model", model}, {"max_tokens", 12}, {"ignore_eos", true}});
    return body;
  }
  static std::vector<int64_t> ids(const Json& reply) {
    return reply.at("choices").at(0).at("token_ids").get<std::vector<int64_t>>();
  }

  const TemporaryFolder root_;
  const Shipped shipped_ = shipped_questions(1).front();
};

TEST_F(Loras, ModelsNamesThem) {
  const Running running(options());
  std::map<std::string, Json> parents;
  const Json list = get(running.port(), "/v1/models").json();
  for (const Json& model : list.at("data")) {
    parents[model.at("id")] = model.at("parent");
    EXPECT_EQ(model.at("object"), "model");
  }
  EXPECT_EQ(parents, (std::map<std::string, Json>{{"demo", nullptr}, {"red", "demo"}, {"blue", "demo"}}));
}

TEST_F(Loras, ModelChoosesOneAndAllShareABatch) {
  const Running running(options());
  const std::map<std::string, std::vector<int64_t>> expected{{"demo", tokens_of(demo(), shipped_)},
                                                             {"red", tokens_alone("a", shipped_)},
                                                             {"blue", tokens_alone("b", shipped_)}};
  EXPECT_NE(expected.at("demo"), expected.at("red"));
  EXPECT_NE(expected.at("demo"), expected.at("blue"));
  for (int round = 0; round < 2; ++round) {  // the second finds the first's keys and values
    std::vector<std::pair<std::string, std::future<Reply>>> replies;
    for (const std::string model : {"blue", "demo", "red", "demo", "blue", "red"}) {
      replies.emplace_back(model, std::async(std::launch::async, [&, model] {
                             return post(running.port(), kChat, body_for(model, shipped_));
                           }));
    }
    for (auto& [model, coming] : replies) {
      const Reply reply = coming.get();
      ASSERT_EQ(reply.status, 200) << reply.body;
      EXPECT_EQ(reply.json().at("model"), model);
      EXPECT_EQ(ids(reply.json()), expected.at(model)) << model;
    }
  }
  EXPECT_GT(running.metric("vllm:prefix_cache_hits_total"), 0);
}

TEST_F(Loras, EachFillsACacheOfItsOwn) {
  const Running running(options());
  for (const char* model : {"demo", "red", "blue"}) {
    const Json first = post(running.port(), kChat, body_for(model, shipped_)).json();
    const Json again = post(running.port(), kChat, body_for(model, shipped_)).json();
    EXPECT_EQ(first.at("usage").at("prompt_tokens_details").at("cached_tokens"), 0) << model;
    EXPECT_GT(again.at("usage").at("prompt_tokens_details").at("cached_tokens"), 0) << model;
    EXPECT_EQ(ids(first), ids(again)) << model;
  }
  EXPECT_EQ(running.metric("vllm:mm_cache_hits_total"), 4);  // `red` leaves pictures as they are
}

TEST_F(Loras, EveryApiTakesTheName) {
  const Running running(options());
  const Json completion =
      post(running.port(), "/v1/completions", Json{{"model", "red"}, {"prompt", "is there"}, {"max_tokens", 3}}).json();
  EXPECT_EQ(completion.at("model"), "red");
  const Json response = post(running.port(), "/v1/responses",
                             Json{{"model", "blue"}, {"input", "is there a circle?"}, {"max_output_tokens", 3}})
                            .json();
  EXPECT_EQ(response.at("model"), "blue");
  Json body = body_for("red", shipped_);
  body["stream"] = true;
  const Stream stream = stream_of(post(running.port(), kChat, body).body);
  EXPECT_EQ(stream.events.front().at("model"), "red");
}

TEST_F(Loras, AnUnknownNameIsNotFound) {
  const Running running(options());
  const Reply reply = post(running.port(), kChat, body_for("green", shipped_));
  EXPECT_EQ(reply.status, 404);
  EXPECT_EQ(reply.code(), "model_not_found");
  EXPECT_EQ(reply.json().at("error").at("param"), "model");
}

Json naming(const std::string& name, const std::string& path) {
  return {{"lora_name", name}, {"lora_path", path}};
}

TEST_F(Loras, ComeAndGoWhileTheServerRuns) {
  ServerOptions options;
  options.lora_root = root_.path();
  const Running running(options);
  EXPECT_EQ(post(running.port(), kChat, body_for("mine", shipped_)).status, 404);
  const Reply loaded = post(running.port(), kLoad, naming("mine", (root_ / "a").string()));
  EXPECT_EQ(loaded.status, 200) << loaded.body;
  EXPECT_EQ(loaded.body, "Success: LoRA adapter 'mine' added successfully.");
  EXPECT_EQ(ids(post(running.port(), kChat, body_for("mine", shipped_)).json()), tokens_alone("a", shipped_));

  const Reply again = post(running.port(), kLoad, naming("mine", "b"));
  EXPECT_EQ(again.status, 400);
  EXPECT_NE(again.message().find("is loaded already"), std::string::npos) << again.message();
  EXPECT_EQ(ids(post(running.port(), kChat, body_for("mine", shipped_)).json()), tokens_alone("a", shipped_));
  Json in_place = naming("mine", "b");
  in_place["load_inplace"] = true;
  EXPECT_EQ(post(running.port(), kLoad, in_place).status, 200);
  const Json other = post(running.port(), kChat, body_for("mine", shipped_)).json();
  EXPECT_EQ(ids(other), tokens_alone("b", shipped_));
  EXPECT_EQ(other.at("usage").at("prompt_tokens_details").at("cached_tokens"), 0);

  const Reply gone = post(running.port(), kUnload, Json{{"lora_name", "mine"}});
  EXPECT_EQ(gone.status, 200) << gone.body;
  EXPECT_EQ(gone.body, "Success: LoRA adapter 'mine' removed successfully.");
  EXPECT_EQ(post(running.port(), kChat, body_for("mine", shipped_)).status, 404);
  const Reply twice = post(running.port(), kUnload, Json{{"lora_name", "mine"}});
  EXPECT_EQ(twice.status, 404);
  EXPECT_EQ(twice.code(), "lora_not_found");
  EXPECT_EQ(get(running.port(), "/v1/models").json().at("data").size(), 1U);
}

// Whoever has begun an answer gets it whole, and the reply says when nobody is left.
TEST_F(Loras, UnloadingWaitsForAnswersThatRun) {
  const Running running(options());
  Json body = long_body();
  body.update({{"model", "red"}, {"max_tokens", 1000}});
  Client client(running.port());
  client.send(request_text("POST", kChat, body.dump()));
  const std::string begun = client.read_until("\"delta\":{\"content\"");
  ASSERT_NE(begun, "");
  auto unloading = std::async(std::launch::async, [&] {
    return post(running.port(), kUnload, Json{{"lora_name", "red"}});
  });
  while (post(running.port(), kChat, body_for("red", shipped_)).status == 200) {
  }
  EXPECT_EQ(unloading.wait_for(std::chrono::milliseconds(0)), std::future_status::timeout);
  EXPECT_NE(get(running.port(), "/metrics").body.find("running_lora_adapters=\"red\""), std::string::npos);
  const std::string rest = client.read_until("[DONE]");
  EXPECT_NE(rest.find("\"finish_reason\":\"length\""), std::string::npos);
  EXPECT_EQ(unloading.get().status, 200);
  EXPECT_EQ(ids(post(running.port(), kChat, body_for("blue", shipped_)).json()), tokens_alone("b", shipped_));
}

TEST_F(Loras, MetricsNameThoseOfRequests) {
  const Running running(options());
  const std::string idle = get(running.port(), "/metrics").body;
  EXPECT_NE(idle.find("max_lora=\"16\",running_lora_adapters=\"\",waiting_lora_adapters=\"\"}"), std::string::npos)
      << idle;
  EXPECT_GT(running.metric("vllm:lora_requests_info"), 1e9);
  const Running without;
  EXPECT_EQ(get(without.port(), "/metrics").body.find("lora"), std::string::npos);
}

TEST_F(Loras, WithoutARootNobodyChangesThem) {
  const Running running;
  for (const char* path : {kLoad, kUnload}) {
    const Reply reply = post(running.port(), path, naming("mine", (root_ / "a").string()));
    EXPECT_EQ(reply.status, 403) << reply.body;
    EXPECT_EQ(reply.code(), "lora_changes_off");
  }
}

TEST_F(Loras, OnlyFoldersBelowTheRootAreRead) {
  const TemporaryFolder outside;
  lora_of_decoder(3).write(outside / "secret");
  fs::create_directories(root_ / "open");
  fs::create_directory_symlink(outside / "secret", root_ / "open" / "link");
  fs::copy(root_ / "a", root_ / "mixed");
  fs::remove(root_ / "mixed" / "adapter_model.safetensors");
  fs::create_symlink(outside / "secret" / "adapter_model.safetensors", root_ / "mixed" / "adapter_model.safetensors");
  fs::create_directory_symlink(root_ / "a", root_ / "inside");
  ServerOptions options;
  options.lora_root = root_.path();
  const Running running(options);
  const std::string sentence = "lora_path does not name a folder that lies below --lora-root with all its files.";
  for (const std::string& path :
       {(outside / "secret").string(), std::string("open/link"), std::string("mixed"), std::string("../"),
        "a/../../" + outside.path().filename().string() + "/secret", std::string("nowhere"), std::string("/etc"),
        std::string(), std::string("a/adapter_config.json"), std::string("a\0b", 3)}) {
    const Reply reply = post(running.port(), kLoad, naming("mine", path));
    EXPECT_EQ(reply.status, 400) << path;
    if (path.empty()) continue;  // a field without text is refused before
    EXPECT_EQ(reply.message(), sentence) << path;
  }
  EXPECT_EQ(post(running.port(), kLoad, naming("mine", "inside")).status, 200);
}

TEST_F(Loras, DamagedFoldersAndWrongFieldsAreRefusedAndNothingIsLost) {
  ServerOptions options = this->options();
  options.max_loras = 3;
  const Running running(options);
  const std::vector<int64_t> expected = tokens_alone("a", shipped_);
  fs::copy(root_ / "a", root_ / "cut");
  fs::resize_file(root_ / "cut" / "adapter_model.safetensors", 1000);
  fs::copy(root_ / "a", root_ / "dora");
  PeftFolder dora(4, 8, 1);
  dora.config["use_dora"] = true;
  std::ofstream(root_ / "dora" / "adapter_config.json") << dora.config.dump();
  fs::create_directories(root_ / "empty");
  for (const std::string path : {"cut", "dora", "empty"}) {
    const Reply reply = post(running.port(), kLoad, naming("mine", path));
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_EQ(reply.json().at("error").at("param"), "lora_path");
    EXPECT_NE(reply.message().find(path), std::string::npos) << reply.message();
  }
  PeftFolder whole = lora_of_decoder(1);
  whole.put("base_model.model.model.mm_projector.0.weight", {160, 128}, 0.1);
  whole.write(root_ / "whole");
  const Reply shared = post(running.port(), kLoad, naming("mine", "whole"));
  EXPECT_EQ(shared.status, 400);
  EXPECT_NE(shared.message().find("lithe fold MODEL --lora DIR"), std::string::npos) << shared.message();
  const Json bad[] = {naming("", "a"),
                      naming("demo", "a"),
                      naming("a,b", "a"),
                      naming("a\nb", "a"),
                      naming(std::string(300, 'x'), "a"),
                      Json{{"lora_name", "mine"}},
                      Json{{"lora_path", "a"}},
                      Json{{"lora_name", 7}, {"lora_path", "a"}},
                      Json::array()};
  for (const Json& body : bad) {
    const Reply reply = post(running.port(), kLoad, body);
    EXPECT_EQ(reply.status, 400) << body << reply.body;
    EXPECT_NE(reply.message(), "") << body;
  }
  EXPECT_EQ(post(running.port(), kLoad, naming("third", "a")).status, 200);
  const Reply full = post(running.port(), kLoad, naming("fourth", "a"));
  EXPECT_EQ(full.status, 400);
  EXPECT_NE(full.message().find("--max-loras"), std::string::npos) << full.message();
  EXPECT_EQ(ids(post(running.port(), kChat, body_for("red", shipped_)).json()), expected);
  EXPECT_EQ(ids(post(running.port(), kChat, body_for("third", shipped_)).json()), expected);
}

TEST_F(Loras, ChangesNeedTheKey) {
  ServerOptions options = this->options();
  options.api_keys = {"secret"};
  const Running running(options);
  EXPECT_EQ(post(running.port(), kLoad, naming("mine", "a")).status, 401);
  EXPECT_EQ(post(running.port(), kUnload, naming("red", "a")).status, 401);
}

TEST_F(Loras, TheServerDoesNotStartWithBadOnes) {
  const auto refusal = [](const ServerOptions& options) -> std::string {
    try {
      const Running running(options);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  ServerOptions twice = options();
  twice.loras[1].name = "red";
  EXPECT_NE(refusal(twice).find("stands for something else already"), std::string::npos);
  ServerOptions nameless = options();
  nameless.loras[0].name = "";
  EXPECT_NE(refusal(nameless).find("write NAME=DIR"), std::string::npos);
  ServerOptions missing = options();
  missing.loras[0].folder = (root_ / "nowhere").string();
  EXPECT_NE(refusal(missing), "");
  ServerOptions many = options();
  many.max_loras = 1;
  EXPECT_NE(refusal(many).find("--max-loras"), std::string::npos);
  ServerOptions rootless = options();
  rootless.lora_root = root_ / "nowhere";
  EXPECT_NE(refusal(rootless).find("--lora-root"), std::string::npos);
}

}  // namespace
}  // namespace lithe::serve
