--- What is compressed is restored, and gzip can read it.

local DECLARATIONS = [[
   typedef unsigned long uLong;
   typedef struct gzFile_s *gzFile;
   enum { Z_OK = 0, Z_DATA_ERROR = -3, Z_BUF_ERROR = -5 };
   uLong compressBound(uLong size);
   int compress2(char *to, uLong *to_size, const char *from, uLong size,
      int level);
   int uncompress(char *to, uLong *to_size, const char *from, uLong size);
   uLong crc32(uLong crc, const char *bytes, unsigned int size);
   uLong adler32(uLong adler, const char *bytes, unsigned int size);
   gzFile gzopen(const char *path, const char *mode);
   int gzwrite(gzFile file, const char *from, unsigned int size);
   int gzread(gzFile file, char *to, unsigned int size);
   int gzclose(gzFile file);
]]

-- Bytes that cannot be made shorter.
local function noise (size)
   local state, bytes = 42, {}
   for at = 1, size do
      state = state * 6364136223846793005 + 1442695040888963407
      bytes[at] = string.char(state >> 56 & 0xff)
   end
   return table.concat(bytes)
end

return function (work)
   local z = work.open "libz.so.1"
   local C = z:cdef(DECLARATIONS)
   local samples = {
      { "nothing", "" },
      { "text", ("The quick brown fox jumps over the lazy dog. "):rep(20000) },
      { "zeros", ("\0"):rep(1000000) },
      { "noise", noise(100000) },
   }
   local total, least = 0, math.huge
   for _, sample in ipairs(samples) do
      local name, bytes = sample[1], sample[2]
      for level = 0, 9 do
         local room = C.compressBound(#bytes)
         local small, small_size = work.elf.new("char", room),
            z:new("uLong", { room })
         work.equal(C.compress2(small, small_size, bytes, #bytes, level), C.Z_OK,
            name)
         local packed = work.string(small, small_size[0])
         local back, size = work.elf.new("char", #bytes + 1),
            z:new("uLong", { #bytes + 1 })
         work.equal(C.uncompress(back, size, packed, #packed), C.Z_OK, name)
         assert(work.string(back, size[0]) == bytes, name .. " is not restored")
         total = total + #bytes
         if #bytes > 0 then least = math.min(least, #packed / #bytes) end
         -- A byte that is not as it was is noticed.
         local at = #packed - 1
         local bad = packed:sub(1, at - 1)
            .. string.char(packed:byte(at) ~ 1) .. packed:sub(at + 1)
         size[0] = #bytes + 1
         work.equal(C.uncompress(back, size, bad, #bad), C.Z_DATA_ERROR,
            "damaged " .. name)
      end
   end
   assert(least < 0.002, "zeros stay long")
   work.equal(C.crc32(0, "123456789", 9), 0xcbf43926, "crc32")
   work.equal(C.adler32(1, "Wikipedia", 9), 0x11e60398, "adler32")

   local path, text = work.folder .. "/text.gz", samples[2][2]
   local file = assert(C.gzopen(path, "wb9"))
   work.equal(C.gzwrite(file, text, #text), #text, "gzwrite")
   work.equal(C.gzclose(file), C.Z_OK, "gzclose")
   assert(work.output("gzip -dc " .. path) == text, "gzip reads something else")
   local back = work.elf.new("char", #text + 1)
   file = assert(C.gzopen(path, "rb"))
   work.equal(C.gzread(file, back, #text + 1), #text, "gzread")
   C.gzclose(file)
   assert(work.string(back, #text) == text, "the file is not restored")
   return ("%d bytes there and back at ten levels"):format(total)
end
