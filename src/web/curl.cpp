#include "web/curl.h"

#include <dlfcn.h>

#include "base/error.h"

namespace lithe::web {
namespace {

template <class Function>
void find(void* library, const char* name, Function& function) {
  void* const found = ::dlsym(library, name);
  require(found != nullptr, Fault::bad_request, "libcurl.so.4 has no ", name, "; install libcurl 7.85 or newer.");
  function = reinterpret_cast<Function>(found);
}

Curl loaded() {
  void* const library = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  require(library != nullptr, Fault::bad_request,
          "libcurl.so.4, which asks other servers, can't be loaded; install the package libcurl4.");
  Curl curl{};
  find(library, "curl_easy_init", curl.easy_init);
  find(library, "curl_easy_setopt", curl.easy_setopt);
  find(library, "curl_easy_perform", curl.easy_perform);
  find(library, "curl_easy_getinfo", curl.easy_getinfo);
  find(library, "curl_easy_cleanup", curl.easy_cleanup);
  find(library, "curl_easy_strerror", curl.easy_strerror);
  find(library, "curl_slist_append", curl.slist_append);
  find(library, "curl_slist_free_all", curl.slist_free_all);
  find(library, "curl_url", curl.url);
  find(library, "curl_url_set", curl.url_set);
  find(library, "curl_url_cleanup", curl.url_cleanup);
  decltype(&curl_global_init) start = nullptr;
  find(library, "curl_global_init", start);
  require(start(CURL_GLOBAL_DEFAULT) == CURLE_OK, Fault::internal, "libcurl can't be started.");
  return curl;
}

}  // namespace

const Curl& libcurl() {
  static const Curl curl = loaded();
  return curl;
}

}  // namespace lithe::web
