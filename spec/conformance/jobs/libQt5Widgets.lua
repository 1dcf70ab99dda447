--- A dialog painted into an image; libQt5Widgets.cc does it.

return function (work)
   local said = work.plugin("-I/usr/include/x86_64-linux-gnu/qt5 "
      .. "-I/usr/include/x86_64-linux-gnu/qt5/QtCore "
      .. "-I/usr/include/x86_64-linux-gnu/qt5/QtGui "
      .. "-I/usr/include/x86_64-linux-gnu/qt5/QtWidgets "
      .. "-lQt5Widgets -lQt5Gui -lQt5Core")
   work.ours "/platforms/libqoffscreen%.so$"
   return said
end
