# SPDX-License-Identifier: BSD-2-Clause
"""Our own gates of `make lint` fail on what they are for, and say where."""
import os
import re
import shutil
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CROSS = "powerpc64le-linux-gnu-gcc"
LICENCE = "SPDX-License-Identifier: " + "BSD-2-Clause"


def run(*command, cwd=ROOT, **environment):
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env={**os.environ, **environment})
    return done.returncode, done.stdout


def write(root, files):
    for path, text in files.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


def complains(script, root, expected):
    status, output = run(os.path.join(ROOT, "scripts", script), "--root", str(root))
    assert status == 1 and re.search(expected, output, re.MULTILINE), output


# --- scripts/check-includes

HOUSE = """
| `base/` | words | nothing of ours |
| `hcall/` | calls | `base` |
| `fdt/` | tree | `base` |
| `of/` | services | `fdt`, `hcall` |
| `boot/` | all | everything |
"""
GOOD = {"docs/architecture.md": HOUSE, "base/a.h": "#include <cstdint>\nuint8_t a();\n",
        "fdt/b.h": '#include "base/a.h"\n', "fdt/b.cpp": '#include "fdt/b.h"\n#include "base/a.h"\n',
        "of/platform.h": "", "of/client.h": '#include "fdt/b.h"\n',
        "boot/c.cpp": '#include "of/platform.h"\n'}


@pytest.mark.parametrize("files, expected", [
    ({"hcall/d.h": '#include "fdt/b.h"\n'}, r"^hcall/d\.h:1: hcall may not use fdt"),
    ({"base/d.h": '#include "hcall/d.h"\n', "hcall/d.h": ""}, r"^base/d\.h:1: base may not use hcall"),
    ({"fdt/d.h": '#include "tests/host/d.h"\n', "tests/host/d.h": ""}, r"^fdt/d\.h:1: fdt may not use tests"),
    ({"boot/d.cpp": '#include "of/client.h"\n'}, r"^boot/d\.cpp:1: of is used through of/platform\.h only"),
    ({"base/a.h": '#include "base/d.h"\n', "base/d.h": '#include "base/a.h"\n'},
     r"include each other: base/a\.h -> base/d\.h"),
    ({"fdt/b.cpp": '#include "base/a.h"\n#include "fdt/b.h"\n'}, r"^fdt/b\.cpp:2: fdt/b\.h comes first"),
    ({"fdt/b.cpp": '#include <new>\n#include "base/a.h"\nint* i = new (p) int;\n'},
     r"^fdt/b\.cpp:2: base/a\.h is ours"),
    ({"base/a.h": "#include <cstdint>\n"}, r"^base/a\.h:1: <cstdint> is not used"),
    ({"base/a.h": "#include <vector>\n"}, r"^base/a\.h:1: <vector> is not among"),
    ({"fdt/b.h": '#include "a.h"\n'}, r'^fdt/b\.h:1: "a\.h" does not say where'),
    ({"fdt/b.h": '#include "base/a.h"\n' * 2}, r"^fdt/b\.h:2: base/a\.h is included twice"),
])
def test_includes(tmp_path, files, expected):
    write(tmp_path, GOOD)
    status, output = run("scripts/check-includes", "--root", str(tmp_path))
    assert status == 0, output
    write(tmp_path, files)
    complains("check-includes", tmp_path, expected)


# --- scripts/check-files

