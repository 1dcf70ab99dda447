#!/usr/bin/env lua5.4
-- The row `hooks` with a policy that says nothing.

require "spec.bench.hooks".run(arg[1], {})
