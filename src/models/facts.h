#pragma once

#include "models/model.h"
#include "plan/facts.h"

// What plans are checked and costed by, as the parts of a model say it.
namespace lithe::models {

/// Facts of the parts of a model.
plan::ModelFacts facts_of(const Model& model);

/// Calls `pair(name, config, facts)` for each number of a decoder that both hold.
template <class Config, class Facts, class Pair>
void decoder_facts(Config& c, Facts& f, const Pair& pair) {
  pair("layers", c.layers, f.layers);
  pair("hidden", c.hidden, f.hidden);
  pair("intermediate", c.intermediate, f.intermediate);
  pair("heads", c.heads, f.heads);
  pair("kv_heads", c.kv_heads, f.kv_heads);
  pair("head_dim", c.head_dim, f.head_dim);
  pair("vocab", c.vocab, f.vocab);
}

/// The same of a vision tower.
template <class Config, class Facts, class Pair>
void tower_facts(Config& c, Facts& f, const Pair& pair) {
  pair("layers_run", c.layers_run, f.layers);
  pair("width", c.width, f.width);
  pair("mlp", c.mlp, f.mlp);
  pair("heads", c.heads, f.heads);
  pair("patch_px", c.patch_px, f.patch);
  pair("channels", c.channels, f.channels);
}

}  // namespace lithe::models
