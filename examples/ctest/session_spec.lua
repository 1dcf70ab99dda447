local elf, cc = require "elf64load", require "elf64load.cc"

describe("A session", function ()
   it("ends a minute after it was used", function ()
      local now = 1700000050
      local clock = spy.new(function () return now end)
      local runtime <close> = elf.runtime {}
      runtime:define("double clock_now(void)", clock)
      local session = assert(runtime:open(assert(cc.object { file = "session.c", flags = "-g" })))
      local C = session:cdef [[ extern float last_used; void session_use(void);
         int session_ended(void); ]]
      C.session_use()
      assert.spy(clock).was.called(1)
      now = now + 59
      assert.equal(0, C.session_ended(), "last used " .. C.last_used)
      now = now + 2
      assert.equal(1, C.session_ended())
   end)
end)
