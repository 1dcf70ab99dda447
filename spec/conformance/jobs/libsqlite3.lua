--- Rows go into a database in memory and one in a file, and come out by queries.

local ROWS <const> = 20000

local DECLARATIONS = [[
   typedef struct sqlite3 sqlite3;
   typedef struct sqlite3_stmt sqlite3_stmt;
   enum { SQLITE_OK = 0, SQLITE_ERROR = 1, SQLITE_CONSTRAINT = 19,
      SQLITE_ROW = 100, SQLITE_DONE = 101 };
   int sqlite3_open(const char *filename, sqlite3 **db);
   int sqlite3_close(sqlite3 *db);
   int sqlite3_exec(sqlite3 *db, const char *sql, void *callback, void *data,
      char **error);
   const char *sqlite3_errmsg(sqlite3 *db);
   int sqlite3_prepare_v2(sqlite3 *db, const char *sql, int size,
      sqlite3_stmt **statement, const char **rest);
   int sqlite3_bind_int64(sqlite3_stmt *statement, int at, int64_t value);
   int sqlite3_bind_text(sqlite3_stmt *statement, int at, const char *text,
      int size, intptr_t destructor);
   int sqlite3_step(sqlite3_stmt *statement);
   int sqlite3_reset(sqlite3_stmt *statement);
   int sqlite3_finalize(sqlite3_stmt *statement);
   int sqlite3_column_count(sqlite3_stmt *statement);
   int sqlite3_column_bytes(sqlite3_stmt *statement, int at);
   const char *sqlite3_column_text(sqlite3_stmt *statement, int at);
]]

-- The text is copied before the call returns.
local TRANSIENT <const> = -1

return function (work)
   local sqlite = work.open "libsqlite3.so.0"
   local C = sqlite:cdef(DECLARATIONS)
   local database

   local function check (code)
      if code ~= C.SQLITE_OK then
         error(work.string(C.sqlite3_errmsg(database)), 2)
      end
   end

   local function open (name)
      local place = sqlite:new "sqlite3 *"
      assert(C.sqlite3_open(name, place) == C.SQLITE_OK)
      database = place[0]
   end

   local function prepare (sql)
      local place = sqlite:new "sqlite3_stmt *"
      check(C.sqlite3_prepare_v2(database, sql, -1, place, nil))
      return place[0]
   end

   local function execute (sql)
      check(C.sqlite3_exec(database, sql, nil, nil, nil))
   end

   -- All rows, columns by commas, rows by semicolons.
   local function query (sql)
      local statement, rows = prepare(sql), {}
      while true do
         local code = C.sqlite3_step(statement)
         if code == C.SQLITE_DONE then break end
         work.equal(code, C.SQLITE_ROW, sql)
         local row = {}
         for at = 0, C.sqlite3_column_count(statement) - 1 do
            row[#row + 1] = work.string(C.sqlite3_column_text(statement, at),
               C.sqlite3_column_bytes(statement, at))
         end
         rows[#rows + 1] = table.concat(row, ",")
      end
      check(C.sqlite3_finalize(statement))
      return table.concat(rows, ";")
   end

   local file = work.folder .. "/numbers.db"
   for _, name in ipairs { ":memory:", file } do
      open(name)
      execute "CREATE TABLE number (n INTEGER PRIMARY KEY, word TEXT UNIQUE)"
      execute "BEGIN"
      local insert = prepare "INSERT INTO number VALUES (?, ?)"
      for n = 1, ROWS do
         check(C.sqlite3_bind_int64(insert, 1, n))
         check(C.sqlite3_bind_text(insert, 2, "word " .. n * n, -1, TRANSIENT))
         work.equal(C.sqlite3_step(insert), C.SQLITE_DONE, "a row")
         check(C.sqlite3_reset(insert))
      end
      check(C.sqlite3_finalize(insert))
      execute "COMMIT"
      execute "CREATE INDEX backwards ON number (-n)"
      work.equal(query "SELECT count(*), sum(n), max(word) FROM number",
         ("%d,%d,word 9998244"):format(ROWS, ROWS * (ROWS + 1) // 2), "sums")
      work.equal(query [[SELECT a.n, b.n FROM number a JOIN number b
         ON b.word = 'word ' || (a.n * a.n) AND a.n % 7000 = 0 ORDER BY a.n]],
         "7000,7000;14000,14000", "a join")
      -- Twice the same: refused, and the table is as it was.
      work.equal(C.sqlite3_exec(database,
         "INSERT INTO number VALUES (1, 'again')", nil, nil, nil),
         C.SQLITE_CONSTRAINT, "a constraint")
      work.equal(work.string(C.sqlite3_errmsg(database)),
         "UNIQUE constraint failed: number.n", "its message")
      check(C.sqlite3_close(database))
   end

   -- What was written is there for another connection.
   open(file)
   work.equal(query "PRAGMA integrity_check", "ok", "the file")
   work.equal(query "SELECT word FROM number ORDER BY -n LIMIT 2",
      "word 400000000;word 399960001", "the order of the index")
   work.equal(query [[WITH RECURSIVE f (a, b) AS (VALUES (0, 1)
      UNION ALL SELECT b, a + b FROM f LIMIT 90) SELECT max(a) FROM f]],
      "1779979416004714189", "a recursion")
   work.equal(query [[SELECT sum(value) FROM json_each('[1, 2, 39]')]], "42",
      "JSON")
   execute "CREATE VIRTUAL TABLE prose USING fts5 (line)"
   execute [[INSERT INTO prose VALUES ('a loader loads'), ('a linker links'),
      ('both are one')]]
   work.equal(query "SELECT line FROM prose WHERE prose MATCH 'link*'",
      "a linker links", "full text")
   check(C.sqlite3_close(database))
   return ("%d rows in and out, twice"):format(ROWS)
end
