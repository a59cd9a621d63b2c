#include "tune/packing.h"

#include <ATen/ops/cat.h>

#include <algorithm>
#include <iterator>

#include "base/error.h"
#include "base/mixed.h"
#include "ops/rope.h"
#include "session/prompt_rows.h"
#include "text/labels.h"

namespace lithe::tune {
namespace {

/// Ids up to and with the last picture.
size_t beginning_of(const Sample& sample) {
  const auto last = std::find(sample.ids.rbegin(), sample.ids.rend(), text::kImageId);
  return static_cast<size_t>(sample.ids.rend() - last);
}

bool same(const models::PreparedImage& a, const models::PreparedImage& b) {
  return &a == &b || (a.views.grid == b.views.grid && a.pixels.values == b.pixels.values);
}

/// Whether a sample goes on after its beginning, and learns nothing of it nor of the first token after it, which the
/// beginning's last row would predict: rows that several share would learn once what each sample learns.
bool is_only_asked(const Sample& sample, size_t beginning) {
  if (beginning >= sample.labels.size()) return false;
  const auto end = sample.labels.begin() + static_cast<std::ptrdiff_t>(beginning) + 1;
  return std::all_of(sample.labels.begin(), end, [](int64_t label) { return label == text::kIgnored; });
}

/// Whether two samples begin alike, pictures and all, and can share that.
bool begin_alike(const Sample& a, const Sample& b) {
  const size_t beginning = beginning_of(a);
  if (beginning == 0 || beginning != beginning_of(b) || a.pictures.size() != b.pictures.size()) return false;
  if (!is_only_asked(a, beginning) || !is_only_asked(b, beginning)) return false;
  if (!std::equal(a.ids.begin(), a.ids.begin() + static_cast<std::ptrdiff_t>(beginning), b.ids.begin())) return false;
  return std::equal(a.pictures.begin(), a.pictures.end(), b.pictures.begin(),
                    [](const auto& one, const auto& other) { return same(*one, *other); });
}

/// Samples that share their beginning, or a single one that shares nothing.
using Group = std::span<const Sample>;

std::vector<Group> groups_of(std::span<const Sample> samples, bool share) {
  std::vector<Group> groups;
  for (size_t first = 0, end = 0; first < samples.size(); first = end) {
    end = first + 1;
    while (share && end < samples.size() && begin_alike(samples[first], samples[end])) ++end;
    groups.push_back(samples.subspan(first, end - first));
  }
  return groups;
}

/// Through the tower, some pictures at a time: what a tower that does not learn holds then does not grow with the
/// batch.
std::vector<models::ImageRows> encoded(const models::Vision& vision, std::span<const models::TowerInput> pictures) {
  constexpr int64_t kRows = 8192;  // of a pass: no product is faster with more
  const int64_t most_tiles = std::max<int64_t>(1, kRows / vision.tower.config.rows());
  std::vector<models::ImageRows> all;
  for (size_t first = 0, end = 0; first < pictures.size(); first = end) {
    for (int64_t tiles = 0; end < pictures.size(); ++end) {
      tiles += pictures[end].image->pixels.tiles;
      if (end > first && tiles > most_tiles) break;
    }
    std::vector<models::ImageRows> some = vision.encode(pictures.subspan(first, end - first));
    std::move(some.begin(), some.end(), std::back_inserter(all));
  }
  return all;
}

class Packer {
 public:
  Packer(const models::Model& model, const plan::Plan& plan, const PackOptions& options)
      : model_(model), plan_(plan), options_(options) {
    packed_.batch.offsets = {0};
  }

  void add(Group group, std::span<const models::ImageRows> pictures) {
    if (group.size() == 1) return add(group.front(), 0, group.front().ids.size(), pictures, std::nullopt);
    const size_t beginning = beginning_of(group.front());
    const size_t shared = packed_.batch.sequences.size();
    add(group.front(), 0, beginning, pictures, std::nullopt);
    for (const Sample& sample : group) add(sample, beginning, sample.ids.size(), {}, shared);
  }

  TrainingRows take() {
    packed_.embeddings = embeddings_.size() == 1 ? embeddings_.front() : at::cat(embeddings_);
    return std::move(packed_);
  }

