local elf, cc = require "elf64load", require "elf64load.cc"

describe("A lease", function ()
   it("ends a minute after it was used", function ()
      local now = 1700000050
      local clock = spy.new(function () return now end)
      local runtime <close> = elf.runtime {}
      runtime:define("double clock_now(void)", clock)
      local lease = assert(runtime:open(assert(cc.object { file = "lease.c", flags = "-g" })))
      local C = lease:cdef [[ extern float last_used; void lease_use(void);
         int lease_ended(void); ]]
      C.lease_use()
      assert.spy(clock).was.called(1)
      now = now + 59
      assert.equal(0, C.lease_ended(), "last used " .. C.last_used)
      now = now + 2
      assert.equal(1, C.lease_ended())
   end)
end)
