#include "tune/meter_ready.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/meter.h"
#include "checkpoints/read/model_folder.h"
#include "plan/meter_sites.h"
#include "plan/validate.h"
#include "tune/name_pattern.h"
#include "tune/pattern_use.h"
#include "tune/token_masker.h"

namespace lithe::tune {
namespace {

using models::MeterTask;
using models::Part;
using models::Role;
using models::WeightName;

/// The head that a task trains.
bool is_head_of(MeterTask task, Part part) {
  switch (task) {
    case MeterTask::vqa:
      return part == Part::vqa;
    case MeterTask::nlvr2:
      return part == Part::nlvr2;
    case MeterTask::snli:
      return part == Part::snli;
    case MeterTask::itm:
      return part == Part::itm;
    case MeterTask::irtr:
      return part == Part::rank;
    case MeterTask::mlm:
      return part == Part::mlm;
  }
  return false;
}

bool is_head(Part part) {
  return part == Part::vqa || part == Part::nlvr2 || part == Part::snli || part == Part::itm || part == Part::rank ||
         part == Part::mlm;
}

bool learns(const Recipe& recipe, MeterTask task, const WeightName& name) {
  if (is_head(name.part)) return is_head_of(task, name.part);
  if (name.adapter != models::Adapter::none) return true;
  if (recipe.train) return chosen(*recipe.train, models::meter_name(name));
  if (!recipe.eas) return true;
  return name.role == Role::pooler ||
         (name.part == Part::text_stream && (name.role == Role::token_types || name.role == Role::class_embedding));
}

void check(const Recipe& recipe) {
  const auto refuse = [&](bool asked, const char* key) {
    require(!asked, Fault::bad_request, recipe.file.string(), ": METER does not take ", key, "; leave it out");
  };
  refuse(recipe.lora.has_value(), "lora");
  refuse(recipe.p_mod.has_value(), "p_mod");
  refuse(recipe.share_images, "share_images");
  refuse(recipe.group_by_length, "group_by_length");
  refuse(recipe.gradient_checkpointing, "gradient_checkpointing");
  refuse(recipe.bf16, "bf16");
  refuse(!recipe.template_name.empty(), "template");
  refuse(recipe.eas && recipe.eas->tower, "eas.tower");
  refuse(recipe.eas && recipe.eas->temperature != EasRecipe().temperature,
         "eas.temperature, as its adapters have no gate");
  refuse(recipe.mm_projector_lr.has_value(), "mm_projector_lr");
  refuse(recipe.metric_for_best_model == "exact_match", "exact_match as metric_for_best_model");
  require(!recipe.head.empty(), Fault::bad_request, recipe.file.string(),
          ": METER needs the key `head`: vqa, nlvr2, snli, itm, irtr or mlm");
}

/// The answers of a record; absent if it is bad, which is said when its turn comes.
std::optional<std::map<std::string, double>> answers_at(const data::DataSet& set, int64_t i) {
  try {
    return answers_of(set.read_turns(i));
  } catch (const Error&) {
    return std::nullopt;
  }
}

/// The classes that a data set says a head has; empty if none does. Throws Error{bad_request} if two differ.
std::vector<std::string> labels_of(const std::vector<WeightedSet>& sets) {
  std::vector<std::string> labels;
  for (const WeightedSet& set : sets) {
    std::vector<std::string> own = set.records->labels();
    require(
        own.empty() || labels.empty() || own == labels, Fault::bad_request,
        "the sets of data number their answers differently, so that one head cannot learn them; give sets with the ",
        "same answers");
    if (labels.empty()) labels = std::move(own);
  }
  return labels;
}

/// Every answer of the sets, the most frequent first; of equals in the order of the alphabet.
std::vector<std::string> answers_in(const std::vector<WeightedSet>& sets) {
  std::map<std::string, int64_t> counts;
  for (const WeightedSet& set : sets) {
    for (int64_t i = 0; i < set.records->size(); ++i)
      for (const auto& [answer, score] : answers_at(*set.records, i).value_or(std::map<std::string, double>()))
        ++counts[answer];
  }
  std::vector<std::string> answers;
  for (const auto& [answer, count] : counts) answers.push_back(answer);
  std::stable_sort(answers.begin(), answers.end(),
                   [&](const std::string& a, const std::string& b) { return counts[a] > counts[b]; });
  return answers;
}

/// A head that has no names for its classes gets those of the data, if they are as many.
void name_classes(const std::vector<WeightedSet>& sets, ReadyMeter& ready) {
  models::Meter& meter = *ready.meter;
  if (!meter.config.answers.empty()) return;
  std::vector<std::string> labels = labels_of(sets);
  if (std::ssize(labels) != meter.heads.config.vqa) return;
  meter.config.answers = std::move(labels);
  ready.notes.push_back(concat("the ", meter.heads.config.vqa, " classes of the head vqa get the names that data has"));
}

AnswerClasses classes_of(const models::Meter& meter) {
  require(!meter.config.answers.empty(), Fault::bad_file, meter.name,
          ": does not name the answers of its head vqa, and ", "data has no names for its ", meter.heads.config.vqa,
          " classes; give them with `lithe convert --answers` ", "(docs/meter.md)");
  AnswerClasses classes;
  for (size_t i = 0; i < meter.config.answers.size(); ++i)
    classes.emplace(meter.config.answers[i], static_cast<int64_t>(i));
  return classes;
}

/// Throws Error{bad_request} if the head knows no answer of any record. Reads records up to one that it knows.
void require_known(const std::vector<WeightedSet>& sets, const ReadyMeter& ready) {
  int64_t records = 0;
  for (const WeightedSet& set : sets) {
    for (int64_t i = 0; i < set.records->size(); ++i) {
      const std::optional<std::map<std::string, double>> answers = answers_at(*set.records, i);
      if (!answers) continue;
      ++records;
      if (std::any_of(answers->begin(), answers->end(),
                      [&](const auto& answer) { return ready.classes.contains(answer.first); }))
        return;
    }
  }
  require(records == 0, Fault::bad_request, ready.meter->name, ": none of the ", records,
          " records of data has an answer that its head vqa knows; give the data of this head, or a model without one");
}

/// Throws Error{bad_request} for a pattern of `train` that fits no weight, of the head and the adapters too.
void check_patterns(const Recipe& recipe, models::Meter& meter) {
  PatternUse patterns(recipe);
  models::visit(meter, [&](const models::WeightSlot& slot) { patterns.see(models::meter_name(slot.name)); });
  patterns.check(meter.name, "cross_modal_text_layers.0.output.dense.weight");
}

}  // namespace

bool trains_meter(const Recipe& recipe) {
  return models::is_meter(models::model_folder(recipe.model_name_or_path));
}

ReadyMeter ready_meter(const Recipe& recipe, const std::vector<WeightedSet>& sets, const std::vector<int64_t>& skipped,
                       const std::string& device) {
  check(recipe);
  ReadyMeter ready{.meter = nullptr, .task = models::meter_task(recipe.head), .classes = {}, .plan = {}, .notes = {}};
  const auto learns_here = [&](const WeightName& name) { return learns(recipe, ready.task, name); };
  Json changes = Json::object();
  if (recipe.pia_mean == PiaMean::published) changes["pia_mean"] = "published";
  if (recipe.model_max_length) changes["max_text_len"] = *recipe.model_max_length;
  ready.meter = models::open_meter(models::model_folder(recipe.model_name_or_path),
                                   {.device = device, .learns = learns_here}, changes);
  models::Meter& meter = *ready.meter;
  const auto seed = static_cast<uint64_t>(recipe.seed);
  if (ready.task == MeterTask::vqa && !meter.heads.vqa) {
    std::vector<std::string> answers = labels_of(sets);
    if (answers.empty()) answers = answers_in(sets);
    ready.notes.push_back(concat("the new head vqa has ", answers.size(), " classes"));
    models::add_meter_head(meter, ready.task, answers, seed);
  } else {
    models::add_meter_head(meter, ready.task, {}, seed);
  }
  if (ready.task == MeterTask::vqa) {
    name_classes(sets, ready);
    ready.classes = classes_of(meter);
    require_known(sets, ready);
  }
  ready.plan = meter.plan;
  if (recipe.eas && !meter.streams.config.layer.rep)
    models::add_meter_adapters(meter, {.rep_rank = recipe.eas->rep_dim,
                                       .pia_rank = recipe.eas->pia_dim,
                                       .groups = recipe.eas->groups,
                                       .scale = recipe.eas->scale,
                                       .seed = seed + 1});
  check_patterns(recipe, meter);
  if (!recipe.eas) return ready;
  models::set_meter_dropout(meter, recipe.eas->dropout, seed + 2);
  meter.config.pads = recipe.pia_mean == PiaMean::published;
  const std::vector<int64_t>& off = skipped.empty() ? recipe.eas->skip_layers : skipped;
  ready.plan = plan::without_meter_sites(off, meter.streams.config.layers, plan::MeterFlags::right);
  plan::validate(ready.plan, meter.facts);
  return ready;
}

SampleMaker<MeterSample> sample_maker(const ReadyMeter& ready, std::shared_ptr<AnswerUse> use) {
  SampleMaker<MeterSample> maker{.make =
                                     [&ready, use = std::move(use)](const data::Record& record) {
                                       MeterSample sample =
                                           make_meter_sample(*ready.meter, record, ready.task, ready.classes);
                                       if (use) ++use->samples;
                                       if (use && sample.answers.empty()) ++use->unknown;
                                       return sample;
                                     },
                                 .finish = {}};
  if (ready.task == MeterTask::mlm) {
    maker.finish = [masker = TokenMasker(*ready.meter)](MeterSample& sample) {
      sample.hidden = masker.hide(sample.text, sample.draw);
    };
  }
  return maker;
}

}  // namespace lithe::tune
