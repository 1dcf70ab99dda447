--- Expressions and what they are worth.

local DECLARATIONS = [[
   typedef struct JSCContext JSCContext;
   typedef struct JSCValue JSCValue;
   typedef struct JSCException JSCException;
   JSCContext *jsc_context_new(void);
   JSCValue *jsc_context_evaluate(JSCContext *context, const char *code,
      intptr_t size);
   JSCException *jsc_context_get_exception(JSCContext *context);
   void jsc_context_clear_exception(JSCContext *context);
   char *jsc_exception_report(JSCException *exception);
   char *jsc_value_to_string(JSCValue *value);
   double jsc_value_to_double(JSCValue *value);
   void g_object_unref(void *object);
   void g_free(void *memory);
]]

local EXPRESSIONS = {
   { "6 * 7", "42" },
   { "[3, 1, 2].sort().map(x => x * x).join()", "1,4,9" },
   { "let f = n => n < 2n ? 1n : n * f(n - 1n); f(30n)",
      "265252859812191058636308480000000" },
   { "(function* () { yield* [1, 2]; yield 3 })().next().value", "1" },
   { "class A { #x = 5; get x() { return this.#x } }; new A().x", "5" },
   { [["2026-01-31".replace(/(?<y>\d+)-(\d+)-(\d+)/u, "$3.$2.$<y>")]],
      "31.01.2026" },
   { [[JSON.stringify({ a: [1, null, "\u00e9"], b: { c: true } })]],
      '{"a":[1,null,"\u{e9}"],"b":{"c":true}}' },
   { [["zebra öra apa".split(" ").sort(new Intl.Collator("sv").compare).join()]],
      "apa,zebra,öra" },
   { "new Intl.NumberFormat('de').format(1234567.5)", "1.234.567,5" },
   { "new Float64Array([1.5, 2.5]).reduce((a, b) => a + b)", "4" },
   { "let m = new Map([[NaN, 'x']]); m.get(NaN)", "x" },
   -- Hot enough for each of its compilers.
   { [[let sum = 0; function step(i) { return i % 7 * (i & 3) }
      for (let i = 0; i < 20000000; i++) sum += step(i); sum]], "89999996" },
   -- Enough to be collected many times.
   { [[let kept = []; for (let i = 0; i < 300000; i++)
      { let o = { i, s: "s" + i }; if (i % 1000 == 0) kept.push(o) }
      kept.length + kept[299].s]], "300s299000" },
}

return function (work)
   local library = work.open "libjavascriptcoregtk-4.1.so.0"
   local C = library:cdef(DECLARATIONS)

   local function text (pointer)
      local copy = work.string(pointer)
      C.g_free(pointer)
      return copy
   end

   for at, expression in ipairs(EXPRESSIONS) do
      local context = C.jsc_context_new()
      local value = C.jsc_context_evaluate(context, expression[1], -1)
      local exception = C.jsc_context_get_exception(context)
      if exception then error(text(C.jsc_exception_report(exception))) end
      work.equal(text(C.jsc_value_to_string(value)), expression[2],
         "expression " .. at)
      C.g_object_unref(value)
      C.g_object_unref(context)
   end

   local context = C.jsc_context_new()
   for code, expected in pairs { ["let 1 = 2"] = "SyntaxError",
      ["undefined.x"] = "TypeError: undefined is not an object",
      ["let r = () => r(); r()"] = "RangeError: Maximum call stack" } do
      C.g_object_unref(C.jsc_context_evaluate(context, code, -1))
      local exception = assert(C.jsc_context_get_exception(context), code)
      local report = text(C.jsc_exception_report(exception))
      assert(report:find(expected, 1, true), report)
      C.jsc_context_clear_exception(context)
   end
   C.g_object_unref(context)
   return ("%d expressions, 3 exceptions"):format(#EXPRESSIONS)
end
