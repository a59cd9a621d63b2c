#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"
#include "models/model.h"
#include "text/conversation.h"

// Whose rules prompts, token ids and pictures follow. A folder follows its layout's own, unless its config.json names
// the other's under "conventions", as a converted folder does (docs/checkpoints.md).
namespace lithe::models {

constexpr const char* kConventions = "conventions";
/// What "conversation" of config.json may say besides a conversation's name: the folder's own chat template.
constexpr const char* kOwnTemplate = "chat_template";

/// The object "conventions" with "of": `other`; absent if there is none. Throws Error{bad_file} if it names something
/// else.
std::optional<JsonView> read_conventions(const JsonView& config, const char* other);

/// Which conversation a folder's prompts follow, and whether anything says so.
struct ConversationChoice {
  std::string name;  ///< Of a conversation, or kOwnTemplate.
  bool assumed = false;
};

/// "conversation" of config.json, else what the folder's name, model_type or "_name_or_path" say, else the chat
/// template among its `files`, else vicuna_v1 as an assumption. `folder` may not exist yet.
ConversationChoice choose_conversation(const std::filesystem::path& folder, const std::filesystem::path& files,
                                       const JsonView& config);

/// What the public code could tell from a folder's name and its config.
text::ConversationHints hints_of(const std::filesystem::path& folder, const JsonView& config);

/// Prompts follow this conversation. An assumption becomes a note of the model. `source` names config.json in errors.
/// Throws Error{bad_file} for an unknown name.
void follow_conversation(const ConversationChoice& choice, const std::string& source, Model& model);

/// LLaVA's own rules for pictures and tokens: the slow tokenizer on the texts between pictures, alpha dropped,
/// "image_aspect_ratio", "mm_patch_merge_type", "max_num_patches". The
/// model has its `vision`, whose `preprocess` holds what preprocessor_config.json says. Throws Error{bad_file}.
void follow_llava(const JsonView& keys, Model& model);

/// "anyres_max_9" under `key` -> 9: how many tiles' worth of patches a picture keeps; absent if the key says something
/// else. Throws Error{bad_file} for a number that cannot be one.
std::optional<int64_t> most_patches(const JsonView& config, const char* key, const std::string& fallback = {});

/// The rules of transformers for prompts: the folder's chat template, the whole prompt through tokenizer.json. A folder
/// without a template follows a conversation (choose_conversation). Throws Error{bad_file}.
void follow_template(const JsonView& config, Model& model);

/// What the folder's image processor does by the rules of transformers. `defaults`: what its class takes for keys that
/// the file leaves out. Throws Error{bad_file}.
image::PreprocessConfig read_processor(const std::filesystem::path& folder, Json defaults = Json::object());

/// Pictures become rows as in LLaVA-NeXT of transformers: a map without margins, a newline after each of its rows.
void pack_like_next(Vision& vision);

/// The settings of a folder's image processor, as transformers looks for them: "image_processor" of
/// processor_config.json, else preprocessor_config.json. Absent if there is none.
struct ImageProcessorFile {
  std::string file;
  Json settings;
};
std::optional<ImageProcessorFile> find_image_processor(const std::filesystem::path& folder);

}  // namespace lithe::models
