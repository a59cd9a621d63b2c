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
typedef struct lithe_cancel lithe_cancel;
typedef struct lithe_conversation lithe_conversation;
typedef struct lithe_outcomes lithe_outcomes;

/* The same numbers as the program's exit codes. */
typedef enum lithe_status {
  LITHE_OK = 0,
  LITHE_FAILED = 1,      /* no memory, or a mistake of Lithe's own */
  LITHE_BAD_REQUEST = 2, /* what was asked is impossible */
  LITHE_BAD_FILE = 3     /* a file is missing, damaged or does not fit */
} lithe_status;

/* "0.1.0" */
LITHE_API const char* lithe_version(void);

/* The last failure of this thread, valid until its next; "" if nothing failed yet. */
LITHE_API const char* lithe_last_error(void);

/* The built-in plans, ascending by name; NULL after the last. */
LITHE_API const char* lithe_plan_name(size_t index);

/* Called while weights are read. */
typedef void (*lithe_on_progress)(int64_t bytes_done, int64_t bytes_total, void* user);

/* How a model is opened; begin with LITHE_LOAD_OPTIONS_INIT, which leaves everything at its default. */
typedef struct lithe_load_options {
  size_t size;                /* sizeof this struct, so that later members don't break a program */
  const char* lora;           /* a PEFT folder whose LoRA goes over the model; NULL: none */
  const char* weights;        /* auto (NULL), float32, bfloat16, float16, int8, int4 */
  const char* device;         /* cpu (NULL), cuda, cuda:N */
  int64_t threads;            /* 0: as many as there are cores */
  lithe_on_progress progress; /* may be NULL */
  void* user;                 /* given to progress */
  const char* kv;             /* how keys and values are cached: float32 (NULL), bfloat16, int8 */
} lithe_load_options;
#define LITHE_LOAD_OPTIONS_INIT \
  { sizeof(lithe_load_options), NULL, NULL, NULL, 0, NULL, NULL, NULL }

/* Opens a model: a folder, a name on the Hugging Face hub whose files are in the local cache, "demo" or "demo-dense".
 * options may be NULL. One thread at a time may use a model. */
LITHE_API lithe_status lithe_model_load(const char* name, const lithe_load_options* options, lithe_model** model);
LITHE_API void lithe_model_free(lithe_model* model);
/* The folder's name; "llava", "llava_next", "llava_original", ...; the name of its own plan. Valid as long as the model
 * is; "" of NULL. */
LITHE_API const char* lithe_model_name(const lithe_model* model);
LITHE_API const char* lithe_model_family(const lithe_model* model);
LITHE_API const char* lithe_model_plan(const lithe_model* model);
/* What was assumed about the folder, and which of its settings are ignored, as sentences; NULL after the last. */
LITHE_API const char* lithe_model_note(const lithe_model* model, size_t index);
/* Bytes of the weights in memory. */
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
/* A built-in plan, a JSON file, or JSON text, which begins with "{" or "[". */
LITHE_API lithe_status lithe_question_set_plan(lithe_question* question, const char* plan);
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

/* Answers. on_text may be NULL; answer may be NULL if only the pieces are wanted. */
LITHE_API lithe_status lithe_ask(lithe_model* model, const lithe_question* question, lithe_on_text on_text, void* user,
                                 lithe_answer** answer);

/* Ends an answer from any thread: after the current layer or token. One handle may end several answers;
 * once requested it stays so. Free it after the answers that it is given to. */
LITHE_API lithe_status lithe_cancel_new(lithe_cancel** cancel);
LITHE_API void lithe_cancel_request(lithe_cancel* cancel);
LITHE_API void lithe_cancel_free(lithe_cancel* cancel);

typedef enum lithe_stage {
  LITHE_STAGE_PICTURES = 0, /* layers of the vision tower, over picture `item` (from 0) of `items` */
  LITHE_STAGE_PREFILL = 1,  /* layers of the decoder, over the `rows` rows of the prompt that run */
  LITHE_STAGE_DECODE = 2    /* new tokens */
} lithe_stage;
typedef struct lithe_progress {
  lithe_stage stage;
  int64_t done, total;
  int64_t item, items;
  int64_t rows;
} lithe_progress;

/* Callbacks while an answer is made; begin with LITHE_LISTENER_INIT. Every member may be NULL. */
typedef struct lithe_listener {
  size_t size; /* sizeof this struct */
  lithe_on_text on_text;
  void (*on_progress)(const lithe_progress* progress, void* user);
  void* user; /* given to both */
  lithe_cancel* cancel;
} lithe_listener;
#define LITHE_LISTENER_INIT \
  { sizeof(lithe_listener), NULL, NULL, NULL, NULL }

/* lithe_ask with a listener, which may be NULL. */
LITHE_API lithe_status lithe_ask_heard(lithe_model* model, const lithe_question* question,
                                       const lithe_listener* listener, lithe_answer** answer);

