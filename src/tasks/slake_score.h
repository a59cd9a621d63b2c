#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tasks/task.h"

namespace lithe::tasks {

/// The right answer of a question.
struct SlakeAnswer {
  std::string reference;
  bool closed = false;  ///< The question lists its answers; else it is open.
};

/// Of "answer_type": CLOSED or OPEN. Throws Error{bad_file} for anything else.
bool is_closed_type(const std::string& type);

/// Whether the answer holds the reference, both normalised: as a piece of text, so "male" is in "female".
bool slake_hit(const SlakeAnswer& right, const std::string& answer);

/// Means over the answers of SLAKE, as LLaVA-EAS computes them with the metrics of LLaVA-Med.
class SlakeTable {
 public:
  void add(const SlakeAnswer& right, const std::string& answer);
  /// open, closed, overall; of the open ones also exact match, F1, precision, recall, BLEU and BLEU-1 to BLEU-3.
  std::vector<Score> scores() const;

 private:
  static constexpr std::size_t kOpenMeans = 9;

  int64_t open_ = 0, closed_ = 0;
  double closed_hits_ = 0;
  std::array<double, kOpenMeans> sums_{};  ///< Over open answers.
};

}  // namespace lithe::tasks