 private:
  /// Ids [first, end) of a sample as a sequence, after the rows of another one.
  void add(const Sample& sample, size_t first, size_t end, std::span<const models::ImageRows> pictures,
           std::optional<size_t> after) {
    const session::PromptRows rows = session::merge(model_,
                                                    {sample.ids.begin() + static_cast<std::ptrdiff_t>(first),
                                                     sample.ids.begin() + static_cast<std::ptrdiff_t>(end)},
                                                    pictures);
    const std::vector<int64_t>& offsets = packed_.batch.offsets;
    const int64_t before = after ? offsets[*after + 1] - offsets[*after] : 0;
    const int64_t count = std::clamp<int64_t>(options_.longest - before, 0, rows.rows());
    std::vector<int64_t> labels = labels_of(sample, first, end, pictures);
    labels.resize(static_cast<size_t>(count));
    routing::Sequence sequence{.plan = &plan_, .after = after, .picture_scores = rows.picture_scores};
    if (!options_.every_row_is_prompt) sequence.prompt_end = prompt_end(labels, before);
    packed_.batch.add(sequence, std::span(rows.kinds).first(static_cast<size_t>(count)), before);
    for (int64_t row = 0; options_.dropout && row < count; ++row)
      packed_.batch.draws.push_back(mixed(sample.draw, static_cast<uint64_t>(before + row)));
    embeddings_.push_back(rows.embeddings.narrow(0, 0, count));
    if (!labels.empty()) packed_.targets.insert(packed_.targets.end(), labels.begin() + 1, labels.end());
    packed_.targets.resize(static_cast<size_t>(packed_.batch.rows()), text::kIgnored);
  }

  /// The label of each row: that of its token, and nothing is learnt of a picture's rows.
  std::vector<int64_t> labels_of(const Sample& sample, size_t first, size_t end,
                                 std::span<const models::ImageRows> pictures) const {
    std::vector<int64_t> labels(static_cast<size_t>(model_.decoder.rows_before()), text::kIgnored);
    size_t next = 0;
    for (size_t i = first; i < end; ++i) {
      const bool picture = sample.ids[i] == text::kImageId;
      labels.insert(labels.end(), picture ? pictures[next++].kinds.size() : 1,
                    picture ? text::kIgnored : sample.labels[i]);
    }
    return labels;
  }

  /// Rows before the first that is learnt, after `before` others.
  static int64_t prompt_end(const std::vector<int64_t>& labels, int64_t before) {
    const auto first =
        std::find_if(labels.begin(), labels.end(), [](int64_t label) { return label != text::kIgnored; });
    return first == labels.end() ? routing::Sequence::kEveryRow : before + (first - labels.begin());
  }

  const models::Model& model_;
  const plan::Plan& plan_;
  const PackOptions& options_;
  TrainingRows packed_;
  std::vector<Tensor> embeddings_;
};

}  // namespace

int64_t TrainingRows::learnt() const {
  return rows() - std::count(targets.begin(), targets.end(), text::kIgnored);
}

TrainingRows pack_samples(const models::Model& model, const plan::Plan& plan, std::span<const Sample> samples,
                          const PackOptions& options) {
  const std::vector<Group> groups = groups_of(samples, options.share_images);
  std::vector<models::TowerInput> inputs;
  for (const Group& group : groups) {
    const Sample& sample = group.front();
    for (size_t i = 0; i < sample.pictures.size(); ++i) {
      inputs.push_back({sample.pictures[i], &plan});
      if (options.dropout) inputs.back().draw = mixed(~sample.draw, i);  // ~: apart from the sample's own rows
    }
  }
  const std::vector<models::ImageRows> pictures =
      inputs.empty() ? std::vector<models::ImageRows>{} : encoded(model.seeing(), inputs);
  Packer packer(model, plan, options);
  size_t first = 0;
  for (const Group& group : groups) {
    const size_t count = group.front().pictures.size();
    packer.add(group, std::span(pictures).subspan(first, count));
    first += count;
  }
  return packer.take();
}

void require_shareable(const models::Model& model, const plan::Plan& plan) {
  const auto refuse = [](const auto&... why) {
    fail(Fault::bad_request, "share_images would change what is computed: ", why..., "; leave share_images out");
  };
  for (const plan::LayerPlan& layer : plan.layers) {
    if (layer.stream != "decoder") continue;
    for (const plan::Rule& rule : layer.rules) {
      if (!plan::is_vision(rule.group)) refuse("layer ", layer.layer, " has a rule about text");
      const plan::SelectorFacts* selector = model.facts.find_selector(rule.by);
      if (selector && selector->scope == plan::Scope::prompt)
        refuse("layer ", layer.layer, " chooses by what each question says");
    }
  }
  if (routing::read_whole_prompt(model.decoder.blocks, plan, "decoder"))
    refuse("adapters take their means over the whole prompt");
  if (model.decoder.config.rope.scaling == ops::RopeConfig::Scaling::dynamic)
    refuse("rotary angles depend on the length of each prompt");
}

}  // namespace lithe::tune
