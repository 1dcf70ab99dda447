-- The main job: opens a plugin and uses its variable and its function, opens
-- sqlite and zlib and lets them do their work, then shows what was opened.

local elf = require "elf64load"

local folder = arg[0]:gsub("[^/]*$", "")
local build = "build/examples"
local report = dofile(folder .. "report.lua")

-- ------------------------------------------------------------ a plugin ---

local function compile (source, object)
   local command = ("mkdir -p %s && { [ %s -nt %s ] || cc -O2 -fPIC -shared "
      .. "-o %s %s; }"):format(build, object, source, object, source)
   assert(os.execute(command), "the plugin could not be compiled")
   return object
end

local function greet ()
   local plugin = assert(elf.open(compile(folder .. "plugin.c",
      "./" .. build .. "/plugin.so")))
   local C = plugin:cdef [[ extern int V; void F(void); ]]
   C.V = 7
   C.F()
   return plugin
end

-- -------------------------------------------------------------- sqlite ---

local function query ()
   local sqlite = assert(elf.open "libsqlite3.so.0")
   local C = sqlite:cdef [[
      typedef struct sqlite3 sqlite3;
      typedef struct sqlite3_stmt sqlite3_stmt;
      enum { SQLITE_OK = 0, SQLITE_ROW = 100 };
      int sqlite3_open(const char *filename, sqlite3 **database);
      int sqlite3_exec(sqlite3 *, const char *sql, void *callback, void *data,
         char **message);
      int sqlite3_prepare_v2(sqlite3 *, const char *sql, int size,
         sqlite3_stmt **statement, const char **rest);
      int sqlite3_step(sqlite3_stmt *);
      int sqlite3_column_int(sqlite3_stmt *, int column);
      const unsigned char *sqlite3_column_text(sqlite3_stmt *, int column);
      int sqlite3_finalize(sqlite3_stmt *);
      int sqlite3_close(sqlite3 *);
      const char *sqlite3_errmsg(sqlite3 *);
   ]]
   local slot = sqlite:new "sqlite3 *[1]"
   assert(C.sqlite3_open(":memory:", slot) == C.SQLITE_OK)
   local database = slot[0]
   local function check (status)
      assert(status == C.SQLITE_OK, elf.string(C.sqlite3_errmsg(database)))
   end
   check(C.sqlite3_exec(database, [[
      create table planet (name text, moons integer);
      insert into planet values ('Mars', 2), ('Neptune', 16), ('Earth', 1);
   ]], nil, nil, nil))
   local statements = sqlite:new "sqlite3_stmt *[1]"
   check(C.sqlite3_prepare_v2(database,
      "select name, moons from planet order by moons", -1, statements, nil))
   local statement = statements[0]
   while C.sqlite3_step(statement) == C.SQLITE_ROW do
      print(("%-8s %2d"):format(elf.string(C.sqlite3_column_text(statement, 0)),
         C.sqlite3_column_int(statement, 1)))
   end
   check(C.sqlite3_finalize(statement))
   check(C.sqlite3_close(database))
   return sqlite
end

-- ---------------------------------------------------------------- zlib ---

local function squeeze ()
   local zlib = assert(elf.open "libz.so.1")
   local C = zlib:cdef [[
      int compress(char *to, unsigned long *size, const char *from,
         unsigned long length);
      int uncompress(char *to, unsigned long *size, const char *from,
         unsigned long length);
      unsigned long compressBound(unsigned long length);
   ]]
   local text = ("the quick brown fox jumps over the lazy dog\n"):rep(100)
   local room = C.compressBound(#text)
   local small, size = elf.new("char", room), elf.new "unsigned long[1]"
   size[0] = room
   assert(C.compress(small, size, text, #text) == 0)
   local packed = size[0]
   local back = elf.new("char", #text)
   size[0] = #text
   assert(C.uncompress(back, size, small, packed) == 0)
   assert(elf.string(back, size[0]) == text, "the text did not come back")
   print(("zlib: %d bytes became %d and %d again"):format(#text, packed,
      size[0]))
   return zlib
end

local opened = { greet(), query(), squeeze() }
print()
report.show(opened)
