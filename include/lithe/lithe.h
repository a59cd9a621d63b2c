#pragma once

/* Lithe in a C program. Handles are opaque and freed by their own function (NULL is fine); no exception leaves a
 * function. A function that can fail returns a status, leaves its result alone when it fails, and lithe_last_error()
 * then says in one sentence what was wrong. Strings are UTF-8. The C++ face is lithe/model.h. */

#include <stddef.h>
#include <stdint.h>

#include "lithe/export.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lithe_model lithe_model;
typedef struct lithe_picture lithe_picture;
typedef struct lithe_question lithe_question;
typedef struct lithe_answer lithe_answer;
typedef struct lithe_features lithe_features;

/* The same numbers as the program's exit codes. */
typedef enum lithe_status {
  LITHE_OK = 0,
  LITHE_FAILED = 1,      /* no memory, or a mistake of Lithe's own */
  LITHE_BAD_REQUEST = 2, /* what was asked is impossible */
  LITHE_BAD_FILE = 3     /* a file is missing, damaged or does not fit */
} lithe_status;

/* "0.1.0" */
LITHE_API const char* lithe_version(void);

/* The last failure of this thread, valid until its next; "" where nothing failed yet. */
LITHE_API const char* lithe_last_error(void);

/* The built-in plans, ascending by name; NULL behind the last. */
LITHE_API const char* lithe_plan_name(size_t index);

/* Called while weights are read. */
typedef void (*lithe_on_progress)(int64_t bytes_done, int64_t bytes_total, void* user);

/* How a model is opened; begin with LITHE_LOAD_OPTIONS_INIT, which leaves everything at its default. */
typedef struct lithe_load_options {
  size_t size;                /* sizeof this struct, so that later members don't break a program */
  const char* lora;           /* a PEFT folder whose LoRA goes over the model; NULL: none */
  const char* weights;        /* auto (NULL), float32, bfloat16, float16 */
  const char* device;         /* cpu (NULL), cuda, cuda:N */
  int64_t threads;            /* 0: as many as there are cores */
  lithe_on_progress progress; /* may be NULL */
  void* user;                 /* given to progress */
} lithe_load_options;
#define LITHE_LOAD_OPTIONS_INIT \
  { sizeof(lithe_load_options), NULL, NULL, NULL, 0, NULL, NULL }

/* Opens a model folder; options may be NULL. One thread at a time may use a model. */
LITHE_API lithe_status lithe_model_load(const char* folder, const lithe_load_options* options, lithe_model** model);
LITHE_API void lithe_model_free(lithe_model* model);
/* The folder's name; "llava", "llava_next", "llava_original", ...; the name of its own plan. Valid as long as the model
 * is; "" of NULL. */
LITHE_API const char* lithe_model_name(const lithe_model* model);
LITHE_API const char* lithe_model_family(const lithe_model* model);
LITHE_API const char* lithe_model_plan(const lithe_model* model);
/* As held. */
LITHE_API int64_t lithe_model_weight_bytes(const lithe_model* model);

/* A picture by its file, by the bytes of such a file, or by width * height * 3 bytes of RGB. Bytes are copied; files
 * are read when the picture is asked about. */
LITHE_API lithe_status lithe_picture_from_file(const char* path, lithe_picture** picture);
LITHE_API lithe_status lithe_picture_from_memory(const void* bytes, size_t size, lithe_picture** picture);
LITHE_API lithe_status lithe_picture_from_rgb(const uint8_t* rgb, int64_t width, int64_t height,
                                              lithe_picture** picture);
LITHE_API void lithe_picture_free(lithe_picture* picture);

/* A question: "<image>" marks where a picture goes; without a mark pictures go in front. Everything is copied. */
LITHE_API lithe_status lithe_question_new(const char* prompt, lithe_question** question);
LITHE_API lithe_status lithe_question_add_picture(lithe_question* question, const lithe_picture* picture);
/* In place of the model's own system message. */
LITHE_API lithe_status lithe_question_set_system(lithe_question* question, const char* text);
/* A built-in plan or a JSON file. */
LITHE_API lithe_status lithe_question_set_plan(lithe_question* question, const char* name_or_file);
/* Take the prompt as it is, without the chat template. */
LITHE_API lithe_status lithe_question_set_raw(lithe_question* question, int raw);
LITHE_API lithe_status lithe_question_set_max_tokens(lithe_question* question, int64_t count);
/* The answer ends in front of this text; may be called several times. */
LITHE_API lithe_status lithe_question_add_stop(lithe_question* question, const char* text);

/* How tokens are drawn; begin with LITHE_SAMPLING_INIT. A value below 0, or NaN, leaves that one to the model
 * (generation_config.json, else greedy). */
typedef struct lithe_sampling {
  size_t size;               /* sizeof this struct */
  double temperature;        /* 0: greedy */
  int64_t top_k;             /* 0: all tokens */
  double top_p, min_p;       /* 1 and 0: no filter */
  double repetition_penalty; /* 1: none */
  uint64_t seed;
} lithe_sampling;
#define LITHE_SAMPLING_INIT \
  { sizeof(lithe_sampling), -1, -1, -1, -1, -1, 0 }

LITHE_API lithe_status lithe_question_set_sampling(lithe_question* question, const lithe_sampling* sampling);
LITHE_API void lithe_question_free(lithe_question* question);

/* Called with each settled piece of an answer, size bytes and a closing 0; returning 0 ends the answer there. */
typedef int (*lithe_on_text)(const char* piece, size_t size, void* user);

/* Answers. on_text may be NULL; answer may be NULL where only the pieces are wanted. */
LITHE_API lithe_status lithe_ask(lithe_model* model, const lithe_question* question, lithe_on_text on_text, void* user,
                                 lithe_answer** answer);
/* Valid as long as the answer is. */
LITHE_API const char* lithe_answer_text(const lithe_answer* answer);
/* Why it ended: "eos", "stop", "length", "cancelled". */
LITHE_API const char* lithe_answer_stop(const lithe_answer* answer);
/* count may be NULL. */
LITHE_API const int64_t* lithe_answer_tokens(const lithe_answer* answer, size_t* count);
/* Tokens of the prompt, those of pictures included; those of pictures. */
LITHE_API int64_t lithe_answer_prompt_rows(const lithe_answer* answer);
LITHE_API int64_t lithe_answer_vision_rows(const lithe_answer* answer);
/* What the key-value cache held in the end. */
LITHE_API int64_t lithe_answer_cache_bytes(const lithe_answer* answer);
/* Wall-clock: pictures to rows; until the first token was chosen; the tokens after it. */
LITHE_API double lithe_answer_image_ms(const lithe_answer* answer);
LITHE_API double lithe_answer_prefill_ms(const lithe_answer* answer);
LITHE_API double lithe_answer_decode_ms(const lithe_answer* answer);
LITHE_API void lithe_answer_free(lithe_answer* answer);

/* What the model makes of a picture: tower [tiles, tokens, width], and the rows of the prompt [rows, hidden]. */
typedef struct lithe_features_view {
  int64_t tiles, tokens, width;
  const float* tower;
  int64_t rows, hidden;
  const float* projected;
} lithe_features_view;

LITHE_API lithe_status lithe_features_of(const lithe_model* model, const lithe_picture* picture,
                                         lithe_features** features);
/* The pointers are valid as long as the features are. */
LITHE_API lithe_features_view lithe_features_read(const lithe_features* features);
LITHE_API void lithe_features_free(lithe_features* features);

#ifdef __cplusplus
}
#endif
