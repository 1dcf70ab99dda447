--- Lists and an interface without a screen, and a window on one.

local DECLARATIONS = [[
   typedef struct Object Object;
   typedef struct Error Error;
   typedef struct Iterator Iterator;
   typedef unsigned long GType;
   void g_object_unref(Object *object);
   void g_free(void *memory);
   void gtk_parse_args(int *argc, void *argv);
   int gtk_init_check(int *argc, void *argv);

   Object *gtk_list_store_new(int columns, ...);
   void gtk_list_store_insert_with_values(Object *store, void *iterator,
      int position, ...);
   Object *gtk_tree_model_sort_new_with_model(Object *model);
   void gtk_tree_sortable_set_sort_column_id(Object *sortable, int column,
      int order);
   Object *gtk_tree_model_filter_new(Object *model, void *root);
   void gtk_tree_model_filter_set_visible_column(Object *filter, int column);
   int gtk_tree_model_iter_n_children(Object *model, void *iterator);
   int gtk_tree_model_get_iter_first(Object *model, void *iterator);
   int gtk_tree_model_iter_next(Object *model, void *iterator);
   void gtk_tree_model_get(Object *model, void *iterator, ...);

   Object *gtk_text_buffer_new(Object *tags);
   void gtk_text_buffer_set_text(Object *buffer, const char *text, int size);
   int gtk_text_buffer_get_line_count(Object *buffer);
   int gtk_text_buffer_get_char_count(Object *buffer);

   Object *gtk_builder_new(void);
   unsigned int gtk_builder_add_from_string(Object *builder, const char *text,
      size_t size, Error **error);
   Object *gtk_builder_get_object(Object *builder, const char *name);
   double gtk_adjustment_get_value(Object *adjustment);
   void gtk_adjustment_set_value(Object *adjustment, double value);
   void gtk_entry_set_text(Object *entry, const char *text);
   const char *gtk_label_get_text(Object *label);
   void g_object_set(Object *object, const char *name, ...);
   Object *g_object_bind_property(Object *from, const char *of, Object *to,
      const char *its, int flags);
   const char *g_type_name(GType type);
   GType gtk_window_get_type(void);

   Object *gtk_css_provider_new(void);
   int gtk_css_provider_load_from_data(Object *provider, const char *text,
      intptr_t size, Error **error);
   Object *gdk_screen_get_default(void);
   void gtk_style_context_add_provider_for_screen(Object *screen,
      Object *provider, unsigned int priority);
   void gtk_widget_show_all(Object *widget);
   void gtk_widget_destroy(Object *widget);
   int gtk_widget_get_mapped(Object *widget);
   void gtk_button_clicked(Object *button);
   int gtk_toggle_button_get_active(Object *button);
   int gtk_events_pending(void);
   int gtk_main_iteration_do(int blocking);

   Object *gdk_get_default_root_window(void);
   Object *gdk_pixbuf_get_from_window(Object *window, int x, int y, int width,
      int height);
   int gdk_pixbuf_get_width(const Object *image);
   int gdk_pixbuf_get_height(const Object *image);
   int gdk_pixbuf_get_rowstride(const Object *image);
   int gdk_pixbuf_get_n_channels(const Object *image);
   const char *gdk_pixbuf_read_pixels(const Object *image);
   int gdk_pixbuf_save(Object *image, const char *path, const char *type,
      Error **error, ...);
   Object *gdk_pixbuf_new_from_file(const char *path, Error **error);
]]

-- GTypes of GLib's own: their number times four.
local BOOLEAN <const>, INT <const>, TEXT <const> = 5 << 2, 6 << 2, 16 << 2

-- Room for a GtkTreeIter, which is four pointers at most.
local ITERATOR <const> = 32

local INTERFACE = [[
<interface>
  <object class="GtkAdjustment" id="amount">
    <property name="upper">100</property>
    <property name="value">25</property>
  </object>
</interface>
]]

local WINDOW = [[
<interface>
  <object class="GtkWindow" id="window">
    <property name="title">plugin</property>
    <property name="default-width">400</property>
    <property name="default-height">300</property>
    <child>
      <object class="GtkBox" id="box">
        <property name="orientation">vertical</property>
        <property name="homogeneous">1</property>
        <child><object class="GtkEntry" id="entry"/></child>
        <child><object class="GtkLabel" id="label"/></child>
        <child><object class="GtkCheckButton" id="button"/></child>
        <child><object class="GtkSpinner" id="spinner">
          <property name="active">1</property></object></child>
        <child><object class="GtkImage" id="image">
          <property name="icon-name">document-open</property></object></child>
      </object>
    </child>
  </object>
</interface>
]]

-- What is white when it is painted at all.
local STYLE = "window { background: rgb(32, 96, 192); }"
   .. "label { background: rgb(192, 64, 32); color: rgb(192, 64, 32); }"

