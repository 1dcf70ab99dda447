-- The events of a runtime, as a C program is told of them.

local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local policy = require "spec.support.policy"

local group = fixtures.group {
   inner = { source = [[
      #include <unistd.h>
      __attribute__((constructor)) static void begin(void) { usleep(3000); }
      __attribute__((destructor)) static void end(void) { usleep(3000); }
      long inner(void) { return 7; }]] },
   outer = { needs = { "inner" }, source = [[
      extern long inner(void);
      long outer(void) { return inner() + 1; }]] },
}
local lacking = assert(cc.shared([[
   extern long nowhere(void);
   long lacks(void) { return nowhere(); }]],
   "-Wl,--no-as-needed " .. group.inner))

local HOOK = [[
   static uint64_t last;
   static void event(void *data, e64_runtime *asked, const e64_event *event)
   {
       static const char *const names[] = {
           "mapped", "bound", "started", "stopped", "unmapped", "failed" };
       if (strcmp(names[event->kind], event->name) || event->when < last
           || event->took > 5000000000 || asked != runtime
           || event->struct_size != sizeof *event
           || !event->plugin != (event->kind == E64_EVENT_FAILED))
           printf("wrong: ");
       last = event->when;
       printf("%s %s%s%s\n", event->name, base(event->path),
              event->error ? ": " : "",
              event->error ? e64_status_name(event->error->status) : "");
       if (strstr(event->path, "inner.so")
           && (event->kind == E64_EVENT_STARTED
               || event->kind == E64_EVENT_STOPPED)
           && event->took < 3000000)
           printf("too short: %d\n", (int)event->took);
   }
   static void telling(void)
   {
       options.event = event;
       begin();
   }]]

describe("The event hook", function ()
   it("is told of mapped, bound, started, stopped, unmapped, with times",
      function ()
         local out = policy.program(HOOK .. [[
            int main(int argc, char **argv)
            {
                telling();
                e64_plugin *plugin = opens(argv[1]);
                printf("%ld\n", call(plugin, "outer"));
                opens(argv[1]);
                e64_close(plugin, NULL);
                printf("closing\n");
                e64_close(plugin, NULL);
                printf("closed\n");
            }]], { group.outer })
         assert.equal([[
mapped outer.so
mapped inner.so
bound inner.so
bound outer.so
started inner.so
started outer.so
open: ok
8
open: ok
closing
stopped outer.so
stopped inner.so
unmapped outer.so
unmapped inner.so
closed
]], out)
      end)

   it("is told of what failed, and that what it knew of is unmapped",
      function ()
         local out = policy.program(HOOK .. [[
            int main(int argc, char **argv)
            {
                telling();
                opens(argv[1]);
                opens("libnowhere.so.7");
            }]], { lacking })
         local name = lacking:match "[^/]*$"
         assert.truthy(out:find(([[
mapped %s
mapped inner.so
unmapped inner.so
unmapped %s
failed %s: undefined
open: undefined
message: ]]):format(name, name, name), 1, true), out)
         assert.truthy(out:find("failed libnowhere.so.7: notfound\n"
            .. "open: notfound\nmessage: ", 1, true), out)
      end)

   it("is told of what is held when that is started, and nothing at the end",
      function ()
         local out = policy.program(HOOK .. [[
            int main(int argc, char **argv)
            {
                e64_open_options hold = { .struct_size = sizeof hold,
                                          .hold = 1 };
                e64_plugin *plugin;
                telling();
                e64_open(runtime, argv[1], &hold, &plugin, NULL);
                printf("starting\n");
                e64_start(plugin, NULL);
                printf("ending\n");
            }]], { group.inner })
         assert.equal("mapped inner.so\nbound inner.so\nstarting\n"
            .. "started inner.so\nending\n", out)
      end)
end)
