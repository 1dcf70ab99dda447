-- Mods are opened from the folder that this file is in, when they are on the
-- list there, and may use a few functions of C.

local folder = (...):match "^(.*)/" or "."

-- As sha256sum writes it: the digest, two blanks, the name.
local listed = {}
for line in io.lines(folder .. "/SHA256SUMS") do
   local digest, name = line:match "^(%x+)  (.+)$"
   listed[name] = digest
end

return {
   path = "$POLICY/?.so",
   allow = { "str*", "mem*", "snprintf", "system" },
   -- Comes before `allow`, whatever is added there one day.
   deny = { "system", "exec*", "popen", "dlopen" },
   verify = function (image, path)
      local name = path:match "[^/]*$"
      if not listed[name] then return nil, "it is not on the list" end
      if image:digest "sha256" ~= listed[name] then
         return nil, "its SHA-256 is not the one on the list"
      end
      return true
   end,
}
