#pragma once

#include "routing/tiny_model.h"

namespace lithe::routing {

/// The meaning of a plan, computed in the simplest way: every row goes through every layer, S x S masks and switches
/// per row decide what counts. Shares no code with the executor but the structs that hold the weights and the table of
/// rotary angles.
struct TwinOutcome {
  Tensor hidden;                             // [rows, hidden] of all rows; those of dead rows mean nothing
  std::vector<int64_t> alive;                // rows that are alive at the end, ascending
  std::vector<std::vector<int64_t>> cached;  // per layer: positions of the rows that its cache holds
  std::vector<std::vector<int64_t>> ran;     // per layer: rows that ran anything
};
TwinOutcome twin(const std::vector<Block>& blocks, const TinyShape& shape, const Prompt& prompt);

/// Modules by their definitions, in float64.
Tensor plain_norm(const nn::Norm& norm, const Tensor& x);
Tensor plain_linear(const nn::Linear& linear, const Tensor& x);

/// The block-diagonal matrix of two groups, written out.  [hidden, rank]
Tensor written_out(const Tensor& weight);

/// Values, positions, gradients of x and of every weight: the executor over all prompts in one batch against the twin
/// one by one.
void expect_equals_twin(std::vector<Block> blocks, const TinyShape& shape, std::vector<Prompt> prompts,
                        const std::string& what);

/// The same for one prompt that is served: prefill with states, then row by row; cached positions exactly.
void expect_served_equals_twin(const std::vector<Block>& blocks, const TinyShape& shape, const Prompt& prompt,
                               const std::string& what);

/// The same for several prompts that are served together, joining at drawn passes.
void expect_served_together_equals_twin(const std::vector<Block>& blocks, const TinyShape& shape,
                                        const std::vector<Prompt>& prompts, Dice& dice, const std::string& what);

}  // namespace lithe::routing
