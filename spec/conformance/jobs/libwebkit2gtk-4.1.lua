--- A page in a window: it is parsed, laid out, painted, and runs its script.

local DECLARATIONS = [[
   typedef struct Object Object;
   void g_object_unref(Object *object);
   int gtk_init_check(int *argc, void *argv);
   Object *gtk_window_new(int type);
   void gtk_window_set_default_size(Object *window, int width, int height);
   void gtk_container_add(Object *container, Object *widget);
   void gtk_widget_show_all(Object *widget);
   void gtk_widget_destroy(Object *widget);
   int gtk_events_pending(void);
   int gtk_main_iteration_do(int blocking);
   Object *webkit_web_view_new(void);
   void webkit_web_view_load_uri(Object *view, const char *uri);
   int webkit_web_view_is_loading(Object *view);
   const char *webkit_web_view_get_title(Object *view);
   const char *webkit_web_view_get_uri(Object *view);
   Object *gdk_get_default_root_window(void);
   Object *gdk_pixbuf_get_from_window(Object *window, int x, int y, int width,
      int height);
   int gdk_pixbuf_get_width(const Object *image);
   int gdk_pixbuf_get_height(const Object *image);
   int gdk_pixbuf_get_rowstride(const Object *image);
   int gdk_pixbuf_get_n_channels(const Object *image);
   const char *gdk_pixbuf_read_pixels(const Object *image);
]]

local PAGE = [[
<!doctype html>
<meta charset="utf-8">
<title>not yet</title>
<style>
body { margin: 0; background: rgb(32, 96, 192); }
div { width: 50vw; height: 50vh; background: rgb(0, 0, 0); }
</style>
<div></div>
<script>
document.querySelector("div").style.background = "rgb(192, 64, 32)";
document.title = [1, 2, 3].map(n => n * n).join("+") + "=" + (1 + 4 + 9)
   + " " + getComputedStyle(document.body).backgroundColor;
</script>
]]

return function (work)
   local library = work.open "libwebkit2gtk-4.1.so.0"
   local C = library:cdef(DECLARATIONS)
   local colours = require "spec.conformance.jobs.screen"
   assert(work.window, "it needs a screen")
   assert(C.gtk_init_check(nil, nil) == 1, "GTK finds no screen")
   local path = work.folder .. "/page.html"
   work.write(path, PAGE)

   local window = C.gtk_window_new(0)
   C.gtk_window_set_default_size(window, 600, 400)
   local view = C.webkit_web_view_new()
   C.gtk_container_add(window, view)
   C.gtk_widget_show_all(window)
   C.webkit_web_view_load_uri(view, "file://" .. path)

   local blue, red
   local shown = work.wait(function ()
      while C.gtk_events_pending() ~= 0 do C.gtk_main_iteration_do(0) end
      blue, red = colours(work, C, "\32\96\192", "\192\64\32")
      return C.webkit_web_view_is_loading(view) == 0
         and blue > 150000 and red > 50000
   end)
   local title = work.string(C.webkit_web_view_get_title(view))
   assert(shown, ("the screen shows %d and %d pixels, the title is %s"):format(
      blue, red, tostring(title)))
   work.equal(title, "1+4+9=14 rgb(32, 96, 192)", "the title")
   work.equal(work.string(C.webkit_web_view_get_uri(view)), "file://" .. path,
      "the address")
   C.gtk_widget_destroy(window)
   while C.gtk_events_pending() ~= 0 do C.gtk_main_iteration_do(0) end
   return ("a page shown, %d pixels of it; its script has said %s"):format(
      blue + red, title)
end
