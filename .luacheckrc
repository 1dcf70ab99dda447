std = "lua54"
max_line_length = 100
exclude_files = { "build" }

-- premake's own Lua is 5.1 in one version and 5.3 in the other.
files["premake5.lua"] = {
   std = "max",
   globals = { "configuration", "filter", "flags", "solution", "symbols" },
   read_globals = {
      "_ACTION", "_OPTIONS", "_PREMAKE_VERSION", "buildoptions",
      "configurations", "files", "includedirs", "kind", "language",
      "linkoptions", "links", "location", "newaction", "newoption", "os",
      "project", "targetdir", "targetname", "targetprefix", "workspace",
   },
}
files["*.rockspec"] = {
   globals = {
      "build", "dependencies", "description", "package", "rockspec_format",
      "source", "version",
   },
}
files[".busted"] = { std = "lua54" }
files["spec"] = { std = "lua54+busted" }
files["examples/ctest"] = { std = "lua54+busted" }
-- Messages as they are.
files["spec/define_c_spec.lua"] = { max_string_line_length = 120 }
