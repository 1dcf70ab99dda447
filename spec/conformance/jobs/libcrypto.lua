--- Digests, ciphers and signatures, compared with what other programs answer.

local DECLARATIONS = [[
   typedef struct evp_md_st EVP_MD;
   typedef struct evp_md_ctx_st EVP_MD_CTX;
   typedef struct evp_cipher_st EVP_CIPHER;
   typedef struct evp_cipher_ctx_st EVP_CIPHER_CTX;
   typedef struct evp_pkey_st EVP_PKEY;
   typedef struct ossl_provider_st OSSL_PROVIDER;
   EVP_MD *EVP_MD_fetch(void *context, const char *name, const char *query);
   void EVP_MD_free(EVP_MD *digest);
   int EVP_Digest(const char *bytes, size_t size, unsigned char *digest,
      unsigned int *digest_size, const EVP_MD *kind, void *engine);
   unsigned char *HMAC(const EVP_MD *kind, const char *key, int key_size,
      const char *bytes, size_t size, unsigned char *digest,
      unsigned int *digest_size);
   const EVP_MD *EVP_sha256(void);
   const EVP_CIPHER *EVP_aes_256_gcm(void);
   EVP_CIPHER_CTX *EVP_CIPHER_CTX_new(void);
   void EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *context);
   int EVP_CIPHER_CTX_ctrl(EVP_CIPHER_CTX *context, int what, int size,
      void *data);
   int EVP_CipherInit_ex(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher,
      void *engine, const char *key, const char *iv, int encrypt);
   int EVP_CipherUpdate(EVP_CIPHER_CTX *context, unsigned char *to, int *to_size,
      const char *from, int size);
   int EVP_CipherFinal_ex(EVP_CIPHER_CTX *context, unsigned char *to, int *size);
   EVP_PKEY *EVP_PKEY_Q_keygen(void *context, const char *query,
      const char *type, ...);
   void EVP_PKEY_free(EVP_PKEY *key);
   EVP_MD_CTX *EVP_MD_CTX_new(void);
   void EVP_MD_CTX_free(EVP_MD_CTX *context);
   int EVP_DigestSignInit(EVP_MD_CTX *context, void *pkey_context,
      const EVP_MD *kind, void *engine, EVP_PKEY *key);
   int EVP_DigestSign(EVP_MD_CTX *context, unsigned char *signature,
      size_t *signature_size, const char *bytes, size_t size);
   int EVP_DigestVerifyInit(EVP_MD_CTX *context, void *pkey_context,
      const EVP_MD *kind, void *engine, EVP_PKEY *key);
   int EVP_DigestVerify(EVP_MD_CTX *context, const unsigned char *signature,
      size_t signature_size, const char *bytes, size_t size);
   OSSL_PROVIDER *OSSL_PROVIDER_load(void *context, const char *name);
   int OSSL_PROVIDER_unload(OSSL_PROVIDER *provider);
   enum { EVP_CTRL_GCM_GET_TAG = 16, EVP_CTRL_GCM_SET_TAG = 17 };
]]

local function hexadecimal (bytes)
   return (bytes:gsub(".", function (byte)
      return ("%02x"):format(byte:byte())
   end))
end

