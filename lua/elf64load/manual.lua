--- All that is said of the command elf64load: what it takes, what it does. From
--- this come `--help`, `help`, the manual page and the shells' completions. It is
--- read by premake, too, whose Lua is 5.1.

local manual = {}

---@class elf64load.manual.option
---@field long string
---@field short? string
---@field value? string what stands for its value
---@field of? string "file", or the words that the value may be
---@field text string

---@type elf64load.manual.option[]
manual.options = {
   { long = "--policy", value = "FILE", of = "file",
      text = "open LIB under the policy that FILE, a Lua file, returns" },
   { long = "--json", text = "print JSON, errors too" },
   { long = "--dot", text = "with plan: print a graph for Graphviz" },
   { long = "--color", value = "WHEN", of = "auto always never",
      text = "auto (on a terminal, unless NO_COLOR is set), always, never" },
   { long = "--help", short = "-h", text = "print this" },
   { long = "--version", text = "print the version" },
}

---@class elf64load.manual.command
---@field name string
---@field words string what it takes
---@field least integer how many of them
---@field most? integer
---@field summary string
---@field text string

---@type elf64load.manual.command[]
manual.commands = {
   { name = "open", words = "LIB [SYMBOL...]", least = 1,
      summary = "open a library, show its symbols",
      text = [[
Opens LIB, runs its constructors, and shows kind, size, version, address and
name of each SYMBOL, looked up as dlsym does, or of all that LIB itself
exports.]] },
   { name = "symbols", words = "LIB [GLOB...]", least = 1,
      summary = "show what it exports, run nothing",
      text = [[
Shows kind, size, version, offset and name of what LIB itself exports, or of
that of which one GLOB (with * and ?) is the name. LIB is mapped and not
started.]] },
   { name = "plan", words = "LIB", least = 1, most = 1,
      summary = "show what opening would do, do nothing",
      text = [[
Shows what LIB needs as a tree, with the file that each name stands for and why;
what would be bound to what; names that more than one file defines; what nothing
defines; the order in which constructors would run; and what memory it takes.
Nothing is mapped and nothing runs. The status is 1 when opening would fail.]] },
   { name = "why", words = "LIB SYMBOL", least = 2, most = 2,
      summary = "show who defines a symbol for whom",
      text = [[
Shows for the files of LIB's plan that import SYMBOL (NAME or NAME@VERSION) what
it would be bound to and what else defines that name, and what looking it up in
LIB would find. Nothing runs. The status is 1 when there is none.]] },
   { name = "trace", words = "LIB", least = 1, most = 1,
      summary = "show what happens when it is opened",
      text = [[
Opens LIB, closes it, and shows what happened: when, in milliseconds since the
start; what; how long it took; to which file.]] },
   { name = "help", words = "[COMMAND | TOPIC]", least = 0, most = 1,
      summary = "explain a command or a topic",
      text = [[
Topics are policy, values, search and errors.]] },
}

manual.title = "a dynamic linker, scripted in Lua"

manual.text = [[
A script has all of Lua 5.4, LPeg, and require "elf64load". It runs as it does
under lua5.4: its arguments are in the table `arg` and in `...`.

LIB is a path if it holds a slash; otherwise it is looked for as ld.so does,
after what the policy says. Options stand before or after a command's words;
`--` ends them. A script named like a command is run as ./NAME.]]

manual.status = [[
Exit status: 0; 1 when something could not be loaded or a script failed; 2 when
the command was not understood.]]

---@class elf64load.manual.topic
---@field name string
---@field summary string
---@field text string

