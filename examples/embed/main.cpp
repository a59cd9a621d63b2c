// Answers a question about a picture: ask MODEL PICTURE QUESTION [PLAN]
#include <lithe/model.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (argc < 4 || argc > 5) {
    std::fprintf(stderr, "ask MODEL PICTURE QUESTION [PLAN]\n");
    return 2;
  }
  try {
    lithe::Model model = lithe::Model::load(argv[1]);

    lithe::Question question;
    question.pictures = {lithe::Picture::from_file(argv[2])};
    question.prompt = argv[3];
    if (argc == 5) question.plan = argv[4];

    // Each piece is printed as it comes; false would end the answer.
    const lithe::Answer answer = model.ask(question, [](std::string_view piece) {
      std::fwrite(piece.data(), 1, piece.size(), stdout);
      return std::fflush(stdout) == 0;
    });
    std::printf("\n");
    std::fprintf(stderr, "%zu tokens (ended by %s), %lld of %lld prompt tokens are the picture's, cache %lld bytes\n",
                 answer.tokens.size(), lithe::name_of(answer.stop), static_cast<long long>(answer.vision_rows),
                 static_cast<long long>(answer.prompt_rows), static_cast<long long>(answer.cache_bytes));
    std::fprintf(stderr, "plan %s: %.1f %% of the dense operations; rows per layer:",
                 question.plan.value_or(model.plan()).c_str(), 100 * answer.counted_share());
    for (const std::int64_t rows : answer.layer_rows) std::fprintf(stderr, " %lld", static_cast<long long>(rows));
    std::fprintf(stderr, "\n");
  } catch (const lithe::Failure& failure) {
    std::fprintf(stderr, "ask: %s\n", failure.what());
    return 1;
  }
}
