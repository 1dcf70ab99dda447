// What a plan is kept in: memory that goes along with it, texts that are there
// once, objects by what they were made from.

#include "plan.h"

#include <string.h>

#include "../error.h"
#include "../memory.h"

struct plan_text {
    struct plan_text *next;
    uint32_t hash;
    char text[];
};

void *plan_memory(struct e64_plan *plan, size_t size)
{
    void *memory = arena_new(&plan->memory, size);
    if (!memory)
        fail_memory(size);
    return memory;
}

static e64_status grow_texts(struct e64_plan *plan)
{
    uint32_t room = plan->text_room ? 2 * plan->text_room : 256;
    struct plan_text **texts = memory_array(room, sizeof *texts);
    if (!texts)
        return fail_memory(room * sizeof *texts);
    for (uint32_t i = 0; i < plan->text_room; i++) {
        while (plan->texts[i]) {
            struct plan_text *text = plan->texts[i];
            plan->texts[i] = text->next;
            text->next = texts[text->hash & (room - 1)];
            texts[text->hash & (room - 1)] = text;
        }
    }
    memory_free(plan->texts);
    plan->texts = texts;
    plan->text_room = room;
    return E64_OK;
}

e64_status plan_text(struct e64_plan *plan, const char *text,
                     const char **copy)
{
    *copy = NULL;
    if (!text)
        return E64_OK;
    if (plan->text_count == plan->text_room) {
        e64_status status = grow_texts(plan);
        if (status != E64_OK)
            return status;
    }
    uint32_t hash = elf_gnu_hash(text);
    struct plan_text **chain = &plan->texts[hash & (plan->text_room - 1)];
    for (struct plan_text *known = *chain; known; known = known->next) {
        if (known->hash == hash && strcmp(known->text, text) == 0) {
            *copy = known->text;
            return E64_OK;
        }
    }
    size_t size = strlen(text) + 1;
    struct plan_text *made = plan_memory(plan, sizeof *made + size);
    if (!made)
        return E64_NOMEMORY;
    made->hash = hash;
    memcpy(made->text, text, size);
    made->next = *chain;
    *chain = made;
    plan->text_count++;
    *copy = made->text;
    return E64_OK;
}

static uint32_t *slot(const struct e64_plan *plan,
                      const struct elf_object *object)
{
    uint32_t mixed = (uint32_t)((uintptr_t)object >> 4) * 2654435761u;
    return &plan->slots[mixed & (plan->slot_count - 1)];
}

static void file_object(struct e64_plan *plan, uint32_t at)
{
    struct plan_object *record = plan->objects[at];
    if (!record->object)
        return;
    uint32_t *first = slot(plan, record->object);
    record->hash_next = *first;
    *first = at + 1;
}

static e64_status grow_objects(struct e64_plan *plan)
{
    uint32_t room = plan->object_room ? 2 * plan->object_room : 64;
    struct plan_object **objects = memory_resize(plan->objects,
                                                 room * sizeof *objects);
    if (!objects)
        return fail_memory(room * sizeof *objects);
    plan->objects = objects;
    uint32_t *slots = memory_array(room, sizeof *slots);
    if (!slots)
        return fail_memory(room * sizeof *slots);
    memory_free(plan->slots);
    plan->slots = slots;
    plan->slot_count = room;
    plan->object_room = room;
    plan_refile(plan);
    return E64_OK;
}

static e64_status add(struct e64_plan *plan, const struct elf_object *object,
                      struct plan_object **record)
{
    if (plan->object_count == plan->object_room) {
        e64_status status = grow_objects(plan);
        if (status != E64_OK)
            return status;
    }
    *record = plan_memory(plan, sizeof **record);
    if (!*record)
        return E64_NOMEMORY;
    (*record)->object = object;
    plan->objects[plan->object_count] = *record;
    file_object(plan, plan->object_count++);
    return E64_OK;
}

e64_status plan_object(struct e64_plan *plan, const struct elf_object *object,
                       struct plan_object **record, bool *made)
{
    *made = false;
    for (uint32_t at = plan->slot_count ? *slot(plan, object) : 0; at;
         at = plan->objects[at - 1]->hash_next) {
        if (plan->objects[at - 1]->object == object) {
            *record = plan->objects[at - 1];
            return E64_OK;
        }
    }
    *made = true;
    return add(plan, object, record);
}

void plan_take_back(struct e64_plan *plan, uint32_t count)
{
    plan->object_count = count;
    plan_refile(plan);
}

void plan_refile(struct e64_plan *plan)
{
    memset(plan->slots, 0, plan->slot_count * sizeof *plan->slots);
    for (uint32_t i = 0; i < plan->object_count; i++)
        file_object(plan, i);
}

e64_status plan_absent(struct e64_plan *plan, struct plan_object **record)
{
    return add(plan, NULL, record);
}

void plan_store_free(struct e64_plan *plan)
{
    for (uint32_t i = 0; i < plan->object_count; i++)
        plugin_drop(plan->objects[i]->plugin);
    memory_free(plan->objects);
    memory_free(plan->slots);
    memory_free(plan->texts);
    memory_free(plan->bindings);
    arena_free(&plan->memory);
    *plan = (struct e64_plan){ .runtime = plan->runtime, .name = plan->name,
                               .options = plan->options };
}
