--- Where a plugin comes from: `path`, `searchers` and `searchpath` of elf64load,
--- which are to plugins what those of `package` are to modules.
---
--- `searchers` is an array of functions that are asked in turn. It begins as
--- ld.so's order, whose steps also stand in it by name:
---
---    elf.searchers[1]  elf.searchers.path         templates, elf.path
---    elf.searchers[2]  elf.searchers.rpath        DT_RPATH, and loaders'
---    elf.searchers[3]  elf.searchers.environment  LD_LIBRARY_PATH
---    elf.searchers[4]  elf.searchers.runpath      DT_RUNPATH
---    elf.searchers[5]  elf.searchers.cache        ld.so.cache
---    elf.searchers[6]  elf.searchers.default      /lib, /usr/lib and the like
---
--- Before all of them `preload` is looked into, whose keys are names and whose
--- values are what a searcher answers, or a searcher.
---
--- A searcher answers the path of a file or a source (elf.source), or nil and a
--- string that says why not:
---
---    table.insert(elf.searchers, 2, function (name, wanter)
---       local bytes = pack[name]
---       if bytes then return elf.source { bytes = bytes, name = name } end
---       return nil, "not in the pack"
---    end)

local core = require "elf64load.core"
local definition = require "elf64load.definition"

local search = {}

---On whose behalf a file is looked for; nil is the program itself.
---@class elf64load.wanter
---@field path string? its file
---@field rpath string? DT_RPATH
---@field runpath string? DT_RUNPATH
---@field nodeflib boolean? DF_1_NODEFLIB
---@field loader elf64load.wanter? what it was loaded for

---@alias elf64load.found string|table|nil a path, a source, or nil and why not
---@alias elf64load.searcher
---| fun(name: string, wanter: elf64load.wanter?, path: string?): elf64load.found, string?

---What has a path and searchers: elf64load itself, or a runtime.
---@class elf64load.searching
---@field path string? templates: "./plugins/?.so;$ORIGIN/?"
---@field preload? table<string, elf64load.found|elf64load.searcher>
---@field provided table<string, table>|false the policy's sources by names
---@field search elf64load.searcher[]|false the policy's, which come before the list
---@field searchers elf64load.searcher[]

local steps = { "path", "rpath", "environment", "runpath", "cache", "default" }

---A new list in ld.so's order.
---@return elf64load.searcher[]
function search.list ()
   local list = {}
   for at, name in ipairs(steps) do
      list[at] = core.search[name]
      list[name] = core.search[name]
   end
   return list
end

---Is the list still as it was made? Then C goes through it alone.
---@param state elf64load.searching
---@return boolean
function search.untouched (state)
   local list, given = state.searchers, core.search
   for at = 1, #steps do
      if list[at] ~= given[steps[at]] then return false end
   end
   return list[#steps + 1] == nil
end

---Is there anything that C cannot do by itself?
---@param state elf64load.searching
---@return boolean
function search.needed (state)
   return state.search ~= false or state.provided ~= false
      or next(state.preload) ~= nil or not search.untouched(state)
end

-- Is it an answer? `at` is the place of who gave it, if there are several.
local function check (answer, name, who, at)
   local kind = type(answer)
   if answer and kind ~= "string" and kind ~= "table" then
      error(("%s%s answered a %s for '%s'; a path, a source, or nil and why not "
         .. "expected"):format(who, at and " " .. at or "", kind, name), 0)
   end
   return answer or nil
end

-- Asks a function that stands at some place of a list or of `preload`.
local function ask (searcher, place, ...)
   if not definition.callable(searcher) then
      error(("%s is a %s; a function expected"):format(place, type(searcher)), 0)
   end
   return searcher(...)
end

---Asks each searcher; adds to `reasons` why not.
local function walk (list, who, state, name, wanter, reasons)
   for at, searcher in ipairs(list) do
      local answer, reason = ask(searcher, ("%s %d"):format(who, at), name,
         wanter, state.path)
      if check(answer, name, who, at) then return answer end
      if type(reason) == "string" and reason ~= "" then
         reasons[#reasons + 1] = reason
      end
   end
end

local function preloaded (state, name, wanter, reasons)
   local answer, reason = state.preload and state.preload[name], nil
   if answer == nil and state.provided then answer = state.provided[name] end
   if answer == nil then return nil end
   if type(answer) ~= "string" and type(answer) ~= "table" then
      answer, reason = ask(answer, ("what is preloaded for '%s'"):format(name),
         name, wanter)
   end
   reasons[#reasons + 1] = type(reason) == "string" and reason or nil
   return check(answer, name, "what is preloaded")
end

---Goes through a list that was touched, as `require` does through its own.
local function go_through (state, name, wanter, reasons)
   local list = state.searchers
   local found = walk(list, "searcher", state, name, wanter, reasons)
   if not found and not wanter and not name:find(".so", 1, true) then
      found = walk(list, "searcher", state, "lib" .. name .. ".so", nil, {})
   end
   if found then return found end
   local by = wanter and wanter.path and ", needed by " .. wanter.path or ""
   if #reasons == 0 then return nil, "not found" .. by end
   return nil, ("not found%s:\n\t%s"):format(by, table.concat(reasons, "\n\t"))
end

---Looks for a file where C cannot do it alone: in what is preloaded, by the
---policy's `search`, by a list that was touched. For a path only what is preloaded
---counts; else it is C's to look into.
---@param state elf64load.searching
---@param name string
---@param wanter elf64load.wanter?
---@return string|table|nil found a path or a source
---@return string? why_not
---@return boolean? go_on C shall look further, and say this when it finds nothing
function search.find (state, name, wanter)
   local reasons = {}
   local found = preloaded(state, name, wanter, reasons)
   if found then return found end
   if name:find("/", 1, true) then return nil end
   found = state.search
      and walk(state.search, "search", state, name, wanter, reasons)
   if found then return found end
   if search.untouched(state) then
      return nil, #reasons > 0 and table.concat(reasons, ", ") or nil, true
   end
   return go_through(state, name, wanter, reasons)
end

---Finds a file by templates, as package.searchpath does, but the name is put in
---as it is.
---@param name string
---@param path string "./?.so;./lib?.so"
---@return string? file
---@return string? why_not
function search.searchpath (name, path)
   return package.searchpath(name, path, "")
end

return search
