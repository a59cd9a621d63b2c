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
    std::fprintf(stderr, "%zu tokens, %lld of %lld prompt tokens are the picture's, plan %s, cache %lld bytes\n",
                 answer.tokens.size(), static_cast<long long>(answer.vision_rows),
                 static_cast<long long>(answer.prompt_rows), question.plan.value_or(model.plan()).c_str(),
                 static_cast<long long>(answer.cache_bytes));
  } catch (const lithe::Failure& failure) {
    std::fprintf(stderr, "ask: %s\n", failure.what());
    return 1;
  }
}
