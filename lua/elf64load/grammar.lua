--- The grammar of C declarations: text in, tables out, nothing looked up but
--- whether a name is a type. elf64load.cdef knows what the tables mean.
---
--- C11 6.7, without initialisers and function bodies, with the extensions that
--- the headers of GNU systems use.

local lpeg = require "lpeg"

local grammar = {}

local P, R, S, V = lpeg.P, lpeg.R, lpeg.S, lpeg.V
local C, Cc, Cf, Cg, Cmt, Cp, Ct = lpeg.C, lpeg.Cc, lpeg.Cf, lpeg.Cg, lpeg.Cmt,
   lpeg.Cp, lpeg.Ct
local state = lpeg.Carg(1)

---What a parse carries along: how far any token got, and what would have let it
---go further. That is where the error is.
---@class elf64load.parsing
---@field known fun(name: string): boolean whether the name is a type
---@field furthest integer
---@field expected string[]
---@field refused elf64load.fault|nil what is C, but not supported

local function note (_, position, parsing, what)
   if position > parsing.furthest then
      parsing.furthest, parsing.expected = position, {}
   end
   if position == parsing.furthest then
      table.insert(parsing.expected, what)
   end
   return false
end

---Fails, and remembers what was missing here. The 1 is never reached; it tells
---LPeg that no repetition of this can be empty.
local function missing (what)
   return Cmt(state * Cc(what), note) * 1
end

-- --------------------------------------------------------------------- tokens

local newline = P "\n"
local comment = P "//" * (1 - newline) ^ 0
   + P "/*" * (1 - P "*/") ^ 0 * (P "*/" + missing "'*/'")
-- What the preprocessor leaves: # 12 "file.h"
local marker = P "#" * S " \t" ^ 0 * (P "line" * S " \t" ^ 1) ^ -1 * R "09"
   * (1 - newline) ^ 0
local skip = (S " \t\r\n\f\v" + P "\\\n" + comment + marker) ^ 0

local letter = R("az", "AZ") + "_"
local tail = letter + R "09"

local function token (pattern, what)
   return pattern * skip + missing(what)
end

local function sign (text, not_before)
   local pattern = P(text)
   if not_before then pattern = pattern * -S(not_before) end
   return token(pattern, "'" .. text .. "'")
end

---A word that is not worth a line in a message.
local function quiet (text)
   local pattern = P(false)
   for word in text:gmatch "%S+" do pattern = pattern + P(word) * -tail end
   return pattern * skip
end

-- Words that can never be names, longest first where one begins another.
local reserved = P(false)
for word in ([[
   auto break case char const continue default do double else enum extern float
   for goto if inline int long register restrict return short signed sizeof
   static struct switch typedef union unsigned void volatile while _Alignas
   _Alignof _Atomic _Bool _Complex _Generic _Imaginary _Noreturn
   _Static_assert _Thread_local
]]):gmatch "%S+" do
   reserved = reserved + P(word) * -tail
end

local word = C(letter * tail ^ 0) - reserved
local name = word * skip

local function place (label)
   return Cg(Cp(), label)
end

-- ----------------------------------------------------------------- attributes

local literal = P '"' * (P "\\" * 1 + (1 - S '"\\\n')) ^ 0 * '"'
local balanced = P { "(" * (literal + V(1) + (1 - S "()")) ^ 0 * ")" }

-- An attribute that we skip must not change what the call looks like.
local telling = {
   "vector_size", "mode", "ms_abi", "transparent_union", "scalar_storage_order",
}

local function harmless (_, position, parsing, attribute)
   for _, feature in ipairs(telling) do
      local pattern = "%f[%w_]_*" .. feature .. "_*%f[^%w_]"
      if attribute:find(pattern) then
         parsing.refused = {
            position = position - #attribute,
            message = ("the attribute '%s' is not supported"):format(feature),
         }
         return false
      end
   end
   return true
end

local attribute = quiet "__attribute__ __attribute _Alignas"
   * Cmt(state * C(balanced), harmless) * skip
