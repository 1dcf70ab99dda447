---@meta elf64load.core
-- luacheck: ignore 212 241
-- What C gives elf64load.core, but for its typed half (typed.lua), as the
-- language server should know it.

-- --------------------------------------------------------------- failures ---

-- What fails because of the world answers nil, a message, a kind and details.

---@alias elf64load.kind
---| "notfound" # no file of that name where it was looked for
---| "badformat" # not ELF64, or a table in the file is malformed
---| "badarch" # ELF, but not for AMD64
---| "unsupported" # well formed, but not to be loaded: COPY, PIE, ...
---| "undefined" # a symbol that nothing defines
---| "version" # a library that is needed is there, and lacks a version
---| "denied" # the policy says no
---| "nomemory" # memory, or space for thread-local storage, ran out
---| "system" # a system call failed; see errno
---| "hook" # a hook raised; see error
---| "start" # it has to be started first
---| "inuse" # something still needs it
---| "duplicate" # defined twice
---| "changed" # the world is not any more as it was planned
---| "closed" # the plugin has been stopped

---The parts of a message; what does not apply is nil.
---@class elf64load.detail
---@field wanter? string the plugin on whose behalf
---@field path? string the file that it is about; when a search found none,
---the last path that it tried
---@field symbol? string
---@field version? string of the symbol
---@field demangled? string the symbol as C++ has it
---@field versions? string[] that there are instead
---@field scopes? string[] where it was looked for
---@field near? string[] names much like it
---@field missing? string[] all symbols that are missing, or as many as fit
---@field groups? elf64load.missinggroup[] the same by who wants them
---@field advice? string what to do
---@field errno? integer of the system call that failed
---@field error? any what a hook raised

---@class elf64load.missinggroup
---@field wanter string
---@field version? string
---@field symbols string[]

-- ---------------------------------------------------------------- symbols ---

---A symbol of a plugin or of the host. Calling it, or using a pointer made of
---it, raises `closed` once its plugin has been stopped; the fields stay.
---@class elf64load.symbol
---@field name string
---@field version string|nil of the definition
---@field file string path of the definer
---@field kind "notype"|"object"|"function"|"tls"|"ifunc"
---@field size integer in bytes; 0 when the file does not say
---@field address integer|nil of a `tls` the calling thread's, of an `ifunc` what
---its resolver chose; nil for both in what `symbols` lists

-- ---------------------------------------------------------------- handles ---

---What a plugin needs, in the order of its file.
---@class elf64load.need
---@field path string
---@field host boolean glibc has mapped it

---How long the phases of the open that mapped a plugin took, in nanoseconds, for
---it and all that was mapped along with it.
---@class elf64load.times
---@field discover integer search and read
---@field map integer
---@field resolve integer
---@field apply integer
---@field ifunc integer resolvers, and sealing
---@field start integer constructors

---One handle of a plugin; two of one plugin are equal. name, path, state and
---generation are told by a closed one too; the rest is nil then.
---@class elf64load.plugin
---@field name string as it was asked for
---@field path string of its file, or the source's name
---@field soname string|nil DT_SONAME
---@field base integer load bias: address minus st_value
---@field state "mapped"|"starting"|"started"|"stopping"|"host"|"closed"
---@field generation integer grows with every plugin of the process
---@field handles integer opens that were not closed yet
---@field segments integer PT_LOAD segments
---@field imports integer that were bound
---@field tls integer|nil what its DTPMOD64 slots hold
---@field needs elf64load.need[]
---@field times elf64load.times
local plugin = {}

---Ends this handle. With the last one the plugin stops, unless another needs it.
---Raises for handles that no open has given: `host`, and what `loaded` lists. Where the
---runtime refuses to unload what is in use, `inuse`: the handle stays open.
---@return true|nil done
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function plugin:close () end

---Runs what `start = false` left out: IFUNC resolvers and constructors.
---@return elf64load.plugin|nil self
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function plugin:start () end

---Of a plugin that is made of objects: links it again with another file.
---@param name string
---@param source elf64load.source
---@return elf64load.plugin|nil self
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function plugin:replace (name, source) end

---Looks a symbol up as dlsym does: in the plugin, then in what it needs.
---@param name string
---@param version? string the default one when not given
---@return elf64load.symbol|nil symbol
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function plugin:lookup (name, version) end

---What the plugin itself defines and exports, in the order of its symbol table.
---@return elf64load.symbol[]
function plugin:symbols () end

---How many relocations it has, by type, and in DT_RELR.
---@return table<string, integer>
function plugin:relocations () end

