--- Files as wholes. Needs nothing, so that the rest of spec/support may use it.

---@class disk
local disk = {}

--- A path, or any other word, as a POSIX shell reads it.
---@param text string
---@return string
function disk.quoted (text)
   return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- What is in a file; raises when it cannot be read.
---@param path string
---@return string
function disk.contents (path)
   local file <close> = assert(io.open(path, "rb"))
   return assert(file:read "a")
end

--- Makes it the contents of a file, which stays the same file if it is there.
---@param path string
---@param text string
---@return string path
function disk.write (path, text)
   local file <close> = assert(io.open(path, "wb"))
   assert(file:write(text))
   assert(file:flush())
   return path
end

--- Puts a file in a file's place: others see the old text or the new one, and
--- of two processes that do it at once the one that is last.
---@param path string
---@param text string
---@return string path
function disk.replace (path, text)
   local temporary = os.tmpname()
   os.remove(temporary)
   temporary = ("%s.%s"):format(path, temporary:match "[^/]*$")
   disk.write(temporary, text)
   assert(os.rename(temporary, path))
   return path
end

return disk