/* Valid as long as the answer is. */
LITHE_API const char* lithe_answer_text(const lithe_answer* answer);
/* Why it ended, also as "eos", "stop", "length", "cancelled". */
typedef enum lithe_stop {
  LITHE_STOP_EOS = 0,      /* the model ended it */
  LITHE_STOP_STRING = 1,   /* one of the question's stop texts, or of the model's own */
  LITHE_STOP_LENGTH = 2,   /* the most tokens, or the model's longest sequence */
  LITHE_STOP_CANCELLED = 3 /* the caller ended it */
} lithe_stop;
LITHE_API lithe_stop lithe_answer_stop_reason(const lithe_answer* answer);
LITHE_API const char* lithe_answer_stop(const lithe_answer* answer);
/* count may be NULL. */
LITHE_API const int64_t* lithe_answer_tokens(const lithe_answer* answer, size_t* count);
/* Tokens of the prompt, those of pictures included; those of pictures; in a conversation those kept from the
 * previous turn, which are not computed again. */
LITHE_API int64_t lithe_answer_prompt_rows(const lithe_answer* answer);
LITHE_API int64_t lithe_answer_vision_rows(const lithe_answer* answer);
LITHE_API int64_t lithe_answer_reused_rows(const lithe_answer* answer);
/* Per decoder layer: rows of the prompt that it ran; rows in the key-value cache after the prompt. count may be NULL.
 */
LITHE_API const int64_t* lithe_answer_layer_rows(const lithe_answer* answer, size_t* count);
LITHE_API const int64_t* lithe_answer_layer_cache_rows(const lithe_answer* answer, size_t* count);
/* Operations of the whole prompt through the decoder, counted from the plan; the same without a plan. */
LITHE_API double lithe_answer_prefill_flops(const lithe_answer* answer);
LITHE_API double lithe_answer_dense_prefill_flops(const lithe_answer* answer);
/* Size of the key-value cache at the end, in bytes. */
LITHE_API int64_t lithe_answer_cache_bytes(const lithe_answer* answer);
/* Wall-clock: pictures to rows; until the first token was chosen; the tokens after it. */
LITHE_API double lithe_answer_image_ms(const lithe_answer* answer);
LITHE_API double lithe_answer_prefill_ms(const lithe_answer* answer);
LITHE_API double lithe_answer_decode_ms(const lithe_answer* answer);
LITHE_API void lithe_answer_free(lithe_answer* answer);

/* Several turns with one model. Each answer equals the one that a fresh run of the whole conversation gives; rows that
 * would come out the same are not computed again. The model may be freed before it. `system` may be NULL: the model's
 * own system message. */
LITHE_API lithe_status lithe_conversation_new(lithe_model* model, const char* system,
                                              lithe_conversation** conversation);
/* The next turn. A raw prompt or a system message of the question is refused; its plan stays for the turns to come.
 * After a failure the conversation is as it was before. */
LITHE_API lithe_status lithe_conversation_ask(lithe_conversation* conversation, const lithe_question* question,
                                              const lithe_listener* listener, lithe_answer** answer);
/* The plan of the turns to come; NULL: the model's own. */
LITHE_API lithe_status lithe_conversation_use_plan(lithe_conversation* conversation, const char* plan);
/* Forgets all turns; the system message and the plan stay. */
LITHE_API lithe_status lithe_conversation_reset(lithe_conversation* conversation);
LITHE_API void lithe_conversation_free(lithe_conversation* conversation);

/* How questions run together; begin with LITHE_BATCH_OPTIONS_INIT. */
typedef struct lithe_batch_options {
  size_t size;          /* sizeof this struct */
  int64_t at_a_time;    /* answers at a time, at most */
  int64_t prefill_rows; /* rows of prompts that join at a time, at most; one prompt may be longer */
  int64_t bytes;        /* of memory beside the weights; 0: half of what is free */
  int (*on_text)(size_t question, const char* piece, size_t size, void* user); /* as lithe_on_text; may be NULL */
  void* user;
  lithe_cancel* cancel;         /* ends all that is not answered yet; may be NULL */
  lithe_cancel* const* cancels; /* NULL, or one for each question, which ends that answer alone and may be NULL */
} lithe_batch_options;
#define LITHE_BATCH_OPTIONS_INIT \
  { sizeof(lithe_batch_options), 16, 4096, 0, NULL, NULL, NULL, NULL }

/* Answers several questions together, which is faster than one after another. An error in one question is
 * its outcome and does not affect the others. options may be NULL. */
LITHE_API lithe_status lithe_ask_all(lithe_model* model, const lithe_question* const* questions, size_t count,
                                     const lithe_batch_options* options, lithe_outcomes** outcomes);
/* Of the question of this index: its status; its sentence, "" if it was answered; its answer, NULL if not. They belong
 * to the outcomes. */
LITHE_API lithe_status lithe_outcome_status(const lithe_outcomes* outcomes, size_t index);
LITHE_API const char* lithe_outcome_error(const lithe_outcomes* outcomes, size_t index);
LITHE_API const lithe_answer* lithe_outcome_answer(const lithe_outcomes* outcomes, size_t index);
LITHE_API void lithe_outcomes_free(lithe_outcomes* outcomes);

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
