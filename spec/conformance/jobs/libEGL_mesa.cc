// A context without a screen on Mesa's software driver, which is a plugin of
// Mesa's and compiles shaders by LLVM; drawn pixels are read back. What of EGL
// and OpenGL ES 2 is needed is declared here.

#include "plugin.h"

#include <condition_variable>
#include <cstring>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

typedef struct Display *EGLDisplay;
typedef struct Config *EGLConfig;
typedef struct Surface *EGLSurface;
typedef struct Context *EGLContext;

extern "C" {
EGLDisplay eglGetPlatformDisplay(unsigned platform, void *native,
                                 const intptr_t *attributes);
unsigned eglInitialize(EGLDisplay display, int *major, int *minor);
unsigned eglTerminate(EGLDisplay display);
unsigned eglBindAPI(unsigned api);
unsigned eglChooseConfig(EGLDisplay display, const int *attributes,
                         EGLConfig *configs, int size, int *count);
EGLSurface eglCreatePbufferSurface(EGLDisplay display, EGLConfig config,
                                   const int *attributes);
unsigned eglDestroySurface(EGLDisplay display, EGLSurface surface);
EGLContext eglCreateContext(EGLDisplay display, EGLConfig config,
                            EGLContext share, const int *attributes);
unsigned eglDestroyContext(EGLDisplay display, EGLContext context);
unsigned eglMakeCurrent(EGLDisplay display, EGLSurface draw, EGLSurface read,
                        EGLContext context);
EGLContext eglGetCurrentContext(void);
unsigned eglReleaseThread(void);
int eglGetError(void);
void *eglGetProcAddress(const char *name);
}

enum {
    PLATFORM_SURFACELESS = 0x31DD, API_OPENGL_ES = 0x30A0,
    SURFACE_TYPE = 0x3033, PBUFFER_BIT = 1, RENDERABLE_TYPE = 0x3040,
    ES2_BIT = 4, RED_SIZE = 0x3024, GREEN_SIZE = 0x3023, BLUE_SIZE = 0x3022,
    ALPHA_SIZE = 0x3021, NONE = 0x3038, WIDTH = 0x3057, HEIGHT = 0x3056,
    CLIENT_VERSION = 0x3098, SUCCESS = 0x3000,

    RENDERER = 0x1F01, COLOR_BUFFER_BIT = 0x4000, VERTEX_SHADER = 0x8B31,
    FRAGMENT_SHADER = 0x8B30, COMPILE_STATUS = 0x8B81, LINK_STATUS = 0x8B82,
    FLOAT = 0x1406, TRIANGLES = 4, RGBA = 0x1908, UNSIGNED_BYTE = 0x1401,
    INVALID_ENUM = 0x0500,
};

// A function of OpenGL, of which EGL knows where it is.
template <typename Type> struct function
{
    Type *address;
    explicit function(const char *name)
        : address((Type *)eglGetProcAddress(name))
    { check(address, name); }
    template <typename... Arguments> auto operator()(Arguments... arguments)
    { return address(arguments...); }
};

