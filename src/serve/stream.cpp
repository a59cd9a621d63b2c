#include "serve/stream.h"

#include "base/error.h"
#include "base/printable.h"

namespace lithe::serve {

std::unique_ptr<asio::ssl::context> tls_context(const ServerOptions& options) {
  const std::string &certificate = options.tls_certificate, &key = options.tls_key;
  if (certificate.empty() && key.empty()) return nullptr;
  require(!certificate.empty() && !key.empty(), Fault::bad_request,
          "--tls-cert and --tls-key belong together; give both or neither.");
  using Context = asio::ssl::context;
  auto context = std::make_unique<Context>(Context::tls_server);
  context->set_options(Context::default_workarounds | Context::no_sslv2 | Context::no_sslv3 | Context::no_tlsv1 |
                       Context::no_tlsv1_1 | SSL_OP_NO_RENEGOTIATION);
  context->set_password_callback([](std::size_t, Context::password_purpose) { return std::string(); });  // don't ask
  boost::system::error_code error;
  context->use_certificate_chain_file(certificate, error);
  require(!error, Fault::bad_request, "--tls-cert ", in_quotes(certificate), " can't be used: ", error.message(),
          "; give a certificate as PEM, with those of its issuers after it.");
  context->use_private_key_file(key, Context::pem, error);
  require(!error, Fault::bad_request, "--tls-key ", in_quotes(key),
          " can't be used with this certificate: ", error.message(),
          "; give its private key as PEM, without a password.");
  return context;
}

}  // namespace lithe::serve
