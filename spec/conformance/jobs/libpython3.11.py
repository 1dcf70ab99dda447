# Run by libpython3.11.lua, which has set FOLDER.
import glob
import importlib
import os
import sysconfig

names = {os.path.basename(path).split(".")[0] for path in
         glob.glob(sysconfig.get_path("platstdlib") + "/lib-dynload/*.so")}
assert len(names) > 35, names
for name in sorted(names):
    importlib.import_module(name)

import asyncio
import bz2
import ctypes
import decimal
import hashlib
import json
import lzma
import mmap
import multiprocessing
import queue
import sqlite3
import ssl
import subprocess
import sys
import threading
import uuid
import zlib
import zoneinfo

# What is compiled into modules does what it is there for.
assert decimal.Decimal(2).sqrt(decimal.Context(prec=40)) == decimal.Decimal(
    "1.414213562373095048801688724209698078570")
assert json.loads('{"a": [1, 2.5, "\\u00e9"]}') == {"a": [1, 2.5, "\xe9"]}
for module in (bz2, lzma, zlib):
    text = b"elf64load " * 10000
    small = module.compress(text)
    assert len(small) < 1000 and module.decompress(small) == text
assert hashlib.sha256(b"abc").hexdigest().startswith("ba7816bf8f01cfea")
assert hashlib.new("sha3_512").digest_size == 64
assert uuid.UUID(int=7).hex.endswith("07") and uuid.uuid1() != uuid.uuid1()
assert ssl.create_default_context().verify_mode == ssl.CERT_REQUIRED
assert "\u65e5\u672c".encode("euc_jp") == b"\xc6\xfc\xcb\xdc"

database = sqlite3.connect(FOLDER + "/python.db")
database.create_function("twice", 1, lambda n: 2 * n)
database.execute("create table t (n)")
database.executemany("insert into t values (?)", ((n,) for n in range(1000)))
assert database.execute("select sum(twice(n)) from t").fetchone() == (999000,)
database.close()

with open(FOLDER + "/mapped", "w+b") as file:
    file.write(b"x" * 5000)
    file.flush()
    with mmap.mmap(file.fileno(), 0) as mapping:
        mapping[4999] = ord("y")
with open(FOLDER + "/mapped", "rb") as file:
    assert file.read().endswith(b"xy")

# ctypes opens libraries and looks symbols up by the dl functions themselves.
libm = ctypes.CDLL("libm.so.6")
libm.cos.restype = ctypes.c_double
libm.cos.argtypes = [ctypes.c_double]
assert libm.cos(0.0) == 1.0
process = ctypes.CDLL(None)
assert process.getpid() == os.getpid()
version = ctypes.pythonapi.Py_GetVersion
version.restype = ctypes.c_char_p
assert sys.version.startswith(version().decode().split()[0])
order = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int),
                         ctypes.POINTER(ctypes.c_int))
numbers = (ctypes.c_int * 7)(5, 3, 1, 7, 6, 2, 4)
process.qsort(numbers, 7, 4, order(lambda a, b: a[0] - b[0]))
assert list(numbers) == [1, 2, 3, 4, 5, 6, 7]
try:
    ctypes.CDLL("libno-such-thing.so.1")
    raise AssertionError("what is not there was opened")
except OSError as error:
    assert "libno-such-thing.so.1: cannot open shared object" in str(error)

# Threads, with storage of their own.
results, own = queue.Queue(), threading.local()


def work(number):
    own.number = number
    context = decimal.getcontext()
    context.prec = 10 + number
    text = str(decimal.Decimal(1) / 3)
    assert len(text) == 12 + number and own.number == number
    results.put(number)


threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert sorted(results.get() for _ in threads) == list(range(16))


async def ticks():
    async def tick(n):
        await asyncio.sleep(0.001 * n)
        return n
    return await asyncio.gather(*(tick(n) for n in range(10)))

assert asyncio.run(ticks()) == list(range(10))

# Children: one that is another program, one that is a copy of this process.
echo = subprocess.run(["echo", "hello"], capture_output=True)
assert echo.stdout == b"hello\n"


def child(pipe):
    import _lsprof
    pipe.send((os.getpid(), hashlib.md5(b"").hexdigest()))
    pipe.close()


fork = multiprocessing.get_context("fork")
here, there = fork.Pipe()
process = fork.Process(target=child, args=(there,))
process.start()
pid, digest = here.recv()
process.join()
assert pid != os.getpid() and process.exitcode == 0
assert digest == "d41d8cd98f00b204e9800998ecf8427e"

with open(FOLDER + "/said", "w") as file:
    file.write("%d extension modules imported, ctypes, 16 threads, a fork"
               % len(names))