#define GL(type, name, ...) \
    function<type(__VA_ARGS__)> name { "gl" #name }

struct functions
{
    GL(const unsigned char *, GetString, unsigned);
    GL(int, GetError);
    GL(void, Viewport, int, int, int, int);
    GL(void, ClearColor, float, float, float, float);
    GL(void, Clear, unsigned);
    GL(unsigned, CreateShader, unsigned);
    GL(void, ShaderSource, unsigned, int, const char *const *, const int *);
    GL(void, CompileShader, unsigned);
    GL(void, GetShaderiv, unsigned, unsigned, int *);
    GL(unsigned, CreateProgram);
    GL(void, AttachShader, unsigned, unsigned);
    GL(void, BindAttribLocation, unsigned, unsigned, const char *);
    GL(void, LinkProgram, unsigned);
    GL(void, GetProgramiv, unsigned, unsigned, int *);
    GL(void, UseProgram, unsigned);
    GL(int, GetUniformLocation, unsigned, const char *);
    GL(void, Uniform4f, int, float, float, float, float);
    GL(void, EnableVertexAttribArray, unsigned);
    GL(void, VertexAttribPointer, unsigned, int, unsigned, unsigned char, int,
       const void *);
    GL(void, DrawArrays, unsigned, int, int);
    GL(void, ReadPixels, int, int, int, int, unsigned, unsigned, void *);
    GL(void, Enable, unsigned);
};

static const int SIZE = 128;

// The window of a thread that has none.
struct canvas
{
    EGLDisplay display;
    EGLSurface surface;
    EGLContext context;

    explicit canvas(EGLDisplay on) : display(on)
    {
        const int wanted[] = { SURFACE_TYPE, PBUFFER_BIT, RENDERABLE_TYPE,
            ES2_BIT, RED_SIZE, 8, GREEN_SIZE, 8, BLUE_SIZE, 8, ALPHA_SIZE, 8,
            NONE };
        const int size[] = { WIDTH, SIZE, HEIGHT, SIZE, NONE };
        const int version[] = { CLIENT_VERSION, 2, NONE };
        EGLConfig config;
        int count = 0;
        check(eglBindAPI(API_OPENGL_ES), "OpenGL ES");
        check(eglChooseConfig(display, wanted, &config, 1, &count) && count,
              "a configuration");
        surface = eglCreatePbufferSurface(display, config, size);
        check(surface, "a surface");
        context = eglCreateContext(display, config, nullptr, version);
        check(context, "a context");
        check(!eglGetCurrentContext(), "this thread's context at first");
        check(eglMakeCurrent(display, surface, surface, context),
              "a current context");
        check(eglGetCurrentContext() == context, "this thread's context");
    }

    ~canvas()
    {
        eglMakeCurrent(display, nullptr, nullptr, nullptr);
        eglDestroyContext(display, context);
        eglDestroySurface(display, surface);
        eglReleaseThread();
    }
};

static unsigned shader(functions &gl, unsigned kind, const char *text)
{
    int good = 0;
    const unsigned number = gl.CreateShader(kind);
    gl.ShaderSource(number, 1, &text, nullptr);
    gl.CompileShader(number);
    gl.GetShaderiv(number, COMPILE_STATUS, &good);
    check(good, "a shader");
    return number;
}

static bool close_to(const unsigned char *pixel, int red, int green, int blue)
{
    return abs(pixel[0] - red) < 3 && abs(pixel[1] - green) < 3
        && abs(pixel[2] - blue) < 3 && pixel[3] == 255;
}

// A triangle over the lower left half, on grey. Its red grows to the right, its
// green upwards, and its blue is given.
static std::string draw(EGLDisplay display, float blue)
{
    canvas canvas(display);
    functions gl;
    const unsigned program = gl.CreateProgram();
    gl.AttachShader(program, shader(gl, VERTEX_SHADER,
        "attribute vec2 place; varying vec2 where;"
        "void main() { where = place * 0.5 + 0.5;"
        "   gl_Position = vec4(place, 0.0, 1.0); }"));
    gl.AttachShader(program, shader(gl, FRAGMENT_SHADER,
        "precision mediump float; varying vec2 where; uniform vec4 base;"
        "void main() { gl_FragColor = base + vec4(where, 0.0, 0.0); }"));
    gl.BindAttribLocation(program, 0, "place");
    gl.LinkProgram(program);
    int good = 0;
    gl.GetProgramiv(program, LINK_STATUS, &good);
    check(good, "a program");

    const float corners[] = { -1, -1, 1, -1, -1, 1 };
    gl.Viewport(0, 0, SIZE, SIZE);
    gl.ClearColor(0.5f, 0.5f, 0.5f, 1);
    gl.Clear(COLOR_BUFFER_BIT);
    gl.UseProgram(program);
    gl.Uniform4f(gl.GetUniformLocation(program, "base"), 0, 0, blue, 1);
    gl.EnableVertexAttribArray(0);
    gl.VertexAttribPointer(0, 2, FLOAT, 0, 0, corners);
    gl.DrawArrays(TRIANGLES, 0, 3);

    std::vector<unsigned char> pixels(SIZE * SIZE * 4);
    gl.ReadPixels(0, 0, SIZE, SIZE, RGBA, UNSIGNED_BYTE, pixels.data());
    check(gl.GetError() == 0, "drawing");
    for (int y = 0; y < SIZE; y++)
        for (int x = 0; x < SIZE; x++) {
            const unsigned char *pixel = &pixels[(y * SIZE + x) * 4];
            if (x + y < SIZE - 1)
                check(close_to(pixel, 255 * x / SIZE, 255 * y / SIZE,
                               (int)(255 * blue)), "a pixel of the triangle");
            else if (x + y > SIZE)
                check(close_to(pixel, 127, 127, 127), "a pixel beside it");
        }
    // An error is this context's own.
    gl.Enable(1);
    check(gl.GetError() == INVALID_ENUM, "a mistake goes unnoticed");
    return (const char *)gl.GetString(RENDERER);
}

// A thread that is there before the driver is opened.
struct waiting
{
    std::mutex mutex;
    std::condition_variable changed;
    std::function<void()> job;
    std::exception_ptr error;
    std::thread thread { [this] {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [this] { return (bool)job; });
        try {
            job();
        } catch (...) {
            error = std::current_exception();
        }
    } };

    void run(std::function<void()> what)
    {
        {
            std::lock_guard<std::mutex> lock(mutex);
            job = what;
        }
        changed.notify_all();
        thread.join();
        if (error)
            std::rethrow_exception(error);
    }
};

static std::string run(const std::string &)
{
    waiting early;
    std::string renderer;
    int major = 0, minor = 0;
    EGLDisplay display = nullptr;
    std::exception_ptr error;
    try {
        display = eglGetPlatformDisplay(PLATFORM_SURFACELESS, nullptr, nullptr);
        check(display, "a display");
        check(eglInitialize(display, &major, &minor), "the driver");
        renderer = draw(display, 0.25f);
        check(renderer.find("llvmpipe") != std::string::npos,
              renderer.c_str());
    } catch (...) {
        error = std::current_exception();
    }
    early.run([&] {
        if (error)
            std::rethrow_exception(error);
        draw(display, 0.5f);
        // Each thread has an error of its own.
        eglBindAPI(0);
    });
    check(eglGetError() == SUCCESS, "another thread's error");
    waiting().run([&] { draw(display, 0.75f); });
    std::vector<std::thread> threads;
    std::mutex mutex;
    for (int i = 0; i < 4; i++)
        threads.emplace_back([&, i] {
            try {
                draw(display, i * 0.25f);
            } catch (...) {
                std::lock_guard<std::mutex> lock(mutex);
                error = std::current_exception();
            }
        });
    for (std::thread &thread : threads)
        thread.join();
    if (error)
        std::rethrow_exception(error);
    // The driver is closed and opened again.
    check(eglTerminate(display), "the end");
    check(eglInitialize(display, &major, &minor), "the driver again");
    draw(display, 1);
    return "eight triangles in seven threads by " + renderer;
}
