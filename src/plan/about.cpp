#include "plan/about.h"

#include <algorithm>

namespace lithe::plan {

const std::vector<About>& builtin_plans() {
  static const std::vector<About> plans = {
      {.name = "dense",
       .skips = "Nothing. Every layer runs every token.",
       .needs = "any weights",
       .source = "the model without a plan",
       .exact = true},
      {.name = "eas",
       .skips = "The attention of layers 20 to 31, for all tokens. Adapters take its place.",
       .needs = "weights trained with EAS",
       .source = "EAS, Efficient Attention Skipping, arXiv 2403.15226; the layers are those found for ScienceQA",
       .trained = true},
      {.name = "eas-12",
       .skips = "The attention of layers 19 and 21 to 31, for all tokens. Adapters take its place.",
       .needs = "LaVIN-EAS, or other weights trained with these layers",
       .source = "EAS, arXiv 2403.15226; the layers are those published for LaVIN on ScienceQA",
       .trained = true},
      {.name = "fastv",
       .skips = "Half of the vision tokens, for good, before layer 2. Those that the last prompt token attends to most "
                "stay.",
       .needs = "any weights",
       .source = "FastV, arXiv 2403.06764"},
      {.name = "kv-compression",
       .skips = "The cached keys and values of half of the vision tokens, from layer 1 on. Prefill is computed in "
                "full, so only memory and decoding become cheaper.",
       .needs = "any weights",
       .source = "the idea of SnapKV, arXiv 2404.14469, for vision tokens"},
      {.name = "p-mod",
       .skips = "Vision tokens, more in deeper layers. After the first layers, a router in each layer picks the tokens "
                "that run it; the others are only multiplied by their router weight.",
       .needs = "weights trained with p-MoD, with routers",
       .source = "p-MoD, progressive mixture of depths, arXiv 2412.04449",
       .trained = true,
       .router = true},
      {.name = "p-mod+eas",
       .skips = "What p-mod and eas skip, together.",
       .needs = "weights trained with p-MoD and EAS, with routers",
       .source = "both methods combined",
       .trained = true,
       .router = true},
      {.name = "pyramiddrop",
       .skips = "Half of the remaining vision tokens, for good, at a quarter, a half and three quarters of the depth.",
       .needs = "any weights; training with the method helps",
       .source = "PyramidDrop, arXiv 2410.17247"},
      {.name = "random",
       .skips = "Half of the vision tokens, drawn at random, for good, before layer 2.",
       .needs = "any weights",
       .source = "a baseline to compare methods with"},
      {.name = "shortv",
       .skips = "Queries and feed-forward networks of all vision tokens in the last 60 % of the layers. Their keys and "
                "values stay.",
       .needs = "any weights; a list of layers measured on your model is better",
       .source = "ShortV, arXiv 2504.00502"},
      {.name = "uniform",
       .skips = "Every second vision token, for good, before layer 2.",
       .needs = "any weights",
       .source = "a baseline to compare methods with"},
      {.name = "vision-attention-skip",
       .skips = "Queries of all vision tokens in the second half of the layers. Their keys, values and feed-forward "
                "networks stay.",
       .needs = "any weights",
       .source = "the idea of V-Skip, arXiv 2606.08511, without its choice of layers"},
  };
  return plans;
}

const About* about(const std::string& name) {
  const std::vector<About>& plans = builtin_plans();
  const auto found = std::find_if(plans.begin(), plans.end(), [&](const About& plan) { return name == plan.name; });
  return found == plans.end() ? nullptr : &*found;
}

}  // namespace lithe::plan
