--- An image painted by QtGui on the offscreen platform; libQt5Gui.cc does it.

return function (work)
   local said = work.plugin("-I/usr/include/x86_64-linux-gnu/qt5 "
      .. "-I/usr/include/x86_64-linux-gnu/qt5/QtCore "
      .. "-I/usr/include/x86_64-linux-gnu/qt5/QtGui -lQt5Gui -lQt5Core")
   -- Plugins of Qt's, which its own plugin loader has opened.
   work.ours "/platforms/libqoffscreen%.so$"
   work.ours "/imageformats/libqjpeg%.so$"
   return said
end
