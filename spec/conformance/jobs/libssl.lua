--- Client and server in one process, joined by a pair of buffers.

local DECLARATIONS = [[
   typedef struct ssl_ctx_st SSL_CTX;
   typedef struct ssl_method_st SSL_METHOD;
   typedef struct ssl_st SSL;
   typedef struct bio_st BIO;
   typedef struct x509_st X509;
   typedef struct X509_name_st X509_NAME;
   typedef struct x509_store_st X509_STORE;
   typedef struct evp_pkey_st EVP_PKEY;
   typedef struct asn1_st ASN1;
   EVP_PKEY *EVP_PKEY_Q_keygen(void *context, const char *query,
      const char *type, ...);
   const void *EVP_sha256(void);
   X509 *X509_new(void);
   int X509_set_version(X509 *certificate, long version);
   ASN1 *X509_get_serialNumber(X509 *certificate);
   int ASN1_INTEGER_set(ASN1 *integer, long value);
   ASN1 *X509_getm_notBefore(X509 *certificate);
   ASN1 *X509_getm_notAfter(X509 *certificate);
   ASN1 *X509_gmtime_adj(ASN1 *time, long seconds);
   X509_NAME *X509_get_subject_name(X509 *certificate);
   int X509_NAME_add_entry_by_txt(X509_NAME *name, const char *field, int type,
      const char *bytes, int size, int at, int set);
   int X509_set_issuer_name(X509 *certificate, X509_NAME *name);
   int X509_set_pubkey(X509 *certificate, EVP_PKEY *key);
   int X509_sign(X509 *certificate, EVP_PKEY *key, const void *digest);
   int X509_STORE_add_cert(X509_STORE *store, X509 *certificate);
   int BIO_new_bio_pair(BIO **one, size_t one_size, BIO **other,
      size_t other_size);
   const SSL_METHOD *TLS_method(void);
   SSL_CTX *SSL_CTX_new(const SSL_METHOD *method);
   void SSL_CTX_free(SSL_CTX *context);
   long SSL_CTX_ctrl(SSL_CTX *context, int what, long number, void *data);
   int SSL_CTX_use_certificate(SSL_CTX *context, X509 *certificate);
   int SSL_CTX_use_PrivateKey(SSL_CTX *context, EVP_PKEY *key);
   void SSL_CTX_set_verify(SSL_CTX *context, int mode, void *callback);
   X509_STORE *SSL_CTX_get_cert_store(const SSL_CTX *context);
   SSL *SSL_new(SSL_CTX *context);
   void SSL_free(SSL *ssl);
   void SSL_set_bio(SSL *ssl, BIO *read, BIO *write);
   void SSL_set_connect_state(SSL *ssl);
   void SSL_set_accept_state(SSL *ssl);
   int SSL_set1_host(SSL *ssl, const char *name);
   int SSL_do_handshake(SSL *ssl);
   int SSL_get_error(const SSL *ssl, int result);
   long SSL_get_verify_result(const SSL *ssl);
   const char *SSL_get_version(const SSL *ssl);
   int SSL_write(SSL *ssl, const char *bytes, int size);
   int SSL_read(SSL *ssl, char *bytes, int size);
   unsigned long ERR_get_error(void);
   void ERR_error_string_n(unsigned long error, char *text, size_t size);
   enum { MBSTRING_ASC = 0x1001, SSL_VERIFY_PEER = 1, SSL_ERROR_WANT_READ = 2,
      SSL_CTRL_SET_MIN_PROTO_VERSION = 123, SSL_CTRL_SET_MAX_PROTO_VERSION = 124 };
]]

local VERSIONS = { ["TLSv1.2"] = 0x303, ["TLSv1.3"] = 0x304 }