@pytest.mark.parametrize("path, text, expected", [
    ("a.cpp", "int a;\n", r"^a\.cpp:1: has no line SPDX"),
    ("a.c", f"// {LICENCE}\n#include <linux/module.h>\n", r"^a\.c:1: has no line SPDX.*GPL"),
    ("a.txt", "\nsee /" + "home/me/x\n", r"^a\.txt:2: names a folder"),
    ("a.txt", "see /" + "tmp/x\n", r"^a\.txt:1: names a folder"),
    ("a.txt", "from https:/" + "/mirror/x\n", r"^a\.txt:1: names a host"),
    ("a.h", f"// {LICENCE}\nint a; // NO" + "LINT\n", r"^a\.h:2: silences"),
    ("a.h", f"// {LICENCE}\nint a; // NO" + "LINT(cert-a)\n", r"^a\.h:2: silences"),
    ("a.md", "\n[there](b.md)\n", r"^a\.md:2: links to b\.md"),
    ("a.md", "# One\n[there](#two)\n", r"^a\.md:2: links to #two"),
    ("a", f"#!/bin/bash\n# {LICENCE}\nrm $1\n", r"^a:3:4: note: .*SC2086"),
    ("a.py", f"# {LICENCE}\nimport os\n", r"^a\.py:2:1:? 'os' imported but unused"),
])
def test_files(tmp_path, path, text, expected):
    write(tmp_path, {"good.md": "# One\n[here](#one) [there](good.h)\n",
                     "good.h": f"// {LICENCE}\nint a; // NO" + "LINT(cert-a): because\n"})
    status, output = run("scripts/check-files", "--root", str(tmp_path))
    assert status == 0, output
    write(tmp_path, {path: text})
    complains("check-files", tmp_path, expected)


# --- scripts/check-stack

ENTRY = """
int data = 1; const int constant = 1; void leaf(void); void entry(void);
void leaf(void) { asm volatile("" : : : "memory"); }
"""
TABLE = "stack main entry\n"
FITS = "void entry(void) { volatile char room[100]; room[0] = 0; leaf(); }"


def stack(tmp_path, code, table, limit="-fstack-limit-register=r13", size=0x8000):
    write(tmp_path, {"a.c": ENTRY + code, "table": table})
    elf = str(tmp_path / "a.elf")
    status, output = run(CROSS, "-O1", "-fno-inline", "-fno-optimize-sibling-calls", "-ffreestanding", "-fno-pie",
                         "-no-pie", "-nostdlib", "-static", limit, "-Wl,-e,entry",
                         "-Wl,--defsym=main_stack_bottom=0x100000", f"-Wl,--defsym=main_stack_top=0x100000+{size}",
                         str(tmp_path / "a.c"), "-o", elf)
    assert status == 0, output
    return run("scripts/check-stack", "--table", str(tmp_path / "table"), elf)


def test_stack_that_is_fine(tmp_path):
    status, output = stack(tmp_path, FITS, TABLE)
    assert status == 0 and re.search(r"deepest in bytes: main \d+$", output), output


@pytest.mark.parametrize("code, table, expected", [
    ("void entry(void) { volatile char room[1200]; room[0] = 0; leaf(); }", TABLE, r"entry has a frame of \d{4} bytes"),
    ("void entry(void) { volatile char room[40000]; room[0] = 0; leaf(); }", TABLE, r"(frame of 4\d{4}|other means)"),
    ("void entry(void) { entry(); leaf(); }", TABLE, r"recursion without a bound: entry"),
    ("void other(void); void entry(void) { other(); leaf(); } void other(void) { entry(); leaf(); }", TABLE,
     r"recursion without a bound: entry, other"),
    ("void a(void); void b(void); void entry(void) { a(); leaf(); }"
     "void a(void) { b(); entry(); } void b(void) { a(); leaf(); }",
     TABLE + "recursion entry 3\n", r"recursion without a bound: a, b, entry"),
    (FITS, TABLE + "recursion entry 3\n", r"no recursion any more: entry"),
    (FITS, TABLE + "pointer entry leaf\n", r"table:2: no function that this could be: entry"),
    ("void (*volatile p)(void) = leaf; void entry(void) { p(); leaf(); }", TABLE, r"entry calls by a pointer: whom\?"),
    ("void (*volatile p)(void) = leaf; void entry(void) { p(); leaf(); }", TABLE, r"address of leaf is taken"),
    ("void (*volatile p)(void); void entry(void) { p = leaf; leaf(); }", TABLE, r"address of leaf is taken"),
    ("void entry(void) { } void other(void); void other(void) { leaf(); }", TABLE, r"other is called from none"),
])
def test_stack(tmp_path, code, table, expected):
    status, output = stack(tmp_path, code, table)
    assert status == 1 and re.search(expected, output), output


