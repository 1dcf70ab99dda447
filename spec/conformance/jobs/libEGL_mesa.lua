--- A triangle drawn in several threads and read back; libEGL_mesa.cc does it.

return function (work)
   local said = work.plugin "-l:libEGL.so.1"
   work.ours "libEGL_mesa%.so"
   work.ours "swrast_dri%.so"
   work.ours "libLLVM"
   return said
end
