--- A module from nothing to machine code that runs.

local DECLARATIONS = [[
   typedef struct LLVMOpaqueContext *LLVMContextRef;
   typedef struct LLVMOpaqueModule *LLVMModuleRef;
   typedef struct LLVMOpaqueType *LLVMTypeRef;
   typedef struct LLVMOpaqueValue *LLVMValueRef;
   typedef struct LLVMOpaqueBasicBlock *LLVMBasicBlockRef;
   typedef struct LLVMOpaqueBuilder *LLVMBuilderRef;
   typedef struct LLVMOpaqueMemoryBuffer *LLVMMemoryBufferRef;
   typedef struct LLVMOpaquePassManager *LLVMPassManagerRef;
   typedef struct LLVMTarget *LLVMTargetRef;
   typedef struct LLVMOpaqueTargetMachine *LLVMTargetMachineRef;
   typedef struct LLVMOpaqueExecutionEngine *LLVMExecutionEngineRef;
   LLVMContextRef LLVMContextCreate(void);
   void LLVMContextDispose(LLVMContextRef context);
   LLVMModuleRef LLVMModuleCreateWithNameInContext(const char *name,
      LLVMContextRef context);
   LLVMTypeRef LLVMInt64TypeInContext(LLVMContextRef context);
   LLVMTypeRef LLVMFunctionType(LLVMTypeRef result, LLVMTypeRef *parameters,
      unsigned int count, int variadic);
   LLVMValueRef LLVMAddFunction(LLVMModuleRef module, const char *name,
      LLVMTypeRef type);
   LLVMValueRef LLVMGetParam(LLVMValueRef function, unsigned int at);
   LLVMBasicBlockRef LLVMAppendBasicBlockInContext(LLVMContextRef context,
      LLVMValueRef function, const char *name);
   LLVMBuilderRef LLVMCreateBuilderInContext(LLVMContextRef context);
   void LLVMDisposeBuilder(LLVMBuilderRef builder);
   void LLVMPositionBuilderAtEnd(LLVMBuilderRef builder,
      LLVMBasicBlockRef block);
   LLVMValueRef LLVMConstInt(LLVMTypeRef type, uint64_t value, int sign);
   LLVMValueRef LLVMBuildMul(LLVMBuilderRef builder, LLVMValueRef a,
      LLVMValueRef b, const char *name);
   LLVMValueRef LLVMBuildAdd(LLVMBuilderRef builder, LLVMValueRef a,
      LLVMValueRef b, const char *name);
   LLVMValueRef LLVMBuildRet(LLVMBuilderRef builder, LLVMValueRef value);
   int LLVMVerifyModule(LLVMModuleRef module, int action, char **message);
   char *LLVMPrintModuleToString(LLVMModuleRef module);
   void LLVMDisposeMessage(char *message);
   void LLVMDisposeModule(LLVMModuleRef module);
   LLVMMemoryBufferRef LLVMCreateMemoryBufferWithMemoryRangeCopy(
      const char *bytes, size_t size, const char *name);
   int LLVMParseIRInContext(LLVMContextRef context, LLVMMemoryBufferRef text,
      LLVMModuleRef *module, char **message);
   LLVMPassManagerRef LLVMCreatePassManager(void);
   void LLVMAddPromoteMemoryToRegisterPass(LLVMPassManagerRef passes);
   void LLVMAddInstructionCombiningPass(LLVMPassManagerRef passes);
   void LLVMAddIndVarSimplifyPass(LLVMPassManagerRef passes);
   void LLVMAddLoopDeletionPass(LLVMPassManagerRef passes);
   void LLVMAddCFGSimplificationPass(LLVMPassManagerRef passes);
   void LLVMAddGVNPass(LLVMPassManagerRef passes);
   int LLVMRunPassManager(LLVMPassManagerRef passes, LLVMModuleRef module);
   void LLVMDisposePassManager(LLVMPassManagerRef passes);
   void LLVMInitializeX86TargetInfo(void);
   void LLVMInitializeX86Target(void);
   void LLVMInitializeX86TargetMC(void);
   void LLVMInitializeX86AsmPrinter(void);
   int LLVMGetTargetFromTriple(const char *triple, LLVMTargetRef *target,
      char **message);
   LLVMTargetMachineRef LLVMCreateTargetMachine(LLVMTargetRef target,
      const char *triple, const char *cpu, const char *features, int level,
      int reloc, int model);
   void LLVMDisposeTargetMachine(LLVMTargetMachineRef machine);
   int LLVMTargetMachineEmitToFile(LLVMTargetMachineRef machine,
      LLVMModuleRef module, char *path, int kind, char **message);
   void LLVMLinkInMCJIT(void);
   int LLVMCreateMCJITCompilerForModule(LLVMExecutionEngineRef *engine,
      LLVMModuleRef module, void *options, size_t size, char **message);
   uint64_t LLVMGetFunctionAddress(LLVMExecutionEngineRef engine,
      const char *name);
   void LLVMDisposeExecutionEngine(LLVMExecutionEngineRef engine);
   enum { ASSEMBLY, OBJECT };
]]

-- Its loop needs no loop: an optimiser finds the formula.
local TEXT = [[
target triple = "x86_64-pc-linux-gnu"
declare double @cos(double)
define i64 @sum(i64 %n) {
entry:
  %i = alloca i64
  %s = alloca i64
  store i64 0, i64* %i
  store i64 0, i64* %s
  br label %test
test:
  %a = load i64, i64* %i
  %more = icmp slt i64 %a, %n
  br i1 %more, label %body, label %done
body:
  %b = load i64, i64* %i
  %c = load i64, i64* %s
  %d = add i64 %b, %c
  store i64 %d, i64* %s
  %e = add i64 %b, 1
  store i64 %e, i64* %i
  br label %test
done:
  %f = load i64, i64* %s
  ret i64 %f
}
define double @twice_cos(double %x) {
  %y = call double @cos(double %x)
  %z = fadd double %y, %y
  ret double %z
}
]]

