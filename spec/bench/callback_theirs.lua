#!/usr/bin/env lua5.4
-- The other side of the row `callback`: cffi-lua.

local calls = require "spec.bench.calls"
local cffi = require "cffi"

cffi.cdef(calls.declarations)
calls.run(cffi.load(arg[1]), cffi.cast)
