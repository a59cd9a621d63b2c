#include "session/prompt_rows.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "base/error.h"
#include "models/lora_over.h"
#include "session/answer.h"
#include "session/needed.h"
#include "session/picture_workers.h"

namespace lithe::session {
namespace {

constexpr double kMostPositions = 1 << 24;

/// Refused before a template or a tokenizer works on it.
void require_readable(const models::Model& model, const Request& request) {
  size_t bytes = request.text.size();
  if (!request.raw) {
    bytes = 0;
    for (const text::Message& message : request.messages) {
      for (const text::Part& part : message.parts) bytes += part.text.size();
    }
  }
  require(bytes <= text::kMaxTextBytes, Fault::bad_request, "the prompt has ", bytes, " bytes, of which at most ",
          text::kMaxTextBytes, " are read, and the model takes ", model.decoder.config.max_positions,
          " tokens with the answer; shorten it");
}

std::vector<int64_t> tokenise(const models::Model& model, const Request& request) {
  require(
      model.prompting.tokenizer.has_value(), Fault::bad_request, model.name,
      ": there is no tokenizer.json or tokenizer.model to read a prompt with; put one beside the folder's config.json");
  require_readable(model, request);
  const std::string prompt = request.raw ? request.text : model.prompting.render(request.messages);
  return model.prompting.tokenizer->encode_with_images(prompt, model.prompting.dialect);
}

void check_ids(const models::Model& model, const std::vector<int64_t>& ids, size_t images) {
  const auto marks = static_cast<size_t>(std::count(ids.begin(), ids.end(), text::kImageId));
  require(marks == images, Fault::bad_request, "the prompt has ", marks, " image mark", marks == 1 ? "" : "s", " and ",
          images, images == 1 ? " picture was given" : " pictures were given", "; give one picture for each <image>");
  require(!ids.empty(), Fault::bad_request, "the prompt is empty; write a question");
  for (const int64_t id : ids) {
    require(id == text::kImageId || (id >= 0 && id < model.decoder.config.vocab), Fault::bad_file,
            "the tokenizer gives the id ", id, ", but the model has ", model.decoder.config.vocab,
            " token embeddings; the folder's tokenizer and weights do not belong together");
  }
}

/// Appends the embeddings of the text tokens collected so far.
void flush_text(const models::Model& model, std::vector<int64_t>& pending, PromptRows& prompt,
                std::vector<Tensor>& parts) {
  if (pending.empty()) return;
  const Tensor ids = at::tensor(at::ArrayRef<int64_t>(pending), at::kLong);
  parts.push_back(model.decoder.embed(ids));
  prompt.kinds.insert(prompt.kinds.end(), pending.size(), routing::RowKind::text);
  pending.clear();
}

/// The scores of the pictures' rows at their places in the prompt; null if no picture has some.
std::shared_ptr<const std::vector<float>> scores_of(const PromptRows& prompt,
                                                    std::span<const models::ImageRows> pictures) {
  const auto scored = [](const models::ImageRows& picture) { return !picture.scores.empty(); };
  if (std::none_of(pictures.begin(), pictures.end(), scored)) return nullptr;
  const auto scores = std::make_shared<std::vector<float>>(prompt.kinds.size(), 0.0f);
  for (size_t i = 0; i < pictures.size(); ++i)
    std::copy(pictures[i].scores.begin(), pictures[i].scores.end(), scores->begin() + prompt.image_first_row[i]);
  return scores;
}

}  // namespace

int64_t PromptRows::vision_rows() const {
  return std::count_if(kinds.begin(), kinds.end(),
                       [](routing::RowKind kind) { return plan::belongs(kind, plan::Group::vision); });
}

PromptTooLong::PromptTooLong(int64_t rows, int64_t longest)
    : Error(Fault::bad_request,
            concat("the prompt has at least ", rows, " tokens with its pictures, and the model takes ", longest,
                   " with the answer; shorten it or use fewer pictures")),
      rows_(rows) {}

int64_t longest_sequence(const models::Model& model) {
  using Scaling = ops::RopeConfig::Scaling;
  const models::DecoderConfig& config = model.decoder.config;
  const auto stretched = [&](int64_t positions) {
    return static_cast<int64_t>(std::min(config.rope.factor * static_cast<double>(positions), kMostPositions));
  };
  switch (config.rope.scaling) {
    case Scaling::linear:
    case Scaling::dynamic:
      return stretched(config.max_positions);
    case Scaling::yarn:
      return std::max(config.max_positions, stretched(config.rope.original_positions));
    case Scaling::none:
    case Scaling::llama3:
      break;
  }
  return config.max_positions;
}

int64_t room_after(const models::Model& model, int64_t prompt_rows) {
  return longest_sequence(model) - prompt_rows;
}

void require_room(const models::Model& model, int64_t prompt_rows) {
  if (room_after(model, prompt_rows) < 1) throw PromptTooLong(prompt_rows, longest_sequence(model));
}

int64_t least_rows(const models::Model& model) {
  return model.vision ? model.vision->tower.config.tokens() : 1;  // one tile, or the whole picture before its tiles
}

PromptLength::PromptLength(const models::Model& model, const std::vector<int64_t>& ids)
    : model_(&model),
      rows_(model.decoder.rows_before() + static_cast<int64_t>(ids.size()) +
            std::count(ids.begin(), ids.end(), text::kImageId) * (least_rows(model) - 1)) {
  require_room(model, rows_);
}

void PromptLength::add(const models::ImageRows& picture) {
  rows_ += static_cast<int64_t>(picture.kinds.size()) - least_rows(*model_);
  require_room(*model_, rows_);
}

std::vector<int64_t> prompt_ids(const models::Model& model, const Request& request, size_t pictures) {
  std::vector<int64_t> ids = tokenise(model, request);
  check_ids(model, ids, pictures);
  return ids;
}

PromptRows merge(const models::Model& model, std::vector<int64_t> ids, std::span<const models::ImageRows> pictures) {
  PromptRows prompt;
  std::vector<Tensor> parts;
  std::vector<int64_t> pending;
  size_t next_picture = 0;
  if (const std::optional<nn::Weight>& modality = model.decoder.modality) {
    parts.push_back(modality->rows(at::full({1}, pictures.empty() ? 0 : 1, at::kLong)));
    prompt.kinds.push_back(routing::RowKind::modality);
  }
  for (const int64_t id : ids) {
    if (id != text::kImageId) {
      pending.push_back(id);
      continue;
    }
    flush_text(model, pending, prompt, parts);
    const models::ImageRows& picture = pictures[next_picture++];
    prompt.image_first_row.push_back(prompt.rows());
    parts.push_back(picture.rows.to(at::kFloat));
    prompt.kinds.insert(prompt.kinds.end(), picture.kinds.begin(), picture.kinds.end());
  }
  flush_text(model, pending, prompt, parts);
  prompt.embeddings = parts.size() == 1 ? parts.front() : at::cat(parts);
  prompt.ids = std::move(ids);
  prompt.picture_scores = scores_of(prompt, pictures);
  return prompt;
}

void encode_pictures(const models::Model& model, const PicturesToEncode& pictures, const Watch& watch,
                     const std::function<void(models::ImageRows)>& take) {
  const auto& [all, first, plan, lora] = pictures;
  if (first == all.size()) return;
  const models::Vision& vision = model.seeing();
  const auto layers = static_cast<int64_t>(vision.tower.blocks.size()), count = static_cast<int64_t>(all.size());
  PictureWorkers workers(model, 1);
  ComingPicture coming = workers.begin(all[first], count);
  for (size_t i = first; i < all.size(); ++i) {
    watch.check();
    const models::TowerInput picture{
        .image = coming.take(), .plan = &plan, .lora = lora ? lora->of_pictures() : nullptr};
    if (i + 1 < all.size()) coming = workers.begin(all[i + 1], count);
    take(std::move(vision.encode({&picture, 1}, watch.tower(layers, static_cast<int64_t>(i), count)).front()));
  }
}

PromptRows build_prompt(const models::Model& model, const Request& request, const Watch& watch) {
  const std::shared_ptr<const plan::Plan> plan = plan_of(model, request);
  require_needed(request, *plan);
  std::vector<int64_t> ids = prompt_ids(model, request, request.images.size());
  PromptLength length(model, ids);
  std::vector<models::ImageRows> pictures;
  const PicturesToEncode to_encode{.all = request.images, .plan = *plan, .lora = request.lora.get()};
  encode_pictures(model, to_encode, watch, [&](models::ImageRows picture) {
    length.add(picture);
    pictures.push_back(std::move(picture));
  });
  PromptRows prompt = merge(model, std::move(ids), pictures);
  prompt.images = std::move(pictures);
  score_needed(request, *plan, prompt);
  return prompt;
}

}  // namespace lithe::session