local function models (work, C)
   local store = C.gtk_list_store_new(3, INT, TEXT, BOOLEAN)
   for at = 1, 1000 do
      local n = at * 7919 % 1009
      C.gtk_list_store_insert_with_values(store, nil, -1, 0, n, 1, "row " .. n,
         2, n % 10 == 0, -1)
   end
   local filter = C.gtk_tree_model_filter_new(store, nil)
   C.gtk_tree_model_filter_set_visible_column(filter, 2)
   local sort = C.gtk_tree_model_sort_new_with_model(filter)
   C.gtk_tree_sortable_set_sort_column_id(sort, 0, 1)
   local iterator = work.elf.new("char", ITERATOR)
   local number, text = work.elf.new "int", work.elf.new "char *"
   local last, count = math.huge, 0
   local more = C.gtk_tree_model_get_iter_first(sort, iterator)
   while more ~= 0 do
      C.gtk_tree_model_get(sort, iterator, 0, number, 1, text, -1)
      assert(number[0] % 10 == 0 and number[0] < last, "the order")
      work.equal(work.string(text[0]), "row " .. number[0], "a row")
      C.g_free(text[0])
      last, count = number[0], count + 1
      more = C.gtk_tree_model_iter_next(sort, iterator)
   end
   work.equal(count, C.gtk_tree_model_iter_n_children(filter, nil), "the rows")
   assert(count > 90, "rows are missing")
   for _, object in ipairs { sort, filter, store } do C.g_object_unref(object) end

   local buffer = C.gtk_text_buffer_new(nil)
   C.gtk_text_buffer_set_text(buffer, ("zwölf\n"):rep(500), -1)
   work.equal(C.gtk_text_buffer_get_line_count(buffer), 501, "lines")
   work.equal(C.gtk_text_buffer_get_char_count(buffer), 3000, "characters")
   C.g_object_unref(buffer)

   local builder = C.gtk_builder_new()
   assert(C.gtk_builder_add_from_string(builder, INTERFACE, -1, nil) == 1)
   local amount = assert(C.gtk_builder_get_object(builder, "amount"))
   work.equal(C.gtk_adjustment_get_value(amount), 25.0, "a value")
   C.gtk_adjustment_set_value(amount, 1000)
   work.equal(C.gtk_adjustment_get_value(amount), 100.0, "a limit")
   C.g_object_unref(builder)
   return count .. " rows filtered and sorted"
end

local function window (work, C)
   assert(C.gtk_init_check(nil, nil) == 1, "GTK finds no screen")
   local provider = C.gtk_css_provider_new()
   assert(C.gtk_css_provider_load_from_data(provider, STYLE, -1, nil) == 1)
   C.gtk_style_context_add_provider_for_screen(C.gdk_screen_get_default(),
      provider, 800)
   local builder = C.gtk_builder_new()
   assert(C.gtk_builder_add_from_string(builder, WINDOW, -1, nil) == 1)
   local function part (name) return C.gtk_builder_get_object(builder, name) end
   C.g_object_bind_property(part "entry", "text", part "label", "label", 0)
   C.gtk_entry_set_text(part "entry", "what is written here")
   work.equal(work.string(C.gtk_label_get_text(part "label")),
      "what is written here", "a binding")
   local top = part "window"
   C.gtk_widget_show_all(top)

   local colours = require "spec.conformance.jobs.screen"
   local blue, red
   local shown = work.wait(function ()
      while C.gtk_events_pending() ~= 0 do C.gtk_main_iteration_do(0) end
      blue, red = colours(work, C, "\32\96\192", "\192\64\32")
      return blue > 40000 and red > 15000
   end)
   assert(shown, ("the screen shows %d and %d pixels"):format(blue, red))
   assert(C.gtk_widget_get_mapped(top) == 1)
   C.gtk_button_clicked(part "button")
   work.equal(C.gtk_toggle_button_get_active(part "button"), 1, "a click")

   -- Through the plugins of gdk-pixbuf and back.
   local image = C.gdk_pixbuf_get_from_window(C.gdk_get_default_root_window(),
      0, 0, 800, 600)
   for _, type in ipairs { "png", "bmp", "tiff" } do
      local path = work.folder .. "/screen." .. type
      assert(C.gdk_pixbuf_save(image, path, type, nil, nil) == 1, type)
      local again = assert(C.gdk_pixbuf_new_from_file(path, nil), type)
      work.equal(C.gdk_pixbuf_get_width(again), 800, type)
      C.g_object_unref(again)
   end
   C.g_object_unref(image)
   C.gtk_widget_destroy(top)
   while C.gtk_events_pending() ~= 0 do C.gtk_main_iteration_do(0) end
   work.equal(colours(work, C, "\32\96\192"), 0, "the screen afterwards")
   return ("; a window shown, %d pixels of it"):format(blue + red)
end

return function (work)
   local library = work.open "libgtk-3.so.0"
   local C = library:cdef(DECLARATIONS)
   local done = models(work, C)
   if work.window then done = done .. window(work, C) end
   return done
end
