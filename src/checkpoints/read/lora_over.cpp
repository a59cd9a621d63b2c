#include "checkpoints/read/lora_over.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "checkpoints/read/lora.h"
#include "checkpoints/read/tensor_over.h"
#include "checkpoints/read/weights.h"
#include "models/counting.h"
#include "plan/parse.h"

namespace lithe::models {
namespace {

namespace fs = std::filesystem;

std::atomic<uint64_t> made = 0;

/// The numbers of a factor in memory of its own: the file may change while the server runs. A plain copy needs no
/// threads of LibTorch's.
at::Tensor copied(const at::Tensor& mapped) {
  const at::Tensor rows = mapped.contiguous();
  at::Tensor copy = at::empty(rows.sizes(), rows.options());
  if (rows.nbytes() > 0) std::memcpy(copy.mutable_data_ptr(), rows.const_data_ptr(), rows.nbytes());
  return copy;
}

class Opener {
 public:
  Opener(const Model& model, const std::string& name, const fs::path& folder)
      : model_(model), folder_(LoraFolder::open(folder)) {
    over_.name = name;
    over_.folder = folder;
    over_.id = ++made;
  }

  std::shared_ptr<const LoraOver> open(int64_t most_bytes) {
    refuse_shared();
    find_products();
    const int64_t bytes = bytes_in_file();
    require(bytes <= most_bytes, Fault::no_memory, path(), ": its factors have ", bytes, " bytes, and ",
            std::max<int64_t>(most_bytes, 0),
            " may be used for it; unload another LoRA, or use a machine with more memory");
    for (const Product& product : products_) add(product);
    over_.facts = model_.facts;
    over_.facts.low_rank = low_rank_facts(model_, &over_.terms);
    const fs::path plan = folder_.path() / "plan.json";
    if (fs::exists(plan)) over_.plan = plan::load_plan(plan.string(), over_.facts);
    return std::make_shared<const LoraOver>(std::move(over_));
  }

 private:
  struct Product {
    const nn::Linear* linear;
    const LoraFolder::Pair* pair;
    Part part;
  };

  std::string path() const { return folder_.path().string(); }

  /// What would change the model for those that are not under this LoRA.
  void refuse_shared() const {
    const char* const alone =
        ", and other requests share these with it; open the model with it alone (--lora DIR), or fold it into a model "
        "of its own (lithe fold MODEL --lora DIR -o NEW)";
    require(model_.facts.low_rank.empty() && !model_.loaded.lora, Fault::bad_request, model_.name,
            ": has LoRA already, and LoRA goes over no other; fold it first");
    require(folder_.whole() == 0, Fault::bad_request, path(), ": brings ", folder_.whole(),
            " complete tensors (modules_to_save, projector, routers, ..)", alone);
    require(!fs::exists(folder_.path() / "config.json"), Fault::bad_request, path(),
            ": brings a config.json, which sets how the model asks and sees", alone);
  }

  /// The product of each pair. PEFT adapts every layer that a name fits, also those that LLaVA does not run.
  void find_products() {
    std::map<std::string, LoraFolder::Pair> pairs = folder_.pairs();
    const WeightName head{.part = Part::decoder, .role = Role::head};
    std::vector<std::string> misshapen;
    const auto take = [&](const WeightName& name, const nn::Linear& linear) {
      const auto found = pairs.find(text_of(name));
      if (found == pairs.end() || name.adapter != Adapter::none) return;
      const LoraFolder::Pair& pair = folder_.pairs().at(found->first);
      const int64_t in = pair.a->shape[1], out = pair.b->shape[0];
      if (in != linear.in() || out != linear.out())
        misshapen.push_back(
            concat(pair.module, " file [", out, ", ", in, "], model [", linear.out(), ", ", linear.in(), "]"));
      products_.push_back({&linear, &pair, name.part});
      pairs.erase(found);
    };
    visit(model_, [&](const HeldWeight& held) {
      if (held.linear && held.name.kind == Kind::weight) take(held.name, *held.linear);
    });
    if (model_.decoder.config.tied_embeddings) take(head, model_.decoder.head);  // the embeddings stay as they are
    std::erase_if(pairs, [&](const auto& pair) { return model_.loaded.not_run.contains(pair.first); });
    const std::string other = concat("; the adapter was trained over another model than ", model_.folder.string());
    require(misshapen.empty(), Fault::bad_file, path(),
            ": its factors do not fit the model: ", misshapen.empty() ? "" : misshapen.front(), other);
    require(pairs.empty(), Fault::bad_file, path(), ": adapts ", pairs.size(),
            " layers that the model does not have, such as ",
            in_quotes(pairs.empty() ? "" : pairs.begin()->second.module), other);
    require(!products_.empty(), Fault::bad_file, path(), ": adapts no layer that the model runs");
  }

  int64_t bytes_in_file() const {
    int64_t bytes = 0;
    for (const Product& product : products_)
      bytes += static_cast<int64_t>(product.pair->a->bytes.size() + product.pair->b->bytes.size());
    return bytes;
  }

  nn::Weight factor(const io::TensorView& view, const nn::Linear& linear, const std::string& name) {
    const at::Tensor held = held_as(model_.loaded.asked, copied(tensor_over(view)), true, name);
    over_.bytes += static_cast<int64_t>(held.nbytes());
    return held.to(linear.weight.device());
  }

  void add(const Product& product) {
    const LoraFolder::Pair& pair = *product.pair;
    nn::LowRank term{factor(*pair.a, *product.linear, pair.module + ".lora_A.weight"),
                     factor(*pair.b, *product.linear, pair.module + ".lora_B.weight"),
                     pair.scale,
                     {}};
    const bool first = over_.terms.products() == 0;
    over_.lowest_rank = first ? pair.rank : std::min(over_.lowest_rank, pair.rank);
    over_.highest_rank = std::max(over_.highest_rank, pair.rank);
    over_.changes_pictures = over_.changes_pictures || product.part != Part::decoder;
    over_.terms.put(*product.linear, std::move(term));
  }

  const Model& model_;
  const LoraFolder folder_;
  LoraOver over_;
  std::vector<Product> products_;
};

}  // namespace

std::shared_ptr<const LoraOver> open_lora_over(const Model& model, const std::string& name, const fs::path& folder,
                                               int64_t most_bytes) {
  require_lora_folder(folder);
  return Opener(model, name, folder).open(most_bytes);
}

}  // namespace lithe::models