---@alias elf64load.pinkind
---| "handle" # opens that were not closed
---| "dependent" # a plugin that needs it or is bound to it
---| "opening" # an open that is under way
---| "running" # its constructors or destructors
---| "nodelete" # it must not be unloaded
---| "unique" # it owns an STB_GNU_UNIQUE symbol that is in use
---| "thread_local" # an object of a thread that it is to destroy
---| "key" # the destructor of thread-specific data
---| "fork" # called by fork
---| "exit" # called when the process ends
---| "signal" # a signal's handler
---| "thread" # a thread that was started in it
---| "stack" # a thread that is in it or returns to it
---| "leaked" # in use when it was closed, and its runtime leaks such
---| "callback" # no pin on it, but on a Lua function: it is bound to that

---What keeps it from being unmapped, and can be seen.
---@class elf64load.pin
---@field kind elf64load.pinkind
---@field message string
---@field number integer|nil of handles; of the thread, the key, the signal
---@field address integer|nil in the plugin
---@field path string|nil of the plugin that needs it
---@field symbol string|nil of a Lua function

---One import and what it is bound to.
---@class elf64load.binding
---@field wanter string
---@field symbol string
---@field version string|nil that is asked for
---@field how "scope"|"own"|"loader"|"defined"|"intercepted"|"resolved"|"waiting"|"nothing"
---@field message string all that in words
---@field provider string|nil path of what it is bound to
---@field provided string|nil version of the definition
---@field host boolean|nil glibc has mapped the provider
---@field kind "notype"|"object"|"function"|"tls"|"ifunc"|nil
---@field address integer|nil where it is known and one for all threads
---@field others string[] who else in the scope defines it, of a named symbol

---What each import is bound to, or those of that name; nothing until the plugin
---is bound, which is before `accept` is asked.
---@param symbol? string
---@return elf64load.binding[]
function plugin:bindings (symbol) end

-- What Lua adds by core.methods.

---What points into the plugin. A closed one has such pins while it waits to be
---unmapped, and none afterwards. One that is open is also told which Lua functions
---its runtime keeps for it.
---@return elf64load.pin[]
function plugin:pins () end

---Why it is mapped: who asked for it, by which name, what its search came upon,
---what keeps it open.
---@return elf64load.why
function plugin:why () end

---Declares in C and answers what was declared. Types and constants of earlier
---texts of the same handle are known.
---@param text string
---@return elf64load.namespace
function plugin:cdef (text) end

---As elf.new, with the handle's types.
---@param ctype string|elf64load.ctype
---@param init integer|string|any[]|nil
---@return elf64load.pointer
function plugin:new (ctype, init) end

---As elf.cast, with the handle's types.
---@param ctype string|elf64load.ctype
---@param value elf64load.pointer|elf64load.symbol|lightuserdata|integer|nil
---@return elf64load.pointer|nil
function plugin:cast (ctype, value) end

---As elf.callback, with the handle's types.
---@param ctype string|elf64load.ctype
---@param f function
---@return elf64load.pointer
function plugin:callback (ctype, f) end

---As elf.type, with the handle's types.
---@param what string|elf64load.ctype|elf64load.pointer
---@return elf64load.ctype
function plugin:type (what) end

-- --------------------------------------------------------------- runtimes ---

---@class elf64load.options
---@field global? boolean later opens of the runtime see its symbols
---@field lazy? boolean functions are bound when they are first called
---@field deepbind? boolean its own scope before the host's
---@field nodelete? boolean never unloaded
---@field noload? boolean only what is open already
---@field private? boolean a copy of its own, under no name that others see
---@field start? boolean false: map and bind, start later by p:start()
---@field perf? boolean has perf know what it cannot read as a file
---@field name? string for link: the plugin's, else that of the first file

---A runtime's C half; elf64load.runtime holds it in `core`. After close all of
---it raises `closed`.
-- ------------------------------------------------------------------ plans ---

---One file that was tried.
---@class elf64load.probe
---@field path string
---@field place string "DT_RUNPATH", "LD_LIBRARY_PATH", "ld.so.cache", ...
---@field owner string|nil whose DT_RPATH or DT_RUNPATH
---@field result "taken"|elf64load.kind

---@alias elf64load.planstate
---| "new" # it is mapped, bound and started
---| "open" # the runtime has it open already
---| "host" # the process has it, through glibc
---| "family" # glibc opens it: of the host family, or needed by that
---| "absent" # it cannot be had: `kind` and `message` say why