---@type elf64load.manual.topic[]
manual.topics = {
   { name = "policy", summary = "what decides, in a Lua table", text = [[
A policy is a table, usually what a Lua file returns. Each key is optional; one
that there is not is refused, with the nearest one that there is.

    path       templates such as "./mods/?.so;$POLICY/lib/?.so", searched first;
               $POLICY is the policy file's folder
    search     a function (name, wanter), or a list of them: answers a path or a
               source, or nil and why not
    provide    what stands for a library: "host", a path, a source, or a table
               of prototypes and functions
    resolve    a function (import): answers what nothing defines
    intercept  by prototype, what is bound instead: an address, a symbol, or a
               function (original, ...)
    allow      names and globs that plugins may import
    deny       names and globs that they may not; it wins
    verify     a function (image, name): answers true for bytes to be mapped
    accept     a function (plugin): answers true for one to be started
    order      a function (plugins): answers them in the order of their start;
    force      with true, also before what they need
    scope      a function (plugin, default): answers where names are looked up
    lazy       true: functions are bound when they are first called
    unload     "wait", "refuse" or "leak": what becomes of a plugin that is
               closed while something points into it
    plugins    by name or glob, keys that differ for some plugins
    on         functions for mapped, bound, started, stopped, unmapped, failed

    return {
       path = "$POLICY/?.so",
       accept = function (plugin)
          if plugin:lookup "mod_start" then return true end
          return nil, "it is no mod"
       end,
    }

A list of what is allowed guards against mistakes, not against hostile code,
which can make system calls.]] },
   { name = "values", summary = "C values in Lua", text = [[
    integers up to 64 bits   integers within the type's range; uint64_t wraps
                             (math.ult)
    float, double            floats
    _Bool                    booleans
    enums                    integers; their names are accepted on writing
    pointers, char * too     nil for NULL, else values with an index, + and -
    const char *             on writing also Lua strings
    pointers to functions    callable; on writing also Lua functions
    arrays                   references, indexed from 0

    local elf = require "elf64load"
    local z <close> = assert(elf.open "libz.so.1")
    local C = z:cdef "const char *zlibVersion(void);"
    print(elf.string(C.zlibVersion()))

elf.string(p [, n]) copies what a pointer points to, elf.new(type [, count, text
or list]) makes memory, elf.cast, elf.address and elf.type do what they say, and
elf.callback(type, f) makes a C function that stays.]] },
   { name = "search", summary = "where libraries are looked for", text = [[
A name with a slash is a path. Another is looked for in this order:

    the policy's search functions, then its path and elf.path (? is the name)
    DT_RPATH of who needs it, and of who needed that, without DT_RUNPATH
    LD_LIBRARY_PATH, as it was when the process started
    DT_RUNPATH of who needs it
    /etc/ld.so.cache
    ld.so's own folders

Each folder is tried with glibc-hwcaps first. $ORIGIN is the folder of who needs
it. A file for another machine is passed over. A name without .so is also tried
as libNAME.so, and GNU ld scripts are followed. What glibc has open already is
used as it is, and libc and its family are always glibc's.

`elf64load plan LIB` shows what was tried.]] },
   { name = "errors", summary = "kinds of failures", text = [[
What the world causes is nil, a message, a kind and a table of details (wanter,
path, symbol, version, scopes, near, missing, errno, error). Kinds stay as they
are, messages may change.

    notfound     no file of that name where it was looked for
    badformat    not ELF64, or a malformed table
    badarch      ELF, but not for AMD64
    unsupported  well formed, but not to be loaded
    undefined    symbols that nothing defines
    version      a library that is needed is there, and lacks a version
    denied       the policy, or the program's rights, say no
    nomemory     memory, or room for thread-local storage, ran out
    system       a system call failed
    hook         a function of the policy failed
    start        it has to be started first
    inuse        something still needs it
    duplicate    defined twice
    changed      the world is not any more as it was planned
    closed       it has been closed

With --json a failure is printed as {"error": {"kind", "message", "detail"}}.]] },
}

-- -------------------------------------------------------------------- lookup

local function named (list, name)
   for _, entry in ipairs(list) do
      if entry.name == name then return entry end
   end
end

---@param name string
---@return elf64load.manual.command|nil
function manual.command (name) return named(manual.commands, name) end

---@param name string
---@return elf64load.manual.topic|nil
function manual.topic (name) return named(manual.topics, name) end

---An option by one of its names.
---@param name string
---@return elf64load.manual.option|nil
function manual.option (name)
   for _, option in ipairs(manual.options) do
      if option.long == name or option.short == name then return option end
   end
end

---The names of a list's entries.
---@return string[]
function manual.names (list)
   local names = {}
   for at, entry in ipairs(list) do names[at] = entry.name or entry.long end
   return names
end

-- --------------------------------------------------------------------- usage

local function spelled (option)
   return (option.short and option.short .. ", " or "") .. option.long
      .. (option.value and " " .. option.value or "")
end

-- How a script is run, and what of its.
local SCRIPTS = {
   { "FILE.lua [ARGUMENT...]", "run a Lua 5.4 script" },
   { "-e CODE [ARGUMENT...]", "run a piece of Lua" },
}

