--- Parallel regions with several threads; libgomp.cc has them.

return function (work)
   return work.plugin "-fopenmp"
end
