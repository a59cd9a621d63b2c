#include "tasks/slake_score.h"

#include "base/error.h"
#include "base/printable.h"
#include "tasks/answer_words.h"
#include "tasks/bleu.h"
#include "tasks/word_overlap.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

constexpr std::array<const char*, 9> kOpenNames{"open", "exact match", "f1",     "precision", "recall",
                                                "bleu", "bleu-1",      "bleu-2", "bleu-3"};

}  // namespace

bool is_closed_type(const std::string& type) {
  const std::string given = text::stripped(type);
  require(given == "CLOSED" || given == "OPEN", Fault::bad_file, "'answer_type' is ", in_quotes(type),
          ", neither CLOSED nor OPEN");
  return given == "CLOSED";
}

bool slake_hit(const SlakeAnswer& right, const std::string& answer) {
  return normalized_answer(answer).find(normalized_answer(right.reference)) != std::string::npos;
}

void SlakeTable::add(const SlakeAnswer& right, const std::string& answer) {
  const double hit = slake_hit(right, answer) ? 1 : 0;
  if (right.closed) {
    ++closed_;
    closed_hits_ += hit;
    return;
  }
  ++open_;
  const std::string given = normalized_answer(answer), wanted = normalized_answer(right.reference);
  const WordOverlap overlap = word_overlap(given, wanted);
  const auto bleu = [&](const std::array<double, 4>& weights) { return sentence_bleu(given, wanted, weights); };
  const std::array<double, kOpenMeans> values{hit,
                                              overlap.exact,
                                              overlap.f1,
                                              overlap.precision,
                                              overlap.recall,
                                              bleu({0.25, 0.25, 0.25, 0.25}),
                                              bleu({1, 0, 0, 0}),
                                              bleu({0, 1, 0, 0}),
                                              bleu({0, 0, 1, 0})};
  for (std::size_t i = 0; i < kOpenMeans; ++i) sums_[i] += values[i];
}

std::vector<Score> SlakeTable::scores() const {
  std::vector<Score> scores;
  const auto percent = [](double sum, int64_t count) { return 100 * sum / static_cast<double>(count); };
  if (open_ > 0) scores.push_back({kOpenNames[0], percent(sums_[0], open_), open_});
  if (closed_ > 0) scores.push_back({"closed", percent(closed_hits_, closed_), closed_});
  if (open_ + closed_ > 0)
    scores.push_back({"overall", percent(sums_[0] + closed_hits_, open_ + closed_), open_ + closed_});
  for (std::size_t i = 1; i < kOpenMeans && open_ > 0; ++i)
    scores.push_back({kOpenNames[i], percent(sums_[i], open_), open_});
  return scores;
}

}  // namespace lithe::tasks
