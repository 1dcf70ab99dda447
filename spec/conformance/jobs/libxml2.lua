--- A document read, asked, changed and written.

local DECLARATIONS = [[
   typedef struct _xmlDoc xmlDoc;
   typedef struct _xmlNode xmlNode;
   typedef struct xmlXPathContext xmlXPathContext;
   typedef struct xmlXPathObject xmlXPathObject;
   enum { QUIET = 0x60 };
   xmlDoc *xmlReadMemory(const char *bytes, int size, const char *url,
      const char *encoding, int options);
   xmlDoc *xmlReadFile(const char *path, const char *encoding, int options);
   void xmlFreeDoc(xmlDoc *document);
   xmlNode *xmlDocGetRootElement(const xmlDoc *document);
   xmlNode *xmlNewTextChild(xmlNode *parent, void *space, const char *name,
      const char *content);
   char *xmlNodeGetContent(const xmlNode *node);
   void *xmlNewProp(xmlNode *node, const char *name, const char *value);
   int xmlSaveFormatFileEnc(const char *path, xmlDoc *document,
      const char *encoding, int format);
   xmlXPathContext *xmlXPathNewContext(xmlDoc *document);
   void xmlXPathFreeContext(xmlXPathContext *context);
   xmlXPathObject *xmlXPathEvalExpression(const char *text,
      xmlXPathContext *context);
   void xmlXPathFreeObject(xmlXPathObject *object);
   char *xmlXPathCastToString(xmlXPathObject *object);
   double xmlXPathCastToNumber(xmlXPathObject *object);
   void xmlCleanupParser(void);
]]

local ITEMS <const> = 5000

return function (work)
   local library = work.open "libxml2.so.2"
   local C = library:cdef(DECLARATIONS)

   local function evaluate (document, path, as)
      local context = C.xmlXPathNewContext(document)
      local object = assert(C.xmlXPathEvalExpression(path, context), path)
      local answer
      if as == "number" then
         answer = C.xmlXPathCastToNumber(object)
      else
         answer = work.string(C.xmlXPathCastToString(object))
      end
      C.xmlXPathFreeObject(object)
      C.xmlXPathFreeContext(context)
      return answer
   end

   -- "Nihongo" in EUC-JP, which only iconv knows.
   local text = { '<?xml version="1.0" encoding="EUC-JP"?><list>\n',
      "<title>\xc6\xfc\xcb\xdc\xb8\xec</title>" }
   for at = 1, ITEMS do
      text[#text + 1] = ('<item n="%d"><![CDATA[<%d>]]> &amp; &#65;</item>\n')
         :format(at, at * at)
   end
   text[#text + 1] = "</list>"
   local bytes = table.concat(text)
   local document = assert(C.xmlReadMemory(bytes, #bytes, "list.xml", nil,
      C.QUIET), "it is not parsed")
   local function check ()
      work.equal(evaluate(document, "string(/list/title)"),
         "\u{65e5}\u{672c}\u{8a9e}", "a title")
      work.equal(evaluate(document, "sum(/list/item/@n)", "number"),
         ITEMS * (ITEMS + 1) / 2, "a sum")
      work.equal(evaluate(document, "//item[@n = 4321]"), "<18671041> & A",
         "an item")
      work.equal(evaluate(document,
         "count(//item[contains(., '00> ')])", "number"), ITEMS / 10, "a count")
   end
   check()

   local path = work.folder .. "/list.xml"
   local added = assert(C.xmlNewTextChild(C.xmlDocGetRootElement(document), nil,
      "last", "a < b"))
   C.xmlNewProp(added, "why", '"so"')
   assert(C.xmlSaveFormatFileEnc(path, document, "UTF-16", 1) > 0)
   C.xmlFreeDoc(document)
   assert(work.read(path):find("^[\xfe\xff][\xfe\xff]"), "it is not UTF-16")
   document = assert(C.xmlReadFile(path, nil, C.QUIET), "not read again")
   check()
   work.equal(evaluate(document, "concat(//last, //last/@why)"), 'a < b"so"',
      "what was added")
   C.xmlFreeDoc(document)

   local broken = bytes:sub(1, -3)
   assert(not C.xmlReadMemory(broken, #broken, "broken.xml", nil, C.QUIET),
      "what is broken is parsed")
   C.xmlCleanupParser()
   return ("%d elements in EUC-JP and UTF-16"):format(ITEMS)
end
