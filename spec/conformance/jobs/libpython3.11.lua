--- An interpreter runs a script that imports every extension module there is.

local DECLARATIONS = [[
   void Py_SetProgramName(const wchar_t *name);
   void Py_InitializeEx(int signals);
   int Py_FinalizeEx(void);
   int PyRun_SimpleString(const char *text);
]]

return function (work)
   -- Debian's extension modules do not name libpython: they want it global.
   local library = work.open("libpython3.11.so.1.0", { global = true })
   local C = library:cdef(DECLARATIONS)
   local said = work.folder .. "/said"
   local script = ("FOLDER = %q\n%s"):format(work.folder,
      work.read "spec/conformance/jobs/libpython3.11.py")
   C.Py_InitializeEx(0)
   assert(C.PyRun_SimpleString(script) == 0, "the script raised; see above")
   for _, name in ipairs { "_ssl", "_sqlite3", "_ctypes", "_decimal" } do
      work.ours("/lib%-dynload/" .. name .. "%.")
   end
   assert(C.Py_FinalizeEx() == 0, "it does not end")
   return work.read(said)
end