return function (work)
   local ssl = work.open "libssl.so.3"
   local C = ssl:cdef(DECLARATIONS)
   local elf = work.elf

   local function reason ()
      local text = elf.new("char", 256)
      C.ERR_error_string_n(C.ERR_get_error(), text, 256)
      return work.string(text)
   end

   local function certificate (key)
      local made = C.X509_new()
      C.X509_set_version(made, 2)
      C.ASN1_INTEGER_set(C.X509_get_serialNumber(made), 1)
      C.X509_gmtime_adj(C.X509_getm_notBefore(made), -60)
      C.X509_gmtime_adj(C.X509_getm_notAfter(made), 3600)
      local name = C.X509_get_subject_name(made)
      C.X509_NAME_add_entry_by_txt(name, "CN", C.MBSTRING_ASC, "plugin.test",
         -1, -1, 0)
      C.X509_set_issuer_name(made, name)
      C.X509_set_pubkey(made, key)
      assert(C.X509_sign(made, key, C.EVP_sha256()) > 0, "X509_sign")
      return made
   end

   local key = assert(C.EVP_PKEY_Q_keygen(nil, nil, "EC", "P-256"))
   local own = certificate(key)

   local function context (version)
      local made = assert(C.SSL_CTX_new(C.TLS_method()), "SSL_CTX_new")
      for _, what in ipairs { C.SSL_CTRL_SET_MIN_PROTO_VERSION,
         C.SSL_CTRL_SET_MAX_PROTO_VERSION } do
         work.equal(C.SSL_CTX_ctrl(made, what, VERSIONS[version], nil), 1,
            version)
      end
      return made
   end

   -- The two ends after the handshake; nil and why when it does not come off.
   local function shake (version, trust, host)
      local server_context, client_context = context(version), context(version)
      work.equal(C.SSL_CTX_use_certificate(server_context, own), 1, "own")
      work.equal(C.SSL_CTX_use_PrivateKey(server_context, key), 1, "key")
      C.SSL_CTX_set_verify(client_context, C.SSL_VERIFY_PEER, nil)
      if trust then
         C.X509_STORE_add_cert(C.SSL_CTX_get_cert_store(client_context), own)
      end
      local client, server = C.SSL_new(client_context), C.SSL_new(server_context)
      local one, other = ssl:new "BIO *", ssl:new "BIO *"
      work.equal(C.BIO_new_bio_pair(one, 0, other, 0), 1, "a pair")
      C.SSL_set_bio(client, one[0], one[0])
      C.SSL_set_bio(server, other[0], other[0])
      C.SSL_set_connect_state(client)
      C.SSL_set_accept_state(server)
      C.SSL_set1_host(client, host)
      C.SSL_CTX_free(server_context)
      C.SSL_CTX_free(client_context)
      for _ = 1, 20 do
         local done = 0
         for _, side in ipairs { client, server } do
            local result = C.SSL_do_handshake(side)
            if result == 1 then
               done = done + 1
            elseif C.SSL_get_error(side, result) ~= C.SSL_ERROR_WANT_READ then
               local why = reason()
               C.SSL_free(client)
               C.SSL_free(server)
               return nil, why
            end
         end
         if done == 2 then return client, server end
      end
      error "the handshake does not end"
   end

   local function say (from, to, text)
      work.equal(C.SSL_write(from, text, #text), #text, "SSL_write")
      local room = elf.new("char", #text + 1)
      work.equal(C.SSL_read(to, room, #text + 1), #text, "SSL_read")
      work.equal(work.string(room, #text), text, "what was said")
   end

   for version in pairs(VERSIONS) do
      local client, server = shake(version, true, "plugin.test")
      assert(client, server)
      work.equal(work.string(C.SSL_get_version(client)), version, "version")
      work.equal(C.SSL_get_verify_result(client), 0, "the certificate")
      for _ = 1, 100 do
         say(client, server, ("question "):rep(100))
         say(server, client, ("answer "):rep(200))
      end
      C.SSL_free(client)
      C.SSL_free(server)
      for host, trust in pairs { ["plugin.test"] = false, ["else.test"] = true } do
         local none, why = shake(version, trust, host)
         assert(not none, "an unknown server is believed")
         assert(why:find "certificate verify failed", why)
      end
   end
   return "TLS 1.2 and 1.3: handshakes, 400 messages, 4 strangers refused"
end
