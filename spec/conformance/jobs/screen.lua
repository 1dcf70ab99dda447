--- How many pixels of the screen have these colours of three bytes each. For jobs
--- that have declared gdk's functions.

return function (work, C, ...)
   local image = assert(C.gdk_pixbuf_get_from_window(
      C.gdk_get_default_root_window(), 0, 0, 800, 600), "there is no screen")
   local channels = C.gdk_pixbuf_get_n_channels(image)
   local width, stride = C.gdk_pixbuf_get_width(image),
      C.gdk_pixbuf_get_rowstride(image)
   local height = C.gdk_pixbuf_get_height(image)
   local bytes = work.string(C.gdk_pixbuf_read_pixels(image),
      stride * (height - 1) + width * channels)
   C.g_object_unref(image)
   local counts = {}
   for at, colour in ipairs { ... } do
      local count, from = 0, 1
      while true do
         local found = bytes:find(colour, from, true)
         if not found then break end
         from = found + 1
         if (found - 1) % stride % channels == 0 then count = count + 1 end
      end
      counts[at] = count
   end
   return table.unpack(counts)
end
