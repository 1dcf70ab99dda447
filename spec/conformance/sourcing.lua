--- Debian's source packages, fetched and unpacked outside of the project by
--- apt-get and dpkg-source, without changing what apt knows of this machine.

local lfs = require "lfs"
local campaign = require "spec.support.campaign"

local quoted = campaign.quoted

---@class sourcing
local sourcing = {}

local KEYS <const> = "/usr/share/keyrings/debian-archive-keyring.gpg"

local function must (command)
   local text, wrong = campaign.output(command .. " 2>&1")
   return text or error(("%s\n%s"):format(command, wrong), 0)
end

-- The lines of a sources.list for the sources of what this machine has binary
-- packages of.
local function lines ()
   local out, seen = {}, {}
   local keys = lfs.attributes(KEYS, "mode") and "[signed-by=" .. KEYS .. "] "
      or ""
   for line in must("apt-get indextargets --format "
         .. "'$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' "
         .. "'Origin: Debian' 'Component: main'"):gmatch "[^\n]+" do
      if not seen[line] then
         seen[line] = true
         out[#out + 1] = "deb-src " .. keys .. line .. "\n"
      end
   end
   assert(out[1], "apt has no list of Debian's packages: apt-get update")
   return table.concat(out)
end

-- The directory of a package that is unpacked already.
local function unpacked (folder, name)
   for path in lfs.dir(folder) do
      if path:sub(1, #name + 1) == name .. "-"
         and lfs.attributes(folder .. "/" .. path, "mode") == "directory" then
         return folder .. "/" .. path
      end
   end
end

local function version (folder, name)
   for path in lfs.dir(folder) do
      local found = path:match "^.-_(.*)%.dsc$"
      if found and path:sub(1, #name + 1) == name .. "_" then return found end
   end
end

--- Where the sources of packages are, and of which version, by package.
---@param folder string where to keep them, made if need be
---@param names string[]
---@return table<string, { path: string, version: string }>
function sourcing.fetch (folder, names)
   local missing = {}
   must("mkdir -p " .. quoted(folder))
   for _, name in ipairs(names) do
      if not unpacked(folder, name) then missing[#missing + 1] = name end
   end
   if #missing > 0 then
      assert(campaign.output "command -v dpkg-source",
         "there is no dpkg-source here: apt-get install dpkg-dev")
      local apt = folder .. "/apt"
      must(("mkdir -p %s/lists/partial %s/archives/partial"):format(
         quoted(apt), quoted(apt)))
      campaign.write(apt .. "/sources.list", lines())
      local get = ("cd %s && apt-get -q -o Dir::Etc::SourceList=%s/sources.list "
         .. "-o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=%s/lists "
         .. "-o Dir::Cache=%s -o APT::Sandbox::User=root "):format(
         quoted(folder), quoted(apt), quoted(apt), quoted(apt))
      must(get .. "update")
      for _, name in ipairs(missing) do
         must(get .. "source --download-only " .. quoted(name))
         must(("cd %s && dpkg-source -x --no-check %s_*.dsc"):format(
            quoted(folder), quoted(name)))
      end
      must("rm -rf " .. quoted(apt))
   end
   local out = {}
   for _, name in ipairs(names) do
      out[name] = { path = assert(unpacked(folder, name)),
         version = assert(version(folder, name)) }
   end
   return out
end

return sourcing
