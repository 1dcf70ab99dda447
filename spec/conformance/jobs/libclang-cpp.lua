--- C++ formatted and parsed; libclang-cpp.cc does it.

return function (work)
   return work.plugin("-std=c++17 -I/usr/lib/llvm-14/include "
      .. "-L/usr/lib/llvm-14/lib -l:libclang-cpp.so.14 -l:libLLVM-14.so.1")
end