---What a plan knows of an object; of one that has been told of above in the tree
---only name, path, state, as and repeated.
---@class elf64load.plannode
---@field name string as it was asked for
---@field path string|nil of its file
---@field state elf64load.planstate
---@field soname string|nil DT_SONAME
---@field wanter string|nil what asked for it first
---@field why string|nil this file: "by ld.so.cache"
---@field probes elf64load.probe[] in the order in which they were made
---@field kind elf64load.kind|nil
---@field message string|nil
---@field as string|nil "needed", "filter" or "auxiliary"
---@field repeated boolean|nil
---@field needs elf64load.plannode[] in file order

---@class elf64load.planneed
---@field name string
---@field kind string "needed", "filter" or "auxiliary"
---@field path string|nil or the name of what is absent

---The same in a list. Sizes are of what is new.
---@class elf64load.planobject: elf64load.plannode
---@field needs elf64load.planneed[]
---@field relocations table<string, integer>|nil
---@field memory elf64load.planmemory|nil
---@field tls { size: integer, align: integer, fixed: boolean|nil }|nil

---Bytes of address space, and how much of it is executable, writable, and
---writable until it is relocated.
---@class elf64load.planmemory
---@field total integer
---@field code integer
---@field data integer
---@field sealed integer

---One import. Flags that are not so are nil.
---@class elf64load.planbinding
---@field wanter string
---@field symbol string
---@field version string|nil that is asked for
---@field weak boolean|nil the import is
---@field provider string|nil nothing defines it
---@field provided string|nil version of the definition
---@field kind "notype"|"object"|"function"|"tls"|"ifunc"
---@field offset integer from the provider's base, or in its storage
---@field absolute boolean|nil `offset` is all of it
---@field unique boolean|nil STB_GNU_UNIQUE
---@field loader boolean|nil this loader's own function stands in for it
---@field intercepted boolean|nil what the policy says stands in for it
---@field resolved boolean|nil nothing defines it: the policy's `resolve` answered
---@field defined boolean|nil the runtime defines it by itself
---@field denied boolean|nil the policy says no, so that it has no provider
---@field runner_up string|nil who else in the scope defines it
---@field runner_up_version string|nil
---@field vague boolean|nil both are weak or unique, as what C++ has twice is

---A name that more than one object of the scope defines, and somebody imports.
---@class elf64load.planclash
---@field symbol string
---@field version string|nil
---@field provider string
---@field runner_up string
---@field vague boolean|nil
---@field wanters string[]

---A symbol (`undefined`, or `denied` by the policy), a version that a library
---should define (`version`), or a library that cannot be had (any other kind).
---@class elf64load.planmissing
---@field kind elf64load.kind
---@field symbol string|nil
---@field version string|nil
---@field library string|nil
---@field message string|nil why it cannot be had
---@field wanters string[]

---All that an open would do. Its fields are made when they are asked for; once it
---is closed they raise.
---@class elf64load.plan
---@field name string
---@field path string of the file that would be opened
---@field tree elf64load.plannode
---@field objects elf64load.planobject[] the scope in its order, then others that
---something is bound to
---@field bindings elf64load.planbinding[]
---@field clashes elf64load.planclash[]
---@field missing elf64load.planmissing[]
---@field order string[] the paths of what is started, the first one first
---@field tls { fixed: integer, dynamic: integer, room: integer } bytes that each
---thread has at a fixed offset, or allocates; what the pool has in one piece
---@field relocations table<string, integer> by type
---@field memory elf64load.planmemory
---@field kind elf64load.kind|nil what a commit would fail with, as far as known
---@field message string|nil
local plan = {}

---Opens just what was planned, or fails as `changed`.
---@return elf64load.plugin|nil plugin
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function plan:commit () end

---@return boolean done
function plan:close () end

---@class elf64load.core.runtime
local runtime = {}

---@param name string
---@param options? elf64load.options
---@return elf64load.plugin|nil plugin
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function runtime:open (name, options) end

---@param from string|elf64load.source
---@param name? string what messages and debuggers show
---@param options? elf64load.options
---@return elf64load.plugin|nil plugin
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function runtime:load (from, name, options) end

---@param sources elf64load.source[] object files and archives
---@param options? elf64load.options
---@return elf64load.plugin|nil plugin
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function runtime:link (sources, options) end

---@param name string
---@param options? elf64load.options
---@param before fun() called before each commit
---@return elf64load.plan|nil plan
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function runtime:plan (name, options, before) end

---The process as a plugin.
---@return elf64load.plugin|nil host
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function runtime:host () end

---All that is open, dependencies too, in the order in which it was mapped. These
---handles cannot be closed.
---@return elf64load.plugin[]
function runtime:plugins () end