-- typedef int word __attribute__((__mode__(__word__))): an integer of another
-- size than the words say.
local function mark (text)
   return P(text) * skip
end

local mode = quiet "__attribute__ __attribute" * mark "(" * mark "("
   * quiet "__mode__ mode" * mark "(" * Cg(C(letter * tail ^ 0) * skip, "mode")
   * mark ")" * mark ")" * mark ")"

local nothing = quiet [[
   volatile __volatile __volatile__ restrict __restrict __restrict__
   inline __inline __inline__ _Noreturn __extension__ _Atomic register auto
]] + attribute

local function joined (label)
   local parts = {}
   for part in label:gmatch '"(.-)"' do parts[#parts + 1] = part end
   return table.concat(parts)
end

-- int printf(const char *, ...) __asm__("my_printf"): the name to look up.
local label = quiet "__asm__ __asm asm" * sign "("
   * Cg(C((literal * skip) ^ 1) / joined, "label") * sign ")"

-- ---------------------------------------------------------------- expressions

local function binary (left, position, op, right)
   return { op = op, position = position, left, right }
end

-- One level of operators that group from the left.
local function level (operand, operators)
   return Cf(operand * Cg(operators * operand) ^ 0, binary)
end

local function operator (text, not_before)
   local pattern = P(text)
   if not_before then pattern = pattern * -S(not_before) end
   return Cp() * C(pattern) * skip
end

local suffix = C(S "uUlL" ^ 0) * -tail
local number = Ct(place "position" * Cc "number" * (
   C(P "0" * S "xX" * R("09", "af", "AF") ^ 1) * suffix
   + C(R "09" ^ 1) * suffix)) * skip

local escape = P "\\" * (S "abfnrtv\\'\"?" + R "07" * R "07" ^ -2
   + P "x" * R("09", "af", "AF") ^ 1)
local character = Ct(place "position" * Cc "character"
   * "'" * C(escape + (1 - S "'\\\n")) * "'") * skip

local function unary (position, op, operand)
   return { op = op, position = position, operand }
end

local function choice (condition, yes, no)
   if not yes then return condition end
   return { op = "?", position = condition.position, condition, yes, no }
end

-- --------------------------------------------------------------- declarations

-- The words of C's own types, in any order; GNU's spellings are made C's.
local function plain (spelling)
   return (spelling:gsub("^__(%a+)_*$", "%1"))
end

local typeword = C((P "void" + "char" + "short" + "int" + "long" + "float"
   + "double" + "signed" + "__signed__" + "__signed" + "unsigned" + "_Bool"
   + "_Complex" + "__complex__" + "__int128" + "_Float128" + "__float128"
   + "_Float64x" + "_Float64" + "_Float32x" + "_Float32" + "_Decimal128"
   + "_Decimal64" + "_Decimal32") * -tail) * skip
   / function (spelling)
      return spelling == "__int128" and spelling or plain(spelling)
   end

local const = Cg(quiet "const __const __const__" * Cc(true), "const")
local storage = Cg(C(P "typedef" + "extern" + "static" + "_Thread_local"
   + "__thread") * -tail * skip, "storage")
local modifier = storage + const + nothing

local function known (_, position, parsing, spelling)
   if parsing.known(spelling) then return position, spelling end
   return false
end

-- What starts a declarator in parentheses, rather than a list of parameters:
-- `int (f)` but `int (size_t)`.
local function unknown (subject, position, parsing, spelling)
   return not known(subject, position, parsing, spelling)
end

local own = quiet "static inline __inline __inline__"
local hidden = #((modifier - own) ^ 0 * own)
local block = P {
   "{" * (literal + "'" * escape * "'" + P "'" * 1 * "'" + comment + V(1)
      + (1 - S "{}")) ^ 0 * "}",
} * skip

local typedef_name = Cmt(state * word, known) * skip
local inner = sign "(" * #(S "*([" + nothing + Cmt(state * word, unknown))
local pointers = Cg(Ct(Ct(sign "*" * (const + nothing) ^ 0) ^ 0), "pointers")

local function declarator (self, middle)
   return Ct(nothing ^ 0 * pointers * place "position"
      * (inner * nothing ^ 0 * Cg(V(self), "inner") * sign ")" + middle)
      * Cg(Ct(V "suffix" ^ 0), "suffixes"))
end

local function list (item)
   return item * (sign "," * item) ^ 0
end

local rules = {
   -- Nothing between two semicolons is nothing declared.
   declaration = mark ";" * Ct(P(true)) + V "inline" * Ct(P(true))
      + Ct(Cg(V "specifiers", "specifiers")
         * Cg(Ct(list(V "declared") ^ -1), "declarators")) * sign ";",
   -- Headers define small functions for whoever includes them. They are in no
   -- plugin, and not declared by us either.
   inline = hidden * (V "specifiers" * V "named" * nothing ^ 0 / 0) * block,
   declared = Ct(Cg(V "named", "declarator") * (mode + label + nothing) ^ 0),

   specifiers = Ct(place "position" * modifier ^ 0
      * (V "record" + V "enum" + (typeword * modifier ^ 0) ^ 1
         + Cg(typedef_name, "name") + missing "a type") * modifier ^ 0),

   record = Cg(C(P "struct" + "union") * -tail * skip, "record")
      * attribute ^ 0 * (Cg(name, "tag") * Cg(V "body", "body") ^ -1
         + Cg(V "body", "body") + missing "a name"),
   -- Read, so that mistakes are found and headers pass; not kept.
   body = sign "{" * (V "members" / 0) ^ 0 * sign "}" * attribute ^ 0
      * Cc(true),
   members = V "specifiers" * (list(V "member") + #P ";") * sign ";",
   member = (V "named" * (sign ":" * V "expression") ^ -1
      + sign ":" * V "expression") * nothing ^ 0,

   enum = Cg(quiet "enum" * Cc(true), "enum") * attribute ^ 0
      * (Cg(name, "tag") * Cg(V "enumerators", "enumerators") ^ -1
         + Cg(V "enumerators", "enumerators") + missing "a name"),
   enumerators = sign "{" * Ct(V "enumerator"
         * (sign "," * (V "enumerator" + #P "}")) ^ 0) * sign "}"
      * attribute ^ 0,
   enumerator = Ct(place "position" * Cg(name + missing "a name", "name")
      * attribute ^ 0 * (sign("=", "=") * Cg(V "expression", "value")) ^ -1),

   named = declarator("named", Cg(name, "name") + missing "a name"),
   -- In parameters and type names the name is optional.
   any = declarator("any", Cg(name, "name") ^ -1),

   suffix = Ct(place "position" * (V "array" + V "parameters")),
   array = sign "[" * Cg(Cc(true), "array") * (quiet "static" + const
         + nothing) ^ 0
      * (sign "*" * #P "]" + Cg(V "expression", "count")) ^ -1 * sign "]",
   parameters = sign "(" * Cg(Ct(
         quiet "void" * #P ")"
         + #P ")"
         + Cg(sign "..." * Cc(true), "variadic")
         + V "parameter" * (sign "," * V "parameter") ^ 0
            * (sign "," * Cg(sign "..." * Cc(true), "variadic")) ^ -1),
      "parameters") * sign ")",
   parameter = Ct(Cg(V "specifiers", "specifiers")
      * Cg(V "any", "declarator") * nothing ^ 0),

   typename = Ct(Cg(V "specifiers", "specifiers") * Cg(V "any", "declarator")),

   expression = V "either" * (mark "?" * V "expression" * sign ":"
      * V "expression") ^ -1 / choice,
   either = level(V "both", operator "||"),
   both = level(V "union", operator "&&"),
   union = level(V "differ", operator("|", "|=")),
   differ = level(V "common", operator("^", "=")),
   common = level(V "equality", operator("&", "&=")),
   equality = level(V "order", operator "==" + operator "!="),
   order = level(V "shift", operator "<=" + operator ">="
      + operator("<", "<") + operator(">", ">")),
   shift = level(V "sum", operator("<<", "=") + operator(">>", "=")),
   sum = level(V "product", operator("+", "+=") + operator("-", "-=")),
   product = level(V "unary", operator("*", "=") + operator("/", "=*")
      + operator("%", "=")),
   unary = Cp() * C(S "+-~!") * skip * V "unary" / unary + V "cast"
      + V "primary",
   cast = Ct(place "position" * Cc "cast" * mark "(" * V "typename"
      * sign ")" * V "unary"),
   primary = number + character + V "sizeof"
      + Ct(place "position" * Cc "name" * word) * skip
      + sign "(" * V "expression" * sign ")"
      + missing "an integer",
   sizeof = Ct(place "position" * quiet "sizeof" * Cc "sizeof"
      * sign "(" * V "typename" * sign ")"),
}

-- A rule by itself: what it captured, and where the text goes on.
local function rooted (start)
   local all = { start }
   for rule, pattern in pairs(rules) do all[rule] = pattern end
   return skip * P(all)
end

local declaration = rooted "declaration" * Cp()
local typename = rooted "typename" * (-P(1) + missing "the end")
local finished = skip * -P(1)

-- ------------------------------------------------------------------- messages

---"'a', 'b' or 'c'", each once.
---@param words string[]
---@return string
function grammar.either (words)
   local once, seen = {}, {}
   for _, spelling in ipairs(words) do
      if not seen[spelling] then once[#once + 1] = spelling end
      seen[spelling] = true
   end
   local last = table.remove(once)
   if #once == 0 then return last end
   return table.concat(once, ", ") .. " or " .. last
end

local function found (subject, position)
   if position > #subject then return "the end" end
   return "'" .. (subject:match("^[%w_]+", position)
      or subject:match("^[^%w%s]", position)) .. "'"
end

---Where a text is wrong, and why.
---@class elf64load.fault
---@field position integer
---@field message string
---@field unknown string|nil the name that was met where a type should be

---@param subject string
---@param parsing elf64load.parsing
---@return elf64load.fault
local function explain (subject, parsing)
   if parsing.refused then return parsing.refused end
   local position, unknown_name = parsing.furthest, nil
   for _, what in ipairs(parsing.expected) do
      if what == "a type" then
         unknown_name = word:match(subject, position)
      end
   end
   local got = found(subject, position)
   return {
      position = position,
      unknown = unknown_name,
      message = ("expected %s, got %s%s"):format(
         grammar.either(parsing.expected), got, got == "'#'" and "; there is no "
            .. "preprocessor here: declarations go in the place of #include, and "
            .. "an enum in that of #define" or ""),
   }
end

---@return elf64load.parsing
local function fresh (knows)
   return { known = knows, furthest = 0, expected = {} }
end

-- Parentheses in parentheses need room; what needs more than this is no header.
lpeg.setmaxstack(4000)

local function match (pattern, subject, position, parsing)
   local done, result, next_position = pcall(pattern.match, pattern, subject,
      position, parsing)
   if not done then
      parsing.refused = {
         position = position,
         message = "this is nested too deeply",
      }
   elseif result then
      return result, next_position
   end
   return nil, explain(subject, parsing)
end

---Reads one declaration. The types that it declares must be known to `knows`
---before the next is read.
---@param subject string
---@param position integer
---@param knows fun(name: string): boolean
---@return table|nil declaration nil at the end of the text, and on a fault
---@return integer|elf64load.fault|nil next where the text goes on
function grammar.declaration (subject, position, knows)
   local parsing = fresh(knows)
   if finished:match(subject, position, parsing) then return nil end
   return match(declaration, subject, position, parsing)
end

---Reads a type as it stands in sizeof: `const char *[4]`.
---@param subject string
---@param knows fun(name: string): boolean
---@return table|nil typename
---@return elf64load.fault|nil fault
function grammar.typename (subject, knows)
   return match(typename, subject, 1, fresh(knows))
end

return grammar
