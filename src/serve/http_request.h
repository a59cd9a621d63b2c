#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/buffers_range.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/optional.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>

#include "serve/service.h"

namespace lithe::serve {

/// A body of Beast, as text. Unlike Beast's own, it takes memory for what has come, not for what the header promises.
struct GrowingBody {
  using value_type = std::string;

  class reader {
   public:
    template <bool is_request, class Fields>
    reader(boost::beast::http::header<is_request, Fields>&, std::string& text) : text_(text) {}

    void init(const boost::optional<std::uint64_t>&, boost::system::error_code& error) { error = {}; }
    template <class Buffers>
    std::size_t put(const Buffers& buffers, boost::system::error_code& error) {
      error = {};
      const std::size_t before = text_.size();
      try {
        for (const auto buffer : boost::beast::buffers_range_ref(buffers))
          text_.append(static_cast<const char*>(buffer.data()), buffer.size());
      } catch (const std::exception&) {
        error = boost::beast::http::error::need_buffer;  // what Beast's own bodies say if memory runs out
      }
      return text_.size() - before;
    }
    void finish(boost::system::error_code& error) { error = {}; }

   private:
    std::string& text_;
  };
};

using RequestParser = boost::beast::http::request_parser<GrowingBody>;
using RequestHeader = boost::beast::http::request_header<>;

/// Throws Refusal of status 400 if another reader of this header could see another end of the request, or another name
/// of the server. Beast's parser takes such headers.
void check_framing(const RequestHeader& header);

/// What the server's routes want to know of a header. Throws Refusal of status 400 for a target that is a URL without a
/// server.
RequestHead head_of(const RequestHeader& header);

}  // namespace lithe::serve
