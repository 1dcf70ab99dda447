#include "plugin.h"

#include <clang/AST/RecursiveASTVisitor.h>
#include <clang/Basic/Diagnostic.h>
#include <clang/Format/Format.h>
#include <clang/Frontend/ASTUnit.h>
#include <clang/Tooling/Tooling.h>

static const char loose[] =
    "#include <b>\n#include <a>\n"
    "int  main( int argc,char**argv ){if(argc>1)return argv[ 1 ][0];\n"
    "for(auto&x:list){f(x);g( x );}return 0;}\n";

static const char strict[] =
    "#include <a>\n#include <b>\n"
    "int main(int argc, char **argv) {\n"
    "  if (argc > 1)\n"
    "    return argv[1][0];\n"
    "  for (auto &x : list) {\n"
    "    f(x);\n"
    "    g(x);\n"
    "  }\n"
    "  return 0;\n"
    "}\n";

static void format()
{
    auto style = clang::format::getLLVMStyle();
    std::string text = loose;
    auto sorted = clang::tooling::applyAllReplacements(text,
        clang::format::sortIncludes(style, text,
            { clang::tooling::Range(0, text.size()) }, "work.cc"));
    check((bool)sorted, "includes are not sorted");
    auto formatted = clang::tooling::applyAllReplacements(*sorted,
        clang::format::reformat(style, *sorted,
            { clang::tooling::Range(0, sorted->size()) }, "work.cc"));
    check((bool)formatted && *formatted == strict, "it is not LLVM's style");
}

struct Counter : clang::RecursiveASTVisitor<Counter> {
    int functions = 0, calls = 0, lambdas = 0;
    bool VisitFunctionDecl(clang::FunctionDecl *)
    {
        functions++;
        return true;
    }
    bool VisitCallExpr(clang::CallExpr *)
    {
        calls++;
        return true;
    }
    bool VisitLambdaExpr(clang::LambdaExpr *)
    {
        lambdas++;
        return true;
    }
};

// Keeps what the parser complains about.
struct Complaints : clang::DiagnosticConsumer {
    std::string text;
    void HandleDiagnostic(clang::DiagnosticsEngine::Level level,
                          const clang::Diagnostic &what) override
    {
        llvm::SmallString<200> words;
        DiagnosticConsumer::HandleDiagnostic(level, what);
        what.FormatDiagnostic(words);
        text += words.str().str() + "\n";
    }
};

static std::unique_ptr<clang::ASTUnit> parse(const char *text,
                                             Complaints *complaints)
{
    return clang::tooling::buildASTFromCodeWithArgs(text, { "-std=c++17" },
        "work.cc", "clang-tool",
        std::make_shared<clang::PCHContainerOperations>(),
        clang::tooling::getClangStripDependencyFileAdjuster(),
        clang::tooling::FileContentMappings(), complaints);
}

static void parse_good()
{
    Complaints complaints;
    auto unit = parse(
        "template <class T> constexpr T twice(T t) { return t + t; }\n"
        "static_assert(twice(21) == 42);\n"
        "struct Shape { virtual double area() const = 0; };\n"
        "int use(int (*f)(int)) { return f(1) + f(2); }\n"
        "int all() { return use([](int i) { return twice(i); }); }\n",
        &complaints);
    check(unit && complaints.text.empty(), "good C++ is complained about");
    Counter counter;
    counter.TraverseDecl(unit->getASTContext().getTranslationUnitDecl());
    check(counter.lambdas == 1, "its lambdas");
    // One of them is the lambda's own conversion to a pointer.
    check(counter.calls == 6, "its calls");
    check(counter.functions >= 4, "its functions");
}

static void parse_bad()
{
    Complaints complaints;
    parse("int f() { return undeclared + \"text\" }\n"
          "static_assert(sizeof(int) == 5, \"four\");\n", &complaints);
    check(complaints.getNumErrors() == 3, "its errors are not three");
    check(complaints.text.find("use of undeclared identifier 'undeclared'")
          != std::string::npos, complaints.text.c_str());
    check(complaints.text.find("static_assert failed") != std::string::npos
          || complaints.text.find("static assertion failed")
             != std::string::npos, complaints.text.c_str());
}

static std::string run(const std::string &)
{
    format();
    parse_good();
    parse_bad();
    return "a file formatted, one parsed, one refused with its three errors";
}