DEEP = "#define f0 leaf\n" + "".join(
    f"void f{i + 1}(void); void f{i + 1}(void) {{ volatile char room[800]; room[0] = 0; f{i}(); }}\n" for i in range(8)
) + "void entry(void) { f8(); leaf(); }"


def test_stack_that_is_too_small(tmp_path):
    status, output = stack(tmp_path, DEEP, TABLE)
    assert status == 0, output
    status, output = stack(tmp_path, DEEP, TABLE, size=0x2000)
    assert status == 1 and "above its margin" in output, output


def test_stack_used_unchecked(tmp_path):
    status, output = stack(tmp_path, DEEP, TABLE, limit="-fno-stack-limit")
    assert status == 1 and "are used unchecked" in output, output


def test_stack_with_bounded_recursion(tmp_path):
    status, output = stack(tmp_path, "void entry(void) { entry(); leaf(); }", TABLE + "recursion entry 9\n")
    assert status == 0, output


# --- what make does itself, on a copy of the tree with one thing wrong

@pytest.fixture(scope="module")
def make(tmp_path_factory):
    root = tmp_path_factory.mktemp("tree") / "tree"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("build", ".git", "__pycache__"))

    def build(target, path, before, after):
        whole = (root / path).read_text()
        assert before in whole
        (root / path).write_text(whole.replace(before, after, 1))
        try:
            return run("make", "-s", "-C", str(root), target, "GIT_ID=test", MAKEFLAGS="", MFLAGS="")
        finally:
            (root / path).write_text(whole)
    return build


@pytest.mark.parametrize("target, path, before, after, expected", [
    ("build/lint/fdt/cells.h.ok", "fdt/cells.h", '#include "fdt/tree.h"', "", r"fdt/cells\.h:\d+:\d+: error"),
    ("build/lint/cppcheck.ok", "base/error.cpp", "namespace spillway {",
     "namespace spillway {\nint* f() { int i = 0; return &i; }\n",
     r"base/error\.cpp:\d+: error: .*\[returnDanglingLifetime\]"),
    ("build/lint/base/clock.ok", "base/clock.cpp", "return known_frequency;",
     "if (known_frequency) return 1; else return 2;",
     r"base/clock\.cpp:\d+:\d+: error: .*readability-else-after-return"),
    ("build/lint/base/clock.ok", "base/clock.h", "namespace spillway::clock {",
     "namespace spillway::clock {\ntypedef int Number;",
     r"base/clock\.h:\d+:\d+: error: .*modernize-use-using"),
])
def test_make(make, target, path, before, after, expected):
    status, output = make(target, path, before, after)
    assert status != 0 and re.search(expected, output), output


# --- the image

@pytest.mark.parametrize("flags, test", [
    (("-DLEAF=", "-Wl,-N"), "test_segments"),
    (("-DLEAF=", "-Wl,--emit-relocs"), "test_no_relocations"),
    (("-DLEAF=__attribute__((constructor))",), "test_no_dynamic_initialisers"),
])
def test_image(tmp_path, flags, test):
    write(tmp_path, {"a.c": "int data = 1; LEAF void leaf(void) { data = 2; }\n"
                            "int _start(void) { leaf(); return data; }\n"})
    status, output = run(CROSS, "-O1", "-fno-inline", "-ffreestanding", "-fno-pie", "-no-pie", "-nostdlib", "-static",
                         *flags, str(tmp_path / "a.c"), "-o", str(tmp_path / "a.elf"))
    assert status == 0, output
    (tmp_path / "a.bin").write_bytes(b"")
    status, output = run("/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
                         "tests/boot/test_image.py", "-k", test, SPILLWAY_TEST_FIRMWARE=str(tmp_path / "a.bin"),
                         SPILLWAY_TEST_QEMU="")
    assert status == 1 and f"{test} - " in output, output
