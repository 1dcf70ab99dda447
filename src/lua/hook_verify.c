// The hook `verify` of runtimes in Lua.

#include "asking.h"

#include "run/run.h"
#include "view.h"

struct verifying {
    const e64_image *image;
    struct view_bytes *view; // NULL while there is none
};

// verify(view, name) -> true | nil, why. The view stays in the table of hooks,
// as it has to be ended when nobody else may have it any more.
static int push_verified(lua_State *L, const struct question *question)
{
    struct verifying *verifying = (struct verifying *)question->data;
    const e64_image *image = verifying->image;
    runtime_push(L, question->runtime);
    lua_getiuservalue(L, -1, 1);
    lua_remove(L, -2);
    struct view_bytes *view = view_push(L, image->bytes, image->size);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "view");
    verifying->view = view;
    lua_remove(L, -2);
    lua_pushstring(L, image->path);
    return 2;
}

// Once the thread has left the state, others may have the view collected.
static void end_view(const struct question *question)
{
    const struct verifying *verifying = question->data;
    if (verifying->view)
        view_end(verifying->view);
}

static e64_status verify(void *data, e64_runtime *self, const e64_image *image,
                         e64_error *error)
{
    struct verifying verifying = { image, NULL };
    struct question question = {
        .runtime = data, .hook = "verify", .about = image->path,
        .push = push_verified, .answers = 2, .data = &verifying,
        .end = end_view,
    };
    (void)self;
    return ask_whether(&question, error);
}

static e64_status verify_ended(void *data, e64_runtime *self,
                               const e64_image *image, e64_error *error)
{
    (void)data, (void)self;
    return ask_ended("verify", image->path, error);
}

void hook_verify_image(struct runtime *self, enum hook_change change)
{
    e64_runtime_options *hooks = &self->runtime->hooks;
    hooks->verify = change == HOOK_SET ? verify
                  : change == HOOK_END && hooks->verify ? verify_ended : NULL;
    hooks->verify_data = self;
}
