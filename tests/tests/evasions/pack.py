"""Hides the text of a case in one of many ways: pack.py WAY reads `text` in the working folder and writes what the case runs.

It runs before urva watches, in the container and with the interpreter of the case, since bytecode differs between versions.
"""
import base64
import codecs
import marshal
import os
import pickle
import sys
import zipfile
import zlib

text = open("text").read()
XOR = "bytes(b ^ 90 for b in open('data', 'rb').read())"


def write(name, content):
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)


def hide(name, content):
    write(name, bytes(byte ^ 90 for byte in content))


def in_base64(source):
    return "import base64\nexec(base64.b64decode(%r))\n" % base64.b64encode(source.encode())


def in_zlib(source):
    packed = base64.b64encode(zlib.compress(source.encode()))
    return "import base64, zlib\nexec(zlib.decompress(base64.b64decode(%r)))\n" % packed


def in_hex(source):
    return "exec(bytes.fromhex(%r))\n" % source.encode().hex()


def in_rot13(source):
    return "import codecs\nexec(codecs.decode(%r, 'rot13'))\n" % codecs.encode(source, "rot13")


def reversed_(source):
    return "exec(%r[::-1])\n" % source[::-1]


def in_xor(source):
    return "exec(bytes(b ^ 90 for b in %r))\n" % bytes(byte ^ 90 for byte in source.encode())


def five(source):
    for layer in (in_xor, reversed_, in_hex, in_zlib, in_base64):
        source = layer(source)
    return source


def in_escapes(source):
    return "# coding: unicode_escape\n" + "".join("\\x%02x" % byte for byte in source.encode())


def in_utf_7(source):
    # Line ends stay, so that the declaration is a line of its own.
    lines = ("".join("+%s-" % base64.b64encode(char.encode("utf-16-be")).decode().rstrip("=") for char in line)
             for line in source.split("\n"))
    return "# coding: utf-7\n" + "\n".join(lines)


def in_bold(source):
    """Identifiers begin with a letter that is the same one to Python, and another one to a search."""
    for name in ("urlopen", "environ", "open", "read", "token", "region", "amount", "totals"):
        for before in (".", " ", "("):
            source = source.replace(before + name, before + chr(0x1D41A + ord(name[0]) - ord("a")) + name[1:])
    # The names of modules are looked up as files.
    return source


def nested(source):
    lines = [" " * level + "if 1:" for level in range(60)]
    return "\n".join(lines + [" " * 60 + line for line in source.split("\n")]) + "\n"


def padded(source, before, after):
    line = "# padding that says nothing\n"
    return line * (before // len(line)) + source + line * (after // len(line))


def bytecode(name):
    import py_compile
    py_compile.compile("text", name, doraise=True)


def with_bytecode():
    import importlib.util
    write("hidden.py", text)
    bytecode(importlib.util.cache_from_source("hidden.py"))
    # The cache counts as fresh by the source's time and size.
    import py_compile
    py_compile.compile("hidden.py", doraise=True)
    write("run.py", "import hidden\n")


def replaced_code():
    code = compile(text, "text", "exec")
    names = ("co_code", "co_consts", "co_names", "co_varnames", "co_nlocals", "co_stacksize", "co_flags", "co_exceptiontable")
    parts = {name: getattr(code, name) for name in names if hasattr(code, name)}
    hide("parts", marshal.dumps(parts))
    write("run.py", "import marshal, types\nparts = marshal.loads(%s)\n"
          "code = (lambda: 0).__code__.replace(**parts)\n"
          "types.FunctionType(code, {'__name__': '__main__', '__builtins__': __builtins__})()\n" % XOR.replace("data", "parts"))


def tree():
    import ast
    hide("tree", pickle.dumps(ast.parse(text)))
    write("run.py", "import pickle\nexec(compile(pickle.loads(%s), 'x', 'exec'))\n" % XOR.replace("data", "tree"))


class Executed:
    def __reduce__(self):
        return exec, (text, {"__name__": "__main__"})


def zip_application(name, member="__main__.py"):
    with zipfile.ZipFile(name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, text)


def codec():
    write("hidden.py", b"# coding: flipped\n" + bytes(byte ^ 90 for byte in text.encode()).hex().encode())
    write("run.py", """import codecs
def decode(data, errors='strict'):
    head, _, rest = bytes(data).partition(b'\\n')
    return (head + b'\\n' + bytes(b ^ 90 for b in bytes.fromhex(rest.decode()))).decode(), len(data)
class Lines(codecs.BufferedIncrementalDecoder):
    def _buffer_decode(self, data, errors, final):
        return decode(data) if final else ('', 0)
class Reader(codecs.StreamReader):
    decode = staticmethod(decode)
    def readline(self, *args):
        if not hasattr(self, 'lines'):
            self.lines = decode(self.stream.read())[0].splitlines(True)
        return self.lines.pop(0) if self.lines else ''
info = codecs.CodecInfo(None, decode, streamreader=Reader, incrementaldecoder=Lines, name='flipped')
codecs.register(lambda name: info if name == 'flipped' else None)
import hidden
""")


WAYS = {
    "base64": lambda: write("run.py", in_base64(text)),
    "zlib": lambda: write("run.py", in_zlib(text)),
    "hex": lambda: write("run.py", in_hex(text)),
    "rot13": lambda: write("run.py", in_rot13(text)),
    "reversed": lambda: write("run.py", reversed_(text)),
    "xor": lambda: write("run.py", in_xor(text)),
    "five": lambda: write("run.py", five(text)),
    "escapes": lambda: write("run.py", in_escapes(text)),
    "utf-7": lambda: write("run.py", in_utf_7(text)),
    "bom": lambda: write("run.py", b"\xef\xbb\xbf" + text.encode()),
    "bold": lambda: write("run.py", in_bold(text)),
    "nested": lambda: write("run.py", nested(text)),
    "long": lambda: write("long", padded(text, 100 * 1024, 0)),
    "head": lambda: write("run.py", padded(text, 0, 3 << 20)),
    "tail": lambda: write("run.py", padded(text, 3 << 20, 0)),
    "middle": lambda: write("run.py", padded(text, 3 << 20, 3 << 20)),
    "some": lambda: write("run.py", padded(text, 300 << 10, 300 << 10)),
    "pyc": lambda: bytecode("run.pyc"),
    "cached": with_bytecode,
    "marshal": lambda: (hide("code", marshal.dumps(compile(text, "text", "exec"))),
                        write("run.py", "import marshal\nexec(marshal.loads(%s))\n" % XOR.replace("data", "code"))),
    "code": replaced_code,
    "tree": tree,
    "pickle": lambda: (hide("object", pickle.dumps(Executed())),
                       write("run.py", "import pickle\npickle.loads(%s)\n" % XOR.replace("data", "object"))),
    "zip": lambda: zip_application("run.pyz"),
    "zipped-module": lambda: zip_application("modules.zip", "hidden.py"),
    "codec": codec,
}

for way in sys.argv[1:]:
    WAYS[way]()
