--- Files fetched and stored by their URL.

local DECLARATIONS = [[
   typedef struct CURL CURL;
   typedef struct FILE FILE;
   enum { CURLE_OK = 0, CURLE_FILE_COULDNT_READ_FILE = 37,
      CURLOPT_WRITEDATA = 10001, CURLOPT_URL = 10002, CURLOPT_RANGE = 10007,
      CURLOPT_READDATA = 10009, CURLOPT_UPLOAD = 46,
      CURLOPT_INFILESIZE_LARGE = 30115, CURLINFO_SIZE_DOWNLOAD_T = 0x600008 };
   int curl_global_init(long flags);
   void curl_global_cleanup(void);
   CURL *curl_easy_init(void);
   void curl_easy_cleanup(CURL *curl);
   int curl_easy_setopt(CURL *curl, int option, ...);
   int curl_easy_getinfo(CURL *curl, int info, ...);
   int curl_easy_perform(CURL *curl);
   const char *curl_easy_strerror(int code);
   char *curl_easy_escape(CURL *curl, const char *text, int size);
   void curl_free(void *pointer);
]]

return function (work)
   local library = work.open "libcurl.so.4"
   local C = library:cdef(DECLARATIONS)
   local libc = work.elf.host:cdef [[
      typedef struct FILE FILE;
      FILE *fopen(const char *path, const char *mode);
      int fclose(FILE *file);
   ]]
   work.equal(C.curl_global_init(3), C.CURLE_OK, "curl_global_init")
   local curl = assert(C.curl_easy_init())

   local function set (option, value)
      work.equal(C.curl_easy_setopt(curl, option, value), C.CURLE_OK, "an option")
   end

   local function transfer (url, path, mode, option)
      local file = assert(libc.fopen(path, mode), path)
      set(C.CURLOPT_URL, url)
      set(option, file)
      local code = C.curl_easy_perform(curl)
      assert(libc.fclose(file) == 0)
      return code
   end

   local parts = {}
   for at = 1, 200000 do parts[at] = at .. "\n" end
   local bytes = table.concat(parts)
   local from, to = work.folder .. "/from here", work.folder .. "/to"
   work.write(from, bytes)
   local name = C.curl_easy_escape(curl, "from here", 0)
   local url = "file://" .. work.folder .. "/" .. work.string(name)
   C.curl_free(name)

   work.equal(transfer(url, to, "wb", C.CURLOPT_WRITEDATA), C.CURLE_OK, url)
   assert(work.read(to) == bytes, "the file has other bytes")
   local size = work.elf.new "int64_t"
   C.curl_easy_getinfo(curl, C.CURLINFO_SIZE_DOWNLOAD_T, size)
   work.equal(size[0], #bytes, "the size")

   set(C.CURLOPT_RANGE, "2-5")
   work.equal(transfer(url, to, "wb", C.CURLOPT_WRITEDATA), C.CURLE_OK, "a range")
   work.equal(work.read(to), bytes:sub(3, 6), "a range")
   set(C.CURLOPT_RANGE, nil)

   local code = transfer(url .. "-not", to, "wb", C.CURLOPT_WRITEDATA)
   work.equal(code, C.CURLE_FILE_COULDNT_READ_FILE, "a missing file")
   assert(work.string(C.curl_easy_strerror(code)):find "file://")

   set(C.CURLOPT_UPLOAD, 1)
   set(C.CURLOPT_INFILESIZE_LARGE, #bytes)
   work.equal(transfer("file://" .. work.folder .. "/stored", from, "rb",
      C.CURLOPT_READDATA), C.CURLE_OK, "storing")
   assert(work.read(work.folder .. "/stored") == bytes, "what is stored differs")
   C.curl_easy_cleanup(curl)
   C.curl_global_cleanup()
   return ("%d bytes fetched, a part of them, and stored"):format(#bytes)
end
