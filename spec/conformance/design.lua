--- The closed list of imports that a plugin gets from the loader itself and
--- not from glibc, because glibc's functions cannot know a plugin that they did
--- not map, or because it must be known what they were given. A slot of one of
--- these names counts as "ours by design" when dlopen gives it to glibc's
--- function and we give it to the loader's own. Nothing else may differ.
---@type table<string, true>
return {
   -- Opening and looking up, with the caller's own scope.
   dlopen = true,
   dlmopen = true,
   dlclose = true,
   dlsym = true,
   dlvsym = true,
   dlerror = true,
   dlinfo = true,
   -- From an address to what lies there.
   dladdr = true,
   dladdr1 = true,
   dl_iterate_phdr = true,
   _dl_find_object = true,
   backtrace_symbols = true,
   backtrace_symbols_fd = true,
   -- Thread-local storage and its destructors.
   __tls_get_addr = true,
   __cxa_thread_atexit = true,
   __cxa_thread_atexit_impl = true,
   -- What libc is given to call later.
   pthread_create = true,
   thrd_create = true,
   pthread_key_create = true,
   __pthread_key_create = true,
   pthread_key_delete = true,
   tss_create = true,
   tss_delete = true,
   __register_atfork = true,
   pthread_atfork = true,
   __cxa_atexit = true,
   __cxa_at_quick_exit = true,
   on_exit = true,
   __cxa_finalize = true,
}