return function (work)
   local crypto = work.open "libcrypto.so.3"
   local C = crypto:cdef(DECLARATIONS)
   local elf = work.elf

   local function digest (name, bytes)
      local kind = C.EVP_MD_fetch(nil, name, nil)
      if not kind then return end
      local room, size = elf.new("unsigned char", 64), elf.new "unsigned int"
      work.equal(C.EVP_Digest(bytes, #bytes, room, size, kind, nil), 1, name)
      C.EVP_MD_free(kind)
      return hexadecimal(work.string(room, size[0]))
   end

   -- The system's own programs have an opinion about a file, too.
   local bytes = ("elf64load\0\255"):rep(12345)
   local path = work.folder .. "/bytes"
   work.write(path, bytes)
   local digests = { MD5 = "md5sum", SHA1 = "sha1sum", SHA224 = "sha224sum",
      SHA256 = "sha256sum", SHA384 = "sha384sum", SHA512 = "sha512sum",
      BLAKE2B512 = "b2sum" }
   for name, command in pairs(digests) do
      work.equal(digest(name, bytes),
         work.output(command .. " " .. path):match "^%x+", name)
   end
   work.equal(digest("SHA3-256", ""), "a7ffc6f8bf1ed76651c14756a061d662f580ff4de"
      .. "43b49fa82d80a4b80f8434a", "SHA3-256 of nothing")

   local mac, mac_size = elf.new("unsigned char", 64), elf.new "unsigned int"
   assert(C.HMAC(C.EVP_sha256(), "key", 3,
      "The quick brown fox jumps over the lazy dog", 43, mac, mac_size))
   work.equal(hexadecimal(work.string(mac, mac_size[0])),
      "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
      "HMAC")

   -- Encrypts, or decrypts what a tag vouches for; nil when it does not.
   local function gcm (text, tag)
      local context = C.EVP_CIPHER_CTX_new()
      local room, size = elf.new("unsigned char", #text + 16), elf.new "int"
      work.equal(C.EVP_CipherInit_ex(context, C.EVP_aes_256_gcm(), nil,
         ("k"):rep(32), ("i"):rep(12), tag and 0 or 1), 1, "AES")
      work.equal(C.EVP_CipherUpdate(context, room, size, text, #text), 1, "AES")
      local count = size[0]
      local place = elf.new("unsigned char", 16)
      if tag then
         for at = 1, 16 do place[at - 1] = tag:byte(at) end
         C.EVP_CIPHER_CTX_ctrl(context, C.EVP_CTRL_GCM_SET_TAG, 16, place)
      end
      local good = C.EVP_CipherFinal_ex(context, room + count, size) == 1
      if not tag then
         C.EVP_CIPHER_CTX_ctrl(context, C.EVP_CTRL_GCM_GET_TAG, 16, place)
      end
      C.EVP_CIPHER_CTX_free(context)
      if good then
         return work.string(room, count), tag or work.string(place, 16)
      end
   end

   local secret, tag = gcm(bytes)
   assert(secret ~= bytes and gcm(secret, tag) == bytes, "AES-GCM")
   assert(not gcm(secret:sub(2) .. "x", tag), "AES-GCM takes what is not its own")

   -- A bit count is a size_t, for which an integer of Lua's is passed as long.
   local keys = {
      { "RSA", C.EVP_PKEY_Q_keygen(nil, nil, "RSA", 2048), C.EVP_sha256() },
      { "ED25519", C.EVP_PKEY_Q_keygen(nil, nil, "ED25519") },
   }
   for _, key in ipairs(keys) do
      local name, pair, kind = key[1], key[2], key[3]
      assert(pair, name)
      local context = C.EVP_MD_CTX_new()
      local room, size = elf.new("unsigned char", 512), elf.new("size_t", { 512 })
      work.equal(C.EVP_DigestSignInit(context, nil, kind, nil, pair), 1, name)
      work.equal(C.EVP_DigestSign(context, room, size, bytes, #bytes), 1, name)
      C.EVP_MD_CTX_free(context)
      local function verify (text)
         local other = C.EVP_MD_CTX_new()
         C.EVP_DigestVerifyInit(other, nil, kind, nil, pair)
         local answer = C.EVP_DigestVerify(other, room, size[0], text, #text)
         C.EVP_MD_CTX_free(other)
         return answer == 1
      end
      assert(verify(bytes), name .. " does not verify its own signature")
      assert(not verify(bytes .. "!"), name .. " verifies another text")
      C.EVP_PKEY_free(pair)
   end

   -- MD4 is in a provider that libcrypto opens as a plugin.
   assert(not digest("MD4", ""), "MD4 is there without its provider")
   local default = assert(C.OSSL_PROVIDER_load(nil, "default"))
   local legacy = assert(C.OSSL_PROVIDER_load(nil, "legacy"),
      "the legacy provider does not load")
   work.ours "/legacy%.so$"
   work.equal(digest("MD4", ""), "31d6cfe0d16ae931b73c59d7e0c089c0", "MD4")
   work.equal(C.OSSL_PROVIDER_unload(legacy), 1, "unload")
   work.equal(C.OSSL_PROVIDER_unload(default), 1, "unload")
   return "9 digests, HMAC, AES-256-GCM, RSA, Ed25519, the legacy provider"
end