---Sets a hook, or none. `search` is asked for files: nil without a reason leaves a
---file to the loader's own search, and so does a third answer that is true, which
---has the reason told when nothing is found. The others are as in a policy; `event`
---is one function for all, and `resolve` answers an address and what it is of.
---@param name "search"|"verify"|"accept"|"order"|"scope"|"resolve"|"event"
---@param hook function|nil
function runtime:hook (name, hook) end

---Sets the templates that are searched first.
---@param templates string|nil
function runtime:path (templates) end

---Defines names for plugins, all of the list or none.
---@param given { definitions: { name: string, version: string?, address: integer,
---size: integer?, kind: "function"|"object"|"notype"|nil, cell: boolean? }[] }
---@return true|nil done
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function runtime:define (given) end

---@param name string
---@param version? string
---@return true|nil done
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function runtime:undefine (name, version) end

---What it has given to plugins, to be added to. From then on the collector leaves
---the runtime alone, until it is closed and nothing of it is left.
---@return table
function runtime:given () end

---Stops and unmaps all that is open in it.
---@return true|nil done
---@return string|boolean|nil message or whether plugins are left, which must not be
---unloaded, or not yet
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function runtime:close () end

-- ------------------------------------------------------------------ hooks ---

---The bytes that a hook may look at, while it runs. # tells how many there are.
---@class elf64load.view
local view = {}

---As string.sub.
---@param first integer
---@param last? integer
---@return string
function view:sub (first, last) end

---@param name? "sha256"|"sha384"|"sha512" the first when not given
---@return string digits hexadecimal
function view:digest (name) end

-- ----------------------------------------------------------------- the core ---

---What lies at an address; the last four are nil where no symbol reaches.
---@class elf64load.place
---@field path string
---@field base integer
---@field host boolean glibc has mapped it
---@field symbol string|nil
---@field version string|nil
---@field offset integer|nil from the symbol
---@field size integer|nil of the symbol
---@field address integer|nil of the symbol

---The steps of a search, each a searcher of its own.
---@class elf64load.core.search
---@field path elf64load.searcher the templates, its third argument
---@field rpath elf64load.searcher DT_RPATH, and loaders'
---@field environment elf64load.searcher LD_LIBRARY_PATH
---@field runpath elf64load.searcher DT_RUNPATH
---@field cache elf64load.searcher ld.so.cache
---@field default elf64load.searcher /lib, /usr/lib and the like

---@class elf64load.core
---@field version string "0.1.0"
---@field secure boolean the program runs with rights that its caller lacks
---@field methods table<string, function> what handles have; Lua adds its own
---@field search elf64load.core.search
---@field typed elf64load.typed
local core = {}

---@param options? table unload, force, and what policy.lua makes of the rules
---@return elf64load.core.runtime|nil runtime
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function core.runtime (options) end

---What points into a plugin: elf64load.pin, without the Lua functions.
---@param handle elf64load.plugin
---@return elf64load.pin[]
function core.pins (handle) end

---What the runtime of a plugin has given to plugins: see grants.lua.
---@param handle elf64load.plugin
---@return table|nil
function core.granted (handle) end

---As handle:lookup, for a namespace, which outlives the handle that it was asked
---of as long as the plugin is open.
---@param handle elf64load.plugin
---@param name string
---@return elf64load.symbol|nil symbol
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function core.find (handle, name) end

---Sets what is asked for names that plugins do not define. It answers as `lookup`
---does, or nothing.
---@param answer fun(handle: elf64load.plugin, name: string): ...
function core.missing (answer) end

---A symbol that a plugin has though its own tables do not, or not by that name.
---@param handle elf64load.plugin
---@param name string
---@param kind "object" | "function"
---@param address integer
---@param size integer 0 when not known
---@return elf64load.symbol
function core.symbol (handle, name, kind, address, size) end

---The C function of Lua's that a symbol of a C module is. The module has to stay
---open.
---@param symbol elf64load.symbol
---@return function
function core.cfunction (symbol) end

---The bytes that a file has for a symbol, without opening it as a plugin and
---before relocation.
---@param path string
---@param symbol string
---@return string|nil bytes
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function core.peek (path, symbol) end

---Whether a file is the one that it was.
---@param path string
---@return string|nil which file it is, by device and number
---@return string? state changes when the file does
---@return integer? changed when it last did, in nanoseconds since 1970
function core.stamp (path) end

---@param bytes string
---@return string digits its SHA-256, hexadecimal
function core.digest (bytes) end

---All that e64_why tells of a plugin, as it comes.
---@param handle elf64load.plugin
---@return table[]
function core.reasons (handle) end

---@param address integer
---@return elf64load.place|nil where
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function core.whence (address) end

return core
