-- Puts files into a pack: pack.lua PACK FILE...
--
-- Each begins at a page, so that it can be mapped from there.

local PAGE <const> = 4096

local files, names = {}, table.move(arg, 2, #arg, 1, {})
for at, path in ipairs(names) do
   local file = assert(io.open(path, "rb"))
   files[at] = { name = path:match "[^/]*$", text = file:read "a" }
   file:close()
end

local index, offset = {}, PAGE
for at, file in ipairs(files) do
   index[at] = ("%s %d %d\n"):format(file.name, offset, #file.text)
   offset = offset + (#file.text + PAGE - 1) // PAGE * PAGE
end

local out = assert(io.open(arg[1], "wb"))
local head = table.concat(index) .. "\n"
assert(#head <= PAGE, "the index is too long")
out:write(head, ("\0"):rep(PAGE - #head))
for _, file in ipairs(files) do
   out:write(file.text, ("\0"):rep(-#file.text % PAGE))
end
out:close()
