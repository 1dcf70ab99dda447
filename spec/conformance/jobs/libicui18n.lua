--- Words in the order of languages, letters of other scripts, numbers and dates.

local DECLARATIONS = [[
   typedef struct UCollator UCollator;
   typedef struct UFormat UFormat;
   typedef struct UTransliterator UTransliterator;
   typedef struct UCalendar UCalendar;
   typedef uint16_t UChar;
   UCollator *ucol_open_72(const char *locale, int *status);
   void ucol_close_72(UCollator *collator);
   int ucol_strcollUTF8_72(const UCollator *collator, const char *one,
      int one_size, const char *other, int other_size, int *status);
   void ucol_setAttribute_72(UCollator *collator, int attribute, int value,
      int *status);
   UChar *u_strFromUTF8_72(UChar *to, int room, int *size, const char *from,
      int from_size, int *status);
   char *u_strToUTF8_72(char *to, int room, int *size, const UChar *from,
      int from_size, int *status);
   UTransliterator *utrans_openU_72(const UChar *id, int size, int direction,
      const UChar *rules, int rules_size, void *parse_error, int *status);
   void utrans_transUChars_72(const UTransliterator *how, UChar *text, int *size,
      int room, int start, int *limit, int *status);
   void utrans_close_72(UTransliterator *how);
   UFormat *unum_open_72(int style, const UChar *pattern, int size,
      const char *locale, void *parse_error, int *status);
   int unum_formatDouble_72(const UFormat *format, double number, UChar *to,
      int room, void *position, int *status);
   void unum_close_72(UFormat *format);
   UFormat *udat_open_72(int time, int date, const char *locale,
      const UChar *zone, int zone_size, const UChar *pattern, int pattern_size,
      int *status);
   int udat_format_72(const UFormat *format, double date, UChar *to, int room,
      void *position, int *status);
   void udat_close_72(UFormat *format);
   int u_formatMessage_72(const char *locale, const UChar *pattern, int size,
      UChar *to, int room, int *status, ...);
   enum { STRENGTH = 5, NUMERIC = 7, PRIMARY = 0, ON = 17 };
]]

local ROOM <const> = 500

return function (work)
   local library = work.open "libicui18n.so.72"
   local C = library:cdef(DECLARATIONS)
   local elf = work.elf
   local status = elf.new "int"

   local function check (what)
      if status[0] > 0 then
         error(("%s: error %d of ICU"):format(what, status[0]), 2)
      end
      status[0] = 0
   end

   local function wide (text)
      local to, size = elf.new("uint16_t", ROOM), elf.new "int"
      C.u_strFromUTF8_72(to, ROOM, size, text, #text, status)
      check(text)
      return to, size[0]
   end

   local function narrow (text, size)
      local to, count = elf.new("char", 3 * ROOM), elf.new "int"
      C.u_strToUTF8_72(to, 3 * ROOM, count, text, size, status)
      check "narrow"
      return work.string(to, count[0])
   end

   -- Sorted by a collator, as one text.
   local function sorted (locale, words, attributes)
      local collator = C.ucol_open_72(locale, status)
      check(locale)
      for attribute, value in pairs(attributes or {}) do
         C.ucol_setAttribute_72(collator, C[attribute], value, status)
      end
      local list = {}
      for word in words:gmatch "%S+" do list[#list + 1] = word end
      table.sort(list, function (one, other)
         return C.ucol_strcollUTF8_72(collator, one, #one, other, #other,
            status) < 0
      end)
      check(words)
      C.ucol_close_72(collator)
      return table.concat(list, " ")
   end

   local words = "zebra öra apa ärta åka Ofen"
   work.equal(sorted("sv", words), "apa Ofen zebra åka ärta öra", "Swedish")
   work.equal(sorted("de", words), "åka apa ärta Ofen öra zebra", "German")
   work.equal(sorted("es__TRADITIONAL", "curso chico dedo"),
      "curso chico dedo", "old Spanish")
   work.equal(sorted("en", "b10 b9 b1", { NUMERIC = C.ON }), "b1 b9 b10",
      "numbers")

   local id, id_size = wide "Greek-Latin; Latin-ASCII"
   local greek = C.utrans_openU_72(id, id_size, 0, nil, -1, nil, status)
   check "Greek-Latin"
   local text, size = wide "Ελληνική Δημοκρατία"
   local count, limit = elf.new("int", { size }), elf.new("int", { size })
   C.utrans_transUChars_72(greek, text, count, ROOM, 0, limit, status)
   check "Greek"
   work.equal(narrow(text, count[0]), "Ellenike Demokratia", "Greek")
   C.utrans_close_72(greek)

   local to = elf.new("uint16_t", ROOM)
   for locale, expected in pairs { de = "1.234.567,891", en = "1,234,567.891",
      hi = "12,34,567.891" } do
      local format = C.unum_open_72(1, nil, 0, locale, nil, status)
      check(locale)
      local long = C.unum_formatDouble_72(format, 1234567.891, to, ROOM, nil,
         status)
      work.equal(narrow(to, long), expected, locale)
      C.unum_close_72(format)
   end
   for locale, expected in pairs { en = "Thursday, January 1, 1970",
      fr = "jeudi 1 janvier 1970", ja = "1970年1月1日木曜日" } do
      local zone, zone_size = wide "GMT"
      local format = C.udat_open_72(-1, 0, locale, zone, zone_size, nil, 0,
         status)
      check(locale)
      local long = C.udat_format_72(format, 0, to, ROOM, nil, status)
      work.equal(narrow(to, long), expected, locale)
      C.udat_close_72(format)
   end
   local pattern, pattern_size =
      wide "{0, plural, one {# plugin} other {# plugins}}"
   for number, expected in pairs { "1 plugin", "2 plugins" } do
      local long = C.u_formatMessage_72("en", pattern, pattern_size, to, ROOM,
         status, number + 0.0)
      check "a message"
      work.equal(narrow(to, long), expected, "a message")
   end
   return "4 orders, Greek, 3 numbers, 3 dates, 2 plurals"
end
