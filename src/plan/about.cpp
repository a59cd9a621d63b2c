#include "plan/about.h"

#include <algorithm>

namespace lithe::plan {

const std::vector<About>& builtin_plans() {
  static const std::vector<About> plans = {
      {.name = "class-attention",
       .skips = "Two thirds of the vision tokens, for good, before the decoder. Those that the vision tower's class "
                "token attends to most stay.",
       .needs = "a vision tower with a class token",
       .source = "the choice of VisionZip, arXiv 2412.04467, without its merging"},
      {.name = "conditional-dpp",
       .skips = "Two thirds of the vision tokens, for good, before the decoder. Those that are unlike each other and "
                "match the question stay.",
       .needs = "any weights",
       .source = "CDPruner, arXiv 2506.10967, with the language model's text embeddings in place of CLIP's"},
      {.name = "dart",
       .skips = "Half of the vision tokens, for good, before layer 2. Those that repeat a few pivot tokens go.",
       .needs = "any weights",
       .source = "DART, arXiv 2502.11494"},
      {.name = "dense",
       .skips = "Nothing. Every layer runs every token.",
       .needs = "any weights",
       .source = "the model without a plan",
       .exact = true},
      {.name = "divprune",
       .skips = "Two thirds of the vision tokens, for good, before the decoder. Those that are farthest from each "
                "other stay.",
       .needs = "any weights",
       .source = "DivPrune, arXiv 2503.02175"},
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
      {.name = "k-norm",
       .skips = "Half of the vision tokens, for good, before layer 2. Those with the shortest keys stay.",
       .needs = "any weights",
       .source = "the score of ViTCoP, arXiv 2601.17818, without its other steps"},
      {.name = "kv-compression",
       .skips = "The cached keys and values of half of the vision tokens, from layer 1 on. Prefill is computed in "
                "full, so only memory and decoding become cheaper.",
       .needs = "any weights",
       .source = "the idea of SnapKV, arXiv 2404.14469, for vision tokens"},
      {.name = "late-entry",
       .skips = "All vision tokens in the first and the last quarter of the layers; in between, at each of three "
                "layers, half of those that are left, for good.",
       .needs = "weights trained for it",
       .source = "the shape of HiDrop, arXiv 2602.23699, without its trained choice of tokens",
       .trained = true},
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
      {.name = "pooled-picture",
       .skips = "Three quarters of the vision tokens, before the decoder. Each that stays is the mean of the patches "
                "around it.",
       .needs = "any weights",
       .source = "a baseline to compare methods with: a smaller picture at the same cost"},
      {.name = "prumerge-plus",
       .skips = "Three quarters of the vision tokens, before the decoder. Those that stay take in tokens like them.",
       .needs = "a vision tower with a class token; training with the method helps",
       .source = "LLaVA-PruMerge+, arXiv 2403.15388, with a fixed number of tokens"},
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
      {.name = "text-attention",
       .skips =
           "About half, a third and then half of the vision tokens that are left, for good, before layers 3, 7 and "
           "16 of 32. Those with the most attention from text tokens that match the picture stay.",
       .needs = "any weights",
       .source = "the choice of SparseVLM, arXiv 2410.04417, without its recycled tokens"},
      {.name = "uniform",
       .skips = "Every second vision token, for good, before layer 2.",
       .needs = "any weights",
       .source = "a baseline to compare methods with"},
      {.name = "v2drop",
       .skips = "Half of the remaining vision tokens, for good, before layers 3 and 17 of 32, and all but one before "
                "layer 22. Those that the layer before changed most stay.",
       .needs = "any weights",
       .source = "V2Drop, arXiv 2509.01552"},
      {.name = "vision-attention-skip",
       .skips = "Queries of all vision tokens in the second half of the layers. Their keys, values and feed-forward "
                "networks stay.",
       .needs = "any weights",
       .source = "the idea of V-Skip, arXiv 2606.08511, without its choice of layers"},
      {.name = "visionzip",
       .skips = "Two thirds of the vision tokens, before the decoder. Those that the vision tower's class token "
                "attends to most stay, and some that take in the others.",
       .needs = "a vision tower with a class token",
       .source = "VisionZip, arXiv 2412.04467"},
      {.name = "vtw",
       .skips = "All vision tokens, for good, before the second half of the layers.",
       .needs = "any weights; a layer measured on your model is better",
       .source = "Visual Tokens Withdrawal, arXiv 2405.05803"},
  };
  return plans;
}

const About* about(const std::string& name) {
  const std::vector<About>& plans = builtin_plans();
  const auto found = std::find_if(plans.begin(), plans.end(), [&](const About& plan) { return name == plan.name; });
  return found == plans.end() ? nullptr : &*found;
}

}  // namespace lithe::plan
