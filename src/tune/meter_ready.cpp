#include "tune/meter_ready.h"

#include <algorithm>

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

/// Calls `visit` with the answers of every record. What is wrong with a record is said when its turn comes.
template <class Visit>
void each_answers(const std::vector<WeightedSet>& sets, const Visit& visit) {
  for (const WeightedSet& set : sets) {
    for (int64_t i = 0; i < set.records->size(); ++i) {
      try {
        visit(answers_of(set.records->read(i)));
      } catch (const Error&) {
        continue;
      }
    }
  }
}

/// Every answer of the sets, the most frequent first; of equals in the order of the alphabet.
std::vector<std::string> answers_in(const std::vector<WeightedSet>& sets) {
  std::map<std::string, int64_t> counts;
  each_answers(sets, [&](const std::map<std::string, double>& answers) {
    for (const auto& [answer, score] : answers) ++counts[answer];
  });
  std::vector<std::string> answers;
  for (const auto& [answer, count] : counts) answers.push_back(answer);
  std::stable_sort(answers.begin(), answers.end(),
                   [&](const std::string& a, const std::string& b) { return counts[a] > counts[b]; });
  return answers;
}

AnswerClasses classes_of(const models::Meter& meter) {
  require(
      !meter.config.answers.empty(), Fault::bad_file, meter.name,
      ": does not name the answers of its head vqa; run `lithe convert` on a .ckpt, and write \"id2label\": {\"0\": "
      "\"net\", ..} into config.json, in the order of the labels that the head was trained with (docs/meter.md)");
  AnswerClasses classes;
  for (size_t i = 0; i < meter.config.answers.size(); ++i)
    classes.emplace(meter.config.answers[i], static_cast<int64_t>(i));
  return classes;
}

/// Records that the head learns nothing right from.
void count_unknown(const std::vector<WeightedSet>& sets, ReadyMeter& ready) {
  int64_t records = 0, unknown = 0;
  each_answers(sets, [&](const std::map<std::string, double>& answers) {
    ++records;
    const auto is_known = [&](const auto& answer) { return ready.classes.contains(answer.first); };
    if (std::none_of(answers.begin(), answers.end(), is_known)) ++unknown;
  });
  if (unknown == 0) return;
  require(unknown < records, Fault::bad_request, ready.meter->name, ": none of the ", records,
          " records of data has an answer that its head vqa knows; give the data of this head, or a model without one");
  ready.notes.push_back(
      concat(unknown, " of ", records,
             " records have no answer that the head vqa knows; they teach that every label is wrong"));
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

ReadyMeter ready_meter(const Recipe& recipe, const std::vector<WeightedSet>& sets,
                       const std::vector<int64_t>& skipped) {
  check(recipe);
  ReadyMeter ready{.meter = nullptr, .task = models::meter_task(recipe.head), .classes = {}, .plan = {}, .notes = {}};
  const auto learns_here = [&](const WeightName& name) { return learns(recipe, ready.task, name); };
  Json changes = Json::object();
  if (recipe.pia_mean == PiaMean::published) changes["pia_mean"] = "published";
  if (recipe.model_max_length) changes["max_text_len"] = *recipe.model_max_length;
  ready.meter = models::open_meter(models::model_folder(recipe.model_name_or_path), {.learns = learns_here}, changes);
  models::Meter& meter = *ready.meter;
  const auto seed = static_cast<uint64_t>(recipe.seed);
  const bool needs_answers = ready.task == MeterTask::vqa && !meter.heads.vqa;
  models::add_meter_head(meter, ready.task, needs_answers ? answers_in(sets) : std::vector<std::string>{}, seed);
  if (ready.task == MeterTask::vqa) ready.classes = classes_of(meter);
  if (ready.task == MeterTask::vqa && !needs_answers) count_unknown(sets, ready);
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

SampleMaker<MeterSample> sample_maker(const ReadyMeter& ready) {
  SampleMaker<MeterSample> maker{.make =
                                     [&ready](const data::Record& record) {
                                       return make_meter_sample(*ready.meter, record, ready.task, ready.classes);
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
