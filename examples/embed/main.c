/* Answers a question about a picture: ask_c MODEL PICTURE QUESTION [PLAN] */
#include <lithe/lithe.h>
#include <stdio.h>

/* Each piece is printed as it comes; 0 would end the answer. */
static int print_piece(const char* piece, size_t size, void* user) {
  (void)user;
  return fwrite(piece, 1, size, stdout) == size && fflush(stdout) == 0;
}

static lithe_status ask(int argc, char** argv, lithe_model** model, lithe_picture** picture,
                        lithe_question** question) {
  lithe_status status = lithe_model_load(argv[1], NULL, model);
  if (status == LITHE_OK) status = lithe_picture_from_file(argv[2], picture);
  if (status == LITHE_OK) status = lithe_question_new(argv[3], question);
  if (status == LITHE_OK) status = lithe_question_add_picture(*question, *picture);
  if (status == LITHE_OK && argc == 5) status = lithe_question_set_plan(*question, argv[4]);
  if (status == LITHE_OK) status = lithe_ask(*model, *question, print_piece, NULL, NULL);
  return status;
}

int main(int argc, char** argv) {
  lithe_model* model = NULL;
  lithe_picture* picture = NULL;
  lithe_question* question = NULL;
  lithe_status status = LITHE_BAD_REQUEST;
  if (argc < 4 || argc > 5) {
    fprintf(stderr, "ask_c MODEL PICTURE QUESTION [PLAN]\n");
    return status;
  }
  status = ask(argc, argv, &model, &picture, &question);
  if (status == LITHE_OK) {
    printf("\n");
  } else {
    fprintf(stderr, "ask_c: %s\n", lithe_last_error());
  }
  lithe_question_free(question);
  lithe_picture_free(picture);
  lithe_model_free(model);
  return status;
}
