#pragma once

#include <curl/curl.h>

namespace lithe::web {

/// The functions of libcurl. The library and the twenty that it needs are loaded when they are used for the first time:
/// most runs of the program never ask a server. It can't be linked either, since the Rust library's zstd has hidden
/// names that the linker would take for those of libcurl's zstd.
struct Curl {
  decltype(&curl_easy_init) easy_init;
  decltype(&curl_easy_setopt) easy_setopt;
  decltype(&curl_easy_perform) easy_perform;
  decltype(&curl_easy_getinfo) easy_getinfo;
  decltype(&curl_easy_cleanup) easy_cleanup;
  decltype(&curl_easy_strerror) easy_strerror;
  decltype(&curl_slist_append) slist_append;
  decltype(&curl_slist_free_all) slist_free_all;
  decltype(&curl_url) url;
  decltype(&curl_url_set) url_set;
  decltype(&curl_url_cleanup) url_cleanup;
};

/// Any thread may call it. Throws Error{bad_request} if libcurl is not installed.
const Curl& libcurl();

}  // namespace lithe::web
