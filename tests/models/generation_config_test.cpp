#include "models/generation_config.h"

#include <gtest/gtest.h>

#include "checkpoints/read/generation_file.h"
#include "models/support.h"

namespace lithe::models {
namespace {

GenerationDefaults read(const TempFolder& folder, const std::string& json) {
  write_text(folder.path / "generation_config.json", json);
  return read_generation(folder.path, {2});
}

TEST(GenerationConfig, SaysWhatIsNotObeyed) {
  const TempFolder folder;
  const GenerationDefaults defaults =
      read(folder, R"({"num_beams": 4, "penalty_alpha": 0.6, "max_time": 3.5, "chat_format": "raw\u001b[2J",
                       "watermarking_config": {"bias": 2}, "do_sample": true, "typical_p": 0.9, "num_return_sequences": 2})");
  EXPECT_EQ(
      defaults.not_obeyed,
      (std::vector<std::string>{"num_beams 4", "penalty_alpha 0.6", "max_time 3.5", "chat_format \"raw\\u001b[2J\"",
                                "watermarking_config {\"bias\":2}", "typical_p 0.9", "num_return_sequences 2"}));
  const auto note = not_obeyed_note(folder.path, defaults);
  ASSERT_TRUE(note);
  EXPECT_NE(note->find("generation_config.json: not obeyed"), std::string::npos);
  EXPECT_NE(note->find("num_beams 4, penalty_alpha 0.6"), std::string::npos);
}

TEST(GenerationConfig, IsSilentOnWhatChangesNothing) {
  const TempFolder folder;
  const GenerationDefaults defaults =
      read(folder, R"({"_from_model_config": true, "transformers_version": "5.0", "num_beams": 1, "length_penalty": 2.0,
                  "early_stopping": false, "diversity_penalty": 0.0, "guidance_scale": null, "typical_p": 0.5,
                  "use_cache": true, "output_scores": true, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": [2],
                  "remove_invalid_values": false, "temperature": 0.7, "bad_words_ids": [[2]], "forced_eos_token_id": null})");
  EXPECT_TRUE(defaults.not_obeyed.empty());
  EXPECT_FALSE(not_obeyed_note(folder.path, defaults));
  EXPECT_FALSE(defaults.sample);
  EXPECT_FALSE(defaults.rules.any());  // EOS cannot be a bad word
}

TEST(GenerationConfig, ReadsLimitsAndStops) {
  const TempFolder folder;
  const GenerationDefaults defaults = read(folder, R"({"max_length": 30, "stop_strings": ["END", "\n\n"]})");
  EXPECT_EQ(defaults.max_length, 30);
  EXPECT_FALSE(read(folder, R"({"max_length": 20})").max_length);
  EXPECT_EQ(defaults.stop_strings, (std::vector<std::string>{"END", "\n\n"}));
  EXPECT_EQ(read(folder, R"({"stop_strings": "END"})").stop_strings, std::vector<std::string>{"END"});
}

TEST(GenerationConfig, RefusesWhatIsNoneOfItsKind) {
  const TempFolder folder;
  for (const char* json : {R"({"suppress_tokens": "x"})",
                           R"({"suppress_tokens": [1.5]})",
                           R"({"begin_suppress_tokens": [-1]})",
                           R"({"bad_words_ids": 3})",
                           R"({"bad_words_ids": [3]})",
                           R"({"bad_words_ids": [["x"]]})",
                           R"({"sequence_bias": {"1": 2}})",
                           R"({"sequence_bias": [[[1]]]})",
                           R"({"sequence_bias": [[[1], "x"]]})",
                           R"({"min_new_tokens": -1})",
                           R"({"min_length": 1e30})",
                           R"({"no_repeat_ngram_size": "2"})",
                           R"({"forced_bos_token_id": "x"})",
                           R"({"forced_eos_token_id": [[]]})",
                           R"({"exponential_decay_length_penalty": 5})",
                           R"({"exponential_decay_length_penalty": ["a", 1]})",
                           R"({"exponential_decay_length_penalty": [-1, 1]})",
                           R"({"exponential_decay_length_penalty": [1, 1e300]})",
                           R"({"sequence_bias": [[[1], 1e300]]})",
                           R"({"stop_strings": [1]})",
                           R"({"stop_strings": 1})",
                           R"({"max_length": 0})",
                           R"({"do_sample": "yes"})"}) {
    const std::string sentence = refusal([&] { read(folder, json); });
    EXPECT_NE(sentence.find("generation_config.json"), std::string::npos) << json << ": " << sentence;
    EXPECT_LT(sentence.size(), 700u);
  }
}

}  // namespace
}  // namespace lithe::models
