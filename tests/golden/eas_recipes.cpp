#include <fmt/format.h>
#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "golden/cases.h"
#include "tune/recipe.h"

/// The recipes of recipes/eas beside what was published.
namespace lithe::golden {
namespace {

constexpr double kMost = 1e-12;

/// The numbers of a text: "(0.9,0.95) eps 1e-8" holds 0.9, 0.95 and 1e-8.
std::vector<double> numbers_in(const std::string& text) {
  std::vector<double> numbers;
  for (std::size_t at = 0; at < text.size();) {
    if (std::isdigit(static_cast<unsigned char>(text[at])) == 0) {
      ++at;
      continue;
    }
    char* end = nullptr;
    numbers.push_back(std::strtod(text.c_str() + at, &end));
    at = static_cast<std::size_t>(end - text.c_str());
  }
  return numbers;
}

/// One recipe beside the published numbers.
class Recipe {
 public:
  Recipe(const std::string& name, Check& check)
      : name_(name), recipe_(tune::read_recipe(LITHE_SOURCE_DIR "/recipes/eas/" + name + ".yaml")), check_(check) {}

  const tune::Recipe& operator*() const { return recipe_; }
  const tune::Recipe* operator->() const { return &recipe_; }
  const tune::EasRecipe& eas() const { return *recipe_.eas; }

  void near(const std::string& key, double expected, double actual) const {
    check_.near(name_ + " " + key, expected, actual, kMost);
  }
  void truth(const std::string& key, bool holds) const { check_.integers(name_ + " " + key, {1}, {holds ? 1 : 0}); }
  void skips(std::vector<int64_t> layers) const {
    std::sort(layers.begin(), layers.end());
    check_.integers(name_ + " skip", layers, eas().skip_layers);
  }
  /// What a step takes, over all processes.
  void batch(double samples) const {
    near("batch", samples,
         static_cast<double>(recipe_.per_device_train_batch_size * recipe_.gradient_accumulation_steps));
  }
  void adam(double beta1, double beta2, double epsilon) const {
    near("adam_beta1", beta1, recipe_.adam_beta1);
    near("adam_beta2", beta2, recipe_.adam_beta2);
    near("adam_epsilon", epsilon, recipe_.adam_epsilon);
  }

