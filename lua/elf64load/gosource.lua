--- The Go source of the library that runs the Go runtime for Go plugins, for
--- elf64load.go to compile. Its hash is part of the compiled file's name.
---
--- Importing "plugin" makes it a library that Go plugins can be bound to. It looks
--- names up by package plugin, and gives C functions for Go functions: C takes no
--- closures, so each has one of a row of entries that were there from the start,
--- which tells the one Go function behind all of them its number.

return {
   ["library.go"] = [==[
package main

/*
#include <stdint.h>
#include <stdlib.h>

// What an entry has saved, in the order of the registers that the System V ABI
// passes arguments in, and where it wants the result.
struct elf64load_frame {
	uint64_t integers[6];
	uint64_t floats[8];
	uint64_t *stack;
	uint64_t integer;
	uint64_t floating;
};

struct elf64load_found {
	int64_t address;
	int64_t size;
	int64_t function;
};
*/
import "C"

import (
	"plugin"
	"reflect"
	"sync"
	"unsafe"
)

func main() {}

// NULL when there is none.
func message(err error) *C.char {
	if err == nil {
		return nil
	}
	return C.CString(err.Error())
}

//export elf64load_go_free
func elf64load_go_free(text *C.char) {
	C.free(unsafe.Pointer(text))
}

// What is open, by its number. Go never closes a plugin.
var (
	lock    sync.RWMutex
	plugins []*plugin.Plugin
)

//export elf64load_go_open
func elf64load_go_open(path *C.char, number *C.int64_t) *C.char {
	opened, err := plugin.Open(C.GoString(path))
	if err != nil {
		return message(err)
	}
	lock.Lock()
	defer lock.Unlock()
	*number = C.int64_t(len(plugins))
	plugins = append(plugins, opened)
	return nil
}

func numbered(number C.int64_t) *plugin.Plugin {
	lock.RLock()
	defer lock.RUnlock()
	return plugins[number]
}

// The names that a plugin has for others, a line each.
//
//export elf64load_go_names
func elf64load_go_names(number C.int64_t) *C.char {
	names := ""
	symbols := reflect.ValueOf(numbered(number)).Elem().FieldByName("syms")
	if symbols.Kind() == reflect.Map {
		for _, key := range symbols.MapKeys() {
			names += key.String() + "\n"
		}
	}
	return C.CString(names)
}

//export elf64load_go_find
func elf64load_go_find(number C.int64_t, name *C.char, found *C.struct_elf64load_found) *C.char {
	symbol, err := numbered(number).Lookup(C.GoString(name))
	if err != nil {
		return message(err)
	}
	value := reflect.ValueOf(symbol)
	if value.Kind() == reflect.Func {
		address, err := enter(value, int(number), C.GoString(name))
		found.address, found.size, found.function = C.int64_t(address), 0, 1
		return message(err)
	}
	found.address = C.int64_t(value.Pointer())
	found.size = C.int64_t(value.Type().Elem().Size())
	found.function = 0
	return nil
}

// A function that has an entry. The list only grows: C may have the addresses.
type entered struct {
	function reflect.Value
	plugin   int
	name     string
}

var entries []entered

type refusal string

func (why refusal) Error() string { return string(why) }

// Can C pass it, or be given it?
func passes(kind reflect.Kind) bool {
	switch kind {
	case reflect.Bool, reflect.String, reflect.Ptr, reflect.UnsafePointer,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Uintptr, reflect.Float32, reflect.Float64:
		return true
	}
	return false
}

var errorType = reflect.TypeOf((*error)(nil)).Elem()

// What keeps a function of that type from being called by C.
func obstacle(function reflect.Type) string {
	for i := 0; i < function.NumIn(); i++ {
		if !passes(function.In(i).Kind()) {
			return "takes " + function.In(i).String()
		}
	}
	if function.NumOut() > 1 {
		return "gives several results"
	}
	if function.NumOut() == 1 && function.Out(0) != errorType && !passes(function.Out(0).Kind()) {
		return "gives " + function.Out(0).String()
	}
	return ""
}

// The address by which C may call a function.
func enter(function reflect.Value, plugin int, name string) (uintptr, error) {
	if why := obstacle(function.Type()); why != "" {
		return 0, refusal("a Go function that " + why + ", for which C has no counterpart: " +
			function.Type().String())
	}
	lock.Lock()
	defer lock.Unlock()
	for number, known := range entries {
		if known.plugin == plugin && known.name == name {
			return entryAddress(number), nil
		}
	}
	if len(entries) == entryCount {
		return 0, refusal("no entries are left for Go functions; all are in use")
	}
	entries = append(entries, entered{function, plugin, name})
	return entryAddress(len(entries) - 1), nil
}

// The arguments of a call from C, taken in their order.
type arguments struct {
	frame                    *C.struct_elf64load_frame
	integers, floats, memory int
}

func (from *arguments) word(kind reflect.Kind) C.uint64_t {
	if kind == reflect.Float32 || kind == reflect.Float64 {
		if from.floats < len(from.frame.floats) {
			from.floats++
			return from.frame.floats[from.floats-1]
		}
	} else if from.integers < len(from.frame.integers) {
		from.integers++
		return from.frame.integers[from.integers-1]
	}
	from.memory++
	return unsafe.Slice(from.frame.stack, from.memory)[from.memory-1]
}

// Values of up to 8 bytes stand at the low end of their word, floats too.
func (from *arguments) next(wanted reflect.Type) reflect.Value {
	word := from.word(wanted.Kind())
	value := reflect.New(wanted)
	if wanted.Kind() == reflect.String {
		value.Elem().SetString(C.GoString((*C.char)(*(*unsafe.Pointer)(unsafe.Pointer(&word)))))
	} else {
		copy(unsafe.Slice((*byte)(unsafe.Pointer(value.Pointer())), wanted.Size()),
			unsafe.Slice((*byte)(unsafe.Pointer(&word)), 8))
	}
	return value.Elem()
}

func give(frame *C.struct_elf64load_frame, result reflect.Value) {
	switch kind := result.Kind(); kind {
	case reflect.Interface:
		if !result.IsNil() {
			text := message(result.Interface().(error))
			frame.integer = C.uint64_t(uintptr(unsafe.Pointer(text)))
		}
	case reflect.String:
		frame.integer = C.uint64_t(uintptr(unsafe.Pointer(C.CString(result.String()))))
	case reflect.Bool:
		if result.Bool() {
			frame.integer = 1
		}
	case reflect.Float32:
		value := float32(result.Float())
		frame.floating = C.uint64_t(*(*uint32)(unsafe.Pointer(&value)))
	case reflect.Float64:
		value := result.Float()
		frame.floating = *(*C.uint64_t)(unsafe.Pointer(&value))
	case reflect.Ptr, reflect.UnsafePointer:
		frame.integer = C.uint64_t(result.Pointer())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		frame.integer = C.uint64_t(result.Int())
	default:
		frame.integer = C.uint64_t(result.Uint())
	}
}

// Where all entries lead to.
//
//export elf64load_go_call
func elf64load_go_call(number C.int, frame *C.struct_elf64load_frame) {
	lock.RLock()
	function := entries[number].function
	lock.RUnlock()
	from := arguments{frame: frame}
	wanted := function.Type()
	values := make([]reflect.Value, wanted.NumIn())
	for i := range values {
		values[i] = from.next(wanted.In(i))
	}
	for _, result := range function.Call(values) {
		give(frame, result)
	}
}
]==],
   ["entries.go"] = [==[
package main

// Not in library.go: what C is defined beside an export would be defined twice.

/*
extern char elf64load_go_entries[];

__asm__(
	".pushsection .text\n"
	".balign 16\n"
	".globl elf64load_go_entries\n"
	".hidden elf64load_go_entries\n"
	"elf64load_go_entries:\n"
	".set .Lnumber, 0\n"
	".rept 1024\n"
	".balign 16\n"
	"endbr64\n"
	"movl $.Lnumber, %eax\n"
	"jmp .Lenter\n"
	".set .Lnumber, .Lnumber + 1\n"
	".endr\n"
	".balign 16\n"
	".type .Lenter, @function\n"
	".Lenter:\n"
	".cfi_startproc\n"
	"pushq %rbp\n"
	".cfi_def_cfa_offset 16\n"
	".cfi_offset %rbp, -16\n"
	"movq %rsp, %rbp\n"
	".cfi_def_cfa_register %rbp\n"
	"subq $144, %rsp\n"
	"movq %rdi, 0(%rsp)\n"
	"movq %rsi, 8(%rsp)\n"
	"movq %rdx, 16(%rsp)\n"
	"movq %rcx, 24(%rsp)\n"
	"movq %r8, 32(%rsp)\n"
	"movq %r9, 40(%rsp)\n"
	"movsd %xmm0, 48(%rsp)\n"
	"movsd %xmm1, 56(%rsp)\n"
	"movsd %xmm2, 64(%rsp)\n"
	"movsd %xmm3, 72(%rsp)\n"
	"movsd %xmm4, 80(%rsp)\n"
	"movsd %xmm5, 88(%rsp)\n"
	"movsd %xmm6, 96(%rsp)\n"
	"movsd %xmm7, 104(%rsp)\n"
	"leaq 16(%rbp), %rcx\n"
	"movq %rcx, 112(%rsp)\n"
	"movq $0, 120(%rsp)\n"
	"movq $0, 128(%rsp)\n"
	"movl %eax, %edi\n"
	"movq %rsp, %rsi\n"
	"call elf64load_go_call@PLT\n"
	"movq 120(%rsp), %rax\n"
	"movsd 128(%rsp), %xmm0\n"
	"leave\n"
	".cfi_def_cfa %rsp, 8\n"
	"ret\n"
	".cfi_endproc\n"
	".popsection\n"
);
*/
import "C"

import "unsafe"

const entryCount, entrySize = 1024, 16

func entryAddress(number int) uintptr {
	return uintptr(unsafe.Pointer(&C.elf64load_go_entries)) + uintptr(number)*entrySize
}
]==],
}