return function (work)
   local library = work.open "libLLVM-14.so.1"
   local C = library:cdef(DECLARATIONS)
   local context = C.LLVMContextCreate()
   local message = library:new "char *"

   local function check (failed)
      if failed ~= 0 then error(work.string(message[0]), 2) end
   end

   local function printed (module)
      local text = C.LLVMPrintModuleToString(module)
      local copy = work.string(text)
      C.LLVMDisposeMessage(text)
      return copy
   end

   local function parse (text)
      local place = library:new "LLVMModuleRef"
      local buffer = C.LLVMCreateMemoryBufferWithMemoryRangeCopy(text, #text,
         "text")
      return C.LLVMParseIRInContext(context, buffer, place, message), place[0]
   end

   -- Built: f(a, b) = a * b + 7.
   local module = C.LLVMModuleCreateWithNameInContext("built", context)
   local int64 = C.LLVMInt64TypeInContext(context)
   local parameters = library:new("LLVMTypeRef", 2)
   parameters[0], parameters[1] = int64, int64
   local f = C.LLVMAddFunction(module, "f",
      C.LLVMFunctionType(int64, parameters, 2, 0))
   local builder = C.LLVMCreateBuilderInContext(context)
   C.LLVMPositionBuilderAtEnd(builder,
      C.LLVMAppendBasicBlockInContext(context, f, "entry"))
   local product = C.LLVMBuildMul(builder, C.LLVMGetParam(f, 0),
      C.LLVMGetParam(f, 1), "product")
   C.LLVMBuildRet(builder, C.LLVMBuildAdd(builder, product,
      C.LLVMConstInt(int64, 7, 0), "sum"))
   C.LLVMDisposeBuilder(builder)
   check(C.LLVMVerifyModule(module, 2, message))
   local text = printed(module)
   assert(text:find("define i64 @f(i64 %0, i64 %1) {\nentry:\n"
      .. "  %product = mul i64 %0, %1\n  %sum = add i64 %product, 7\n"
      .. "  ret i64 %sum\n}", 1, true), text)
   C.LLVMDisposeModule(module)
   -- What was printed is read again, and what makes no sense is refused.
   local failed, again = parse(text)
   check(failed)
   work.equal(printed(again):match "define.*", text:match "define.*",
      "what was parsed")
   C.LLVMDisposeModule(again)
   work.equal(parse((text:gsub("ret i64", "ret i32"))), 1, "a wrong type")
   assert(work.string(message[0]):find "'%%sum' defined with type 'i64'",
      work.string(message[0]))

   local optimised
   failed, optimised = parse(TEXT)
   check(failed)
   local passes = C.LLVMCreatePassManager()
   C.LLVMAddPromoteMemoryToRegisterPass(passes)
   C.LLVMAddInstructionCombiningPass(passes)
   C.LLVMAddCFGSimplificationPass(passes)
   C.LLVMAddIndVarSimplifyPass(passes)
   C.LLVMAddLoopDeletionPass(passes)
   C.LLVMAddGVNPass(passes)
   C.LLVMAddCFGSimplificationPass(passes)
   work.equal(C.LLVMRunPassManager(passes, optimised), 1, "the optimiser")
   C.LLVMDisposePassManager(passes)
   check(C.LLVMVerifyModule(optimised, 2, message))
   text = printed(optimised)
   assert(not text:find "alloca" and not text:find " phi ", text)

   for _, part in ipairs { "TargetInfo", "Target", "TargetMC", "AsmPrinter" } do
      C["LLVMInitializeX86" .. part]()
   end
   local target = library:new "LLVMTargetRef"
   check(C.LLVMGetTargetFromTriple("x86_64-pc-linux-gnu", target, message))
   local machine = C.LLVMCreateTargetMachine(target[0], "x86_64-pc-linux-gnu",
      "x86-64", "", 2, 2, 0)
   for kind, name in pairs { [C.ASSEMBLY] = "/sum.s", [C.OBJECT] = "/sum.o" } do
      local path = work.elf.new("char", work.folder .. name)
      check(C.LLVMTargetMachineEmitToFile(machine, optimised, path, kind,
         message))
   end
   C.LLVMDisposeTargetMachine(machine)
   assert(work.read(work.folder .. "/sum.s"):find "\nsum:")
   assert(work.output(("cd %s && cc -shared -o sum.so sum.o -lm"):format(
      work.folder)), "ld does not take the object file")
   -- What LLVM made is a plugin, too.
   local made = work.open(work.folder .. "/sum.so")
   work.equal(made:cdef "int64_t sum(int64_t n);".sum(100001), 5000050000,
      "the object file's sum")
   made:close()

   local engine = library:new "LLVMExecutionEngineRef"
   C.LLVMLinkInMCJIT()
   check(C.LLVMCreateMCJITCompilerForModule(engine, optimised, nil, 0, message))
   local function compiled (name, type)
      local address = C.LLVMGetFunctionAddress(engine[0], name)
      assert(address ~= 0, name)
      return work.elf.cast(type, address)
   end
   work.equal(compiled("sum", "int64_t (*)(int64_t)")(1000000001),
      500000000500000000, "a sum that was compiled now")
   work.equal(compiled("twice_cos", "double (*)(double)")(0), 2.0,
      "a call out of it")
   C.LLVMDisposeExecutionEngine(engine[0])
   C.LLVMContextDispose(context)
   return "built, printed, parsed, optimised, written, and run"
end