 private:
  std::string name_;
  tune::Recipe recipe_;
  Check& check_;
};

void check_search(const Recipe& recipe, const Json& search, tune::EasSearchRecipe::Bandit bandit) {
  const tune::EasSearchRecipe& ours = recipe.eas().search;
  recipe.near("skip", search.at("skipped"), static_cast<double>(recipe.eas().skip_count.value_or(0)));
  recipe.near("draws", search.at("draws"), static_cast<double>(ours.draws));
  recipe.near("rate", search.at("lr"), ours.update_rate());
  recipe.truth("bandit", ours.bandit == bandit);
}

void check_lavin(const Json& json, Check& check) {
  const Json& lavin = json.at("LaVIN");
  const Json& eas = json.at("LaVIN-EAS");
  const std::vector<double> lr = numbers_in(lavin.at("lr"));  // blr, 256, the rate, 4, 4, 2, the batch
  for (const char* name : {"lavin", "lavin-eas", "lavin-eas-search"}) {
    const Recipe recipe(name, check);
    const std::vector<double> adam = numbers_in(lavin.at("optimizer"));
    recipe.adam(adam.at(0), adam.at(1), adam.at(2));
    recipe.near("weight_decay", numbers_in(lavin.at("weight_decay")).at(0), recipe->weight_decay);
    recipe.near("learning_rate", lr.at(0) * lr.back() / lr.at(1), recipe->learning_rate);
    recipe.batch(lr.back());
    recipe.near("warmup_ratio", 2.0 / 20, recipe->warmup_ratio);
    recipe.near("num_train_epochs", eas.at("final").at("epochs"), recipe->num_train_epochs);
    recipe.truth("lr_scheduler_type", recipe->lr_scheduler_type == tune::LrSchedule::cosine);
    recipe.near("model_max_length", lavin.at("max_seq_len"), static_cast<double>(recipe->model_max_length.value_or(0)));
    recipe.near("max_grad_norm", 0, recipe->max_grad_norm);
    const Json& adapters = lavin.at("adapters");
    recipe.near("rep_dim", adapters.at("hidden"), static_cast<double>(recipe.eas().rep_dim));
    recipe.near("groups", adapters.at("groups"), static_cast<double>(recipe.eas().groups));
    recipe.near("scale", adapters.at("scale"), recipe.eas().scale);
    recipe.near("temperature", adapters.at("t"), recipe.eas().temperature);
    recipe.near("dropout", adapters.at("dropout"), recipe.eas().dropout);
    recipe.truth("tower", recipe.eas().tower);
  }
  Recipe("lavin", check).skips({});
  const Recipe fixed("lavin-eas", check), search("lavin-eas-search", check);
  fixed.skips(eas.at("final").at("skip_list").get<std::vector<int64_t>>());
  fixed.near("pia_dim", numbers_in(eas.at("pia_hidden")).back(), static_cast<double>(fixed.eas().pia_dim));
  const Json& published = eas.at("search");
  check_search(search, published, tune::EasSearchRecipe::Bandit::softmax);
  search.near("every_steps", published.at("every_steps"), static_cast<double>(search.eas().search.every_steps));
  const double share =
      published.at("warmup_epochs_without_updates").get<double>() / published.at("epochs").get<double>();
  search.near("warmup_steps", std::floor(share * static_cast<double>(search.eas().search.steps.value_or(0))),
              static_cast<double>(search.eas().search.warmup_steps.value_or(0)));
}

struct LlavaRecipe {
  const char* name;
  const char* list;  ///< Of skip_lists; null: it searches.
  const char* set;   ///< Of epochs and warmup_steps.
};

constexpr LlavaRecipe kLlava[] = {
    {"llava-slake", "SLAKE", "SLAKE"},
    {"llava-slake-10", "SLAKE_10", "SLAKE"},
    {"llava-slake-search", nullptr, "SLAKE"},
    {"llava-aid50", "AID", "AID"},
    {"llava-aid50-10", "AID50_10", "AID"},
    {"llava-aid20-10", "AID20_10", "AID"},
    {"llava-aid50-search", nullptr, "AID"},
    {"llava-aid20-search", nullptr, "AID"},
    {"llava-scienceqa", "ScienceQA", "ScienceQA"},
    {"llava-scienceqa-search", nullptr, "ScienceQA"},
};

/// Published steps of the search are micro-batches.
void check_llava_search(const Recipe& recipe, const LlavaRecipe& what, const Json& llava) {
  const Json& published = llava.at("search");
  check_search(recipe, published, tune::EasSearchRecipe::Bandit::sigmoid);
  const tune::EasSearchRecipe& search = recipe.eas().search;
  recipe.truth("ramp", search.ramp);
  recipe.truth("evaluate_on", search.evaluate_on == tune::EasSearchRecipe::EvaluateOn::training_batch);
  const auto micro = static_cast<double>(recipe->gradient_accumulation_steps);
  recipe.near("warmup_steps", published.at("warmup_steps").at(what.set).get<double>() / micro,
              static_cast<double>(search.warmup_steps.value_or(0)));
  recipe.near("every_steps", std::max(1.0, std::round(published.at("every_steps").get<double>() / micro)),
              static_cast<double>(search.every_steps));
  if (std::string(what.set) == "ScienceQA")
    recipe.near("search.learning_rate", numbers_in(llava.at("lr")).at(1),
                search.learning_rate.value_or(recipe->learning_rate));
}

void check_llava(const Json& llava, Check& check) {
  const Json& adapters = llava.at("adapters");
  const std::vector<double> pia = numbers_in(adapters.at("pia_hidden")), adam = numbers_in(llava.at("optimizer")),
                            batch = numbers_in(llava.at("batch"));
  for (const LlavaRecipe& what : kLlava) {
    const Recipe recipe(what.name, check);
    const bool science = std::string(what.set) == "ScienceQA";
    recipe.adam(adam.at(0), adam.at(1), adam.at(2));
    recipe.near("weight_decay", adam.at(3), recipe->weight_decay);
    recipe.near("learning_rate", numbers_in(llava.at("lr")).at(0), recipe->learning_rate);
    recipe.near("warmup_ratio", 0.03, recipe->warmup_ratio);
    recipe.truth("lr_scheduler_type", recipe->lr_scheduler_type == tune::LrSchedule::cosine);
    recipe.batch(science ? batch.back() : batch.at(3));
    recipe.truth("bf16", recipe->bf16 && recipe->gradient_checkpointing);
    recipe.near("num_train_epochs", llava.at("epochs").at(what.set), recipe->num_train_epochs);
    recipe.near("rep_dim", adapters.at("rep_hidden"), static_cast<double>(recipe.eas().rep_dim));
    recipe.near("pia_dim", pia.at(science ? 1 : 0), static_cast<double>(recipe.eas().pia_dim));
    recipe.near("groups", adapters.at("groups"), static_cast<double>(recipe.eas().groups));
    recipe.near("scale", adapters.at("scale"), recipe.eas().scale);
    recipe.near("temperature", adapters.at("t"), recipe.eas().temperature);
    recipe.near("dropout", adapters.at("dropout"), recipe.eas().dropout);
    if (what.list != nullptr)
      recipe.skips(llava.at("skip_lists").at(what.list).get<std::vector<int64_t>>());
    else
      check_llava_search(recipe, what, llava);
  }
}

struct MeterRecipe {
  const char* name;
  const char* task;  ///< Of lr, lr_mult_head, batch.
  const char* list;  ///< Of skip_lists; null: it searches.
};

constexpr MeterRecipe kMeter[] = {
    {"meter-eas-vqav2", "vqa", "VQA_10"},
    {"meter-eas-vqav2-8", "vqa", "VQA_8"},
    {"meter-eas-nlvr2", "nlvr2", "NLVR2_10"},
    {"meter-eas-nlvr2-8", "nlvr2", "NLVR2_8"},
    {"meter-eas-flickr30k", "irtr", "F30k_10"},
    {"meter-eas-flickr30k-8", "irtr", "F30k_8"},
    {"meter-eas-vqav2-search", "vqa", nullptr},
    {"meter-eas-nlvr2-search", "nlvr2", nullptr},
    {"meter-eas-flickr30k-search", "irtr", nullptr},
};

/// What every recipe of METER has. `lr`: of the table of rates.
void check_meter_training(const Recipe& recipe, const Json& meter, const std::string& task, double lr) {
  const std::vector<double> adam = numbers_in(meter.at("optimizer"));
  recipe.adam(adam.at(0), adam.at(1), adam.at(2));
  recipe.near("weight_decay", adam.at(3), recipe->weight_decay);
  recipe.near("learning_rate", lr, recipe->learning_rate);
  recipe.near("cross_modal_lr", lr * meter.at("lr_mult_cross_modal").get<double>(), recipe->cross_modal_lr.value_or(0));
  // The score of irtr is not among the published heads.
  if (task != "irtr")
    recipe.near("head_lr", lr * meter.at("lr_mult_head").at(task).get<double>(), recipe->head_lr.value_or(0));
  recipe.batch(meter.at("batch").at(task));
  recipe.near("num_train_epochs", 10, recipe->num_train_epochs);
  recipe.near("warmup_ratio", 0.1, recipe->warmup_ratio);
  recipe.truth("lr_scheduler_type", recipe->lr_scheduler_type == tune::LrSchedule::linear);
  recipe.truth("head", recipe->head == task);
}

/// The published code turns off the self-attention n - 6 of the image for the numbers n from 18 on.
std::vector<int64_t> right_numbers(std::vector<int64_t> published) {
  for (int64_t& number : published) number -= number >= 18 ? 6 : 0;
  std::sort(published.begin(), published.end());
  published.erase(std::unique(published.begin(), published.end()), published.end());
  return published;
}

void check_meter(const Json& json, Check& check) {
  const Json& meter = json.at("METER");
  const Json& eas = json.at("METER-EAS");
  for (const auto& [name, task] : std::map<std::string, std::string>{
           {"meter-vqav2", "vqa"}, {"meter-nlvr2", "nlvr2"}, {"meter-flickr30k", "irtr"}, {"meter-snli-ve", "snli"}})
    check_meter_training(Recipe(name, check), meter, task, meter.at("lr").at(task));
  for (const MeterRecipe& what : kMeter) {
    const Recipe recipe(what.name, check);
    check_meter_training(recipe, meter, what.task, eas.at("lr").at(what.task));
    const Json& adapters = eas.at("adapters");
    recipe.near("rep_dim", adapters.at("rep_hidden"), static_cast<double>(recipe.eas().rep_dim));
    recipe.near("pia_dim", adapters.at("pia_hidden"), static_cast<double>(recipe.eas().pia_dim));
    recipe.near("groups", adapters.at("groups"), static_cast<double>(recipe.eas().groups));
    recipe.near("scale", adapters.at("scale"), recipe.eas().scale);
    recipe.near("dropout", adapters.at("dropout"), recipe.eas().dropout);
    if (what.list != nullptr) {
      recipe.skips(right_numbers(eas.at("skip_lists").at(what.list).get<std::vector<int64_t>>()));
      continue;
    }
    check_search(recipe, eas.at("search"), tune::EasSearchRecipe::Bandit::sigmoid);
    recipe.near("every_steps", eas.at("search").at("every_steps"),
                static_cast<double>(recipe.eas().search.every_steps));
    recipe.truth("evaluate_on", recipe.eas().search.evaluate_on == tune::EasSearchRecipe::EvaluateOn::first_batch);
  }
}

}  // namespace

Check run_eas_recipes(const Json& json) {
  Check check;
  check_lavin(json, check);
  check_llava(json.at("LLaVA-EAS"), check);
  check_meter(json, check);
  return check;
}

}  // namespace lithe::golden
