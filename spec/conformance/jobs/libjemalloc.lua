--- Memory taken and given back in several threads; libjemalloc.cc does it.

return function (work)
   return work.plugin "-pthread"
end
