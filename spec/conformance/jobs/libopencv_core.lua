--- An image filtered and a matrix inverted; libopencv_core.cc does it.

return function (work)
   return work.plugin "-I/usr/include/opencv4 -lopencv_imgproc -lopencv_core"
end
