#!/usr/bin/env lua5.4
-- The loader's side of the row `callback`.

local calls = require "spec.bench.calls"
local elf = require "elf64load"

local plugin = assert(elf.open(arg[1]))
calls.run(plugin:cdef(calls.declarations), elf.callback)
