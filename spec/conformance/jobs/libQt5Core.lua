--- What QtCore does without a screen; libQt5Core.cc does it.

return function (work)
   return work.plugin("-I/usr/include/x86_64-linux-gnu/qt5 "
      .. "-I/usr/include/x86_64-linux-gnu/qt5/QtCore -lQt5Core")
end