---What `--help` prints.
---@return string
function manual.usage ()
   local lines, lead = {}, "usage: "
   local function add (what, text)
      lines[#lines + 1] = ("%self64load %-22s %s"):format(lead, what, text)
      lead = "       "
   end
   for _, script in ipairs(SCRIPTS) do add(script[1], script[2]) end
   for _, command in ipairs(manual.commands) do
      add(command.name .. " " .. command.words, command.summary)
   end
   lines[#lines + 1] = ""
   for _, option in ipairs(manual.options) do
      lines[#lines + 1] = ("  %-16s %s"):format(spelled(option), option.text)
   end
   return table.concat(lines, "\n") .. "\n\n" .. manual.text .. "\n\n"
      .. manual.status .. "\n"
end

---What `help NAME` prints, or nil.
---@param name string
---@return string|nil
function manual.explain (name)
   local command, topic = manual.command(name), manual.topic(name)
   if command then
      return ("usage: elf64load %s %s\n\n%s\n"):format(command.name,
         command.words, command.text)
   end
   return topic and ("%s: %s\n\n%s\n"):format(topic.name, topic.summary,
      topic.text)
end

-- --------------------------------------------------------------- manual page

-- Text for roff: nothing of it is a request.
local function plain (text)
   return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("\n([.'])", "\n\\&%1")
      :gsub("^([.'])", "\\&%1"))
end

-- Paragraphs; what is indented stays as it is.
local function roff (text, add)
   for part in (text .. "\n\n"):gmatch "(.-)\n\n+" do
      if part:find "^    " then
         add(".nf\n" .. plain(part) .. "\n.fi")
      elseif part ~= "" then
         add(".PP\n" .. plain(part))
      end
   end
end

---The manual page.
---@param version string
---@return string
function manual.page (version)
   local lines = {}
   local function add (line) lines[#lines + 1] = line end
   local function item (head, text)
      add(".TP\n\\fB" .. plain(head) .. "\\fR\n" .. plain(text))
   end
   add('.TH ELF64LOAD 1 "" "elf64load ' .. version .. '"')
   add(".SH NAME\nelf64load \\- " .. plain(manual.title))
   add ".SH SYNOPSIS\n.nf"
   for _, script in ipairs(SCRIPTS) do
      add("\\fBelf64load\\fR " .. plain(script[1]))
   end
   for _, command in ipairs(manual.commands) do
      add("\\fBelf64load " .. command.name .. "\\fR " .. plain(command.words))
   end
   add ".fi\n.SH DESCRIPTION"
   roff(manual.text, add)
   add ".SH COMMANDS"
   for _, command in ipairs(manual.commands) do
      item(command.name .. " " .. command.words, command.text)
   end
   add ".SH OPTIONS"
   for _, option in ipairs(manual.options) do
      item(spelled(option), option.text)
   end
   for _, topic in ipairs(manual.topics) do
      add(".SH " .. topic.name:upper())
      roff(topic.text, add)
   end
   add ".SH EXIT STATUS"
   roff(manual.status:gsub("^Exit status: ", ""), add)
   return table.concat(lines, "\n") .. "\n"
end

-- --------------------------------------------------------------- completions

local function quoted (text)
   return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function spaced (list) return table.concat(manual.names(list), " ") end

local function topics ()
   return spaced(manual.commands) .. " " .. spaced(manual.topics)
end

---For bash.
---@return string
function manual.bash ()
   local values = {}
   for _, option in ipairs(manual.options) do
      if option.of == "file" then
         values[#values + 1] = ("      %s) compgen_files=1 ;;"):format(
            option.long)
      elseif option.of then
         values[#values + 1] = ("      %s) words=%s ;;"):format(option.long,
            quoted(option.of))
      end
   end
   return (([[
# Completes the command elf64load in bash.
_elf64load ()
{
   local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
   local words= compgen_files= command= word
   COMPREPLY=()
   for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
      case $word in -*) ;; *) command=$word; break ;; esac
   done
   case $before in
@values@
      help) words=@topics@ ;;
      *)
         case $current in
            -*) words=@options@ ;;
            *)
               compgen_files=1
               if [ -z "$command" ]; then words=@commands@; fi
               ;;
         esac
         ;;
   esac
   if [ -n "$words" ]; then
      COMPREPLY=( $(compgen -W "$words" -- "$current") )
   fi
   if [ -n "$compgen_files" ]; then
      compopt -o filenames 2>/dev/null
      COMPREPLY+=( $(compgen -f -- "$current") )
   fi
}
complete -F _elf64load elf64load
]]):gsub("@(%l+)@", {
      values = table.concat(values, "\n"), topics = quoted(topics()),
      options = quoted(spaced(manual.options)),
      commands = quoted(spaced(manual.commands)),
   }):gsub("\n\n+", "\n"))
end

-- A text in brackets of _arguments, or after a colon.
local function described (text)
   return (text:gsub("[%[%]:\\]", "\\%0"))
end

---For zsh.
---@return string
function manual.zsh ()
   local options, commands = {}, {}
   for at, option in ipairs(manual.options) do
      local value = option.of == "file" and ":file:_files"
         or option.of and (":when:(%s)"):format(option.of) or ""
      options[at] = "      " .. quoted(("%s[%s]%s"):format(option.long,
         described(option.text), value)) .. " \\"
   end
   for at, command in ipairs(manual.commands) do
      commands[at] = "      " .. quoted(command.name .. ":"
         .. described(command.summary))
   end
   return (([[
#compdef elf64load
# Completes the command elf64load in zsh.
_elf64load_first ()
{
   local -a commands
   commands=(
@commands@
   )
   _describe command commands
   _files
}
_elf64load_rest ()
{
   case $words[2] in
      help) compadd @topics@ ;;
      *) _files ;;
   esac
}
_elf64load ()
{
   _arguments \
@options@
      '1: :_elf64load_first' '*: :_elf64load_rest'
}
_elf64load "$@"
]]):gsub("@(%l+)@", {
      commands = table.concat(commands, "\n"), topics = topics(),
      options = table.concat(options, "\n"),
   }))
end

return manual
