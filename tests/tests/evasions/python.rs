//! The rows for Python.

use crate::row::Place::{Embedding, Loading, PyPy, Python311};
use crate::row::{Blind, Caught, CaughtWith, Expected, Group, Noted, PYTHONS, Place, Race, Row};

const RUN: &[&str] = &["PY", "run.py"];

const fn row(name: &'static str, command: &'static [&'static str]) -> Row {
    Row::new(name, PYTHONS, command, Caught)
}

/// A script whose text is the second one.
const fn program(name: &'static str, files: &'static [(&'static str, &'static str)]) -> Row {
    row(name, RUN).files(files)
}

const fn packed(name: &'static str, prepare: &'static str) -> Row {
    row(name, RUN).prepare(prepare)
}

const BEGINNING: &str = "the beginning of standard input may be missing";
const EARLY: Expected = Race(
    "the interpreter may read before urva looks: the finding then says that the beginning may be missing, or there is none",
);
const BUSY: &str =
    "the file is read some milliseconds after the start; on a busy host the script may be faster";
const HEAD_AND_TAIL: &str = "head and tail only";

pub(crate) const GIVEN: Group = Group {
    title: "How Python is given its script",
    rows: &[
        row("`-c`", &["PY", "-c", "TEXT"]),
        row("`-c` of 100 KiB, the payload last", &["bash", "-c", "exec PY -c \"$(cat long)\""])
            .prepare("PY /opt/pack.py long"),
        row("`-c` in an empty environment", &["env", "-i", "PY", "-c", "TEXT"]),
        row("`-c` from a shell", &["sh", "-c", "PY -c \"$(cat text)\"; true"]),
        row("`os.system` and the like with the text", &["PY", "-c", "import os, sys\nos.system(f\"{sys.executable} -c 'import sys; exec(open(sys.argv[1]).read())' text\")"]),
        row("text in another argument", &["PY", "-c", "import sys; exec(sys.argv[1])", "TEXT"]),
        row("text in a variable of the environment", &["env", "HIDDEN=TEXT", "PY", "-c", "import os; exec(os.environ['HIDDEN'])"]),
        row("file", &["PY", "CASE/text"]),
        row("file by a relative path", &["PY", "./../CASENAME/text"]),
        row("file by a symbolic link", &["PY", "link"]).prepare("ln -s text link"),
        row("`#!` line", &["CASE/run"]).prepare("{ echo '#!PY'; cat text; } > run; chmod +x run"),
        row("`/proc/self/fd/N`", &["sh", "-c", "exec PY /proc/self/fd/7 7<text"]),
        row("memfd", &["PY", "-c", "import os, sys\nfd = os.memfd_create('x', 0)\nos.write(fd, DATA)\nos.execv(sys.executable, ['python3', f'/proc/self/fd/{fd}'])"]),
        program("file that deletes itself first", &[("run.py", "import os\nos.remove('run.py')\nTEXT")]).expect(Race(BUSY)).times(8),
        row("file that another process deletes while it runs", &["sh", "-c", "PY run & sleep 0.4; rm run; wait"])
            .prepare("{ echo 'import time; time.sleep(1)'; cat text; } > run"),
        program(
            "file that replaces itself first",
            &[("run.py", "import os\nos.replace('other', 'run.py')\nTEXT"), ("other", "print(1)\n")],
        ).expect(Race(BUSY)).times(8),
        Row {
            expected: Blind("a file is read once, when its process starts, and not again when the interpreter opens it"),
            ..Row::new(
                "file that is replaced between urva's read and the interpreter's",
                &[Python311],
                &["bash", "-c", "(timeout 2 bash -c 'while :; do echo \"home = /usr/bin\" > pyvenv.cfg; done' & sleep 0.7; cp text run.py) & \
                  cp other run.py; ./python3 run.py & sleep 0.4; cp text run.py; \
                  timeout 2 bash -c 'while :; do echo \"home = /usr/bin\" > pyvenv.cfg; done'; wait"],
                Caught,
            )
        }
        .files(&[("other", "print(1)\n")])
        .prepare("ln -s /usr/bin/python3.11 python3; mkfifo pyvenv.cfg"),
        row("file on standard input", &["sh", "-c", "PY < text"]),
        row("pipe, at once", &["PY", "-"]).input("TEXT").expect(Noted(BEGINNING)).times(8),
        row("`cat FILE \\| python3`", &["sh", "-c", "cat text | PY"]).expect(EARLY).times(8),
        row("here-document", &["bash", "-c", "PY - << END\n$(cat text)\nEND"]).expect(Noted(BEGINNING)).times(8),
        row("pipe, line by line", &["bash", "-c", "sleep 0.5; while IFS= read -r line; do printf '%s\\n' \"$line\"; sleep 0.05; done < text | PY -"]).expect(Noted(BEGINNING)),
        row("pipe, byte by byte", &["bash", "-c", "dd if=text bs=1 status=none | PY -"]).expect(EARLY).times(4),
        row("socket", &["PY", "-c", "import socket, subprocess, sys\nours, theirs = socket.socketpair()\nchild = subprocess.Popen([sys.executable, '-'], stdin=theirs)\nours.sendall(open('text', 'rb').read())\nours.close(); theirs.close(); child.wait()"]).expect(EARLY).times(4),
        row("`-i` on a pipe", &["PY", "-i"]).input("TEXT").expect(Noted(BEGINNING)).times(8),
        row("`-m NAME`", &["PY", "-m", "hidden"]).prepare("cp text hidden.py"),
        row("`-m NAME` in a zip archive", &["env", "PYTHONPATH=CASE/modules.zip", "PY", "-m", "hidden"]).prepare("PY /opt/pack.py zipped-module").expect(CaughtWith("no file of this module was found")),
        row("zip application", &["PY", "run.pyz"]).prepare("PY /opt/pack.py zip"),
        row("folder", &["PY", "folder"]).prepare("mkdir folder; cp text folder/__main__.py"),
        row("line of a `.pth` file", &["env", "PYTHONUSERBASE=CASE/base", "PY", "-c", "pass"]).prepare(
            "folder=$(PYTHONUSERBASE=$PWD/base PY -m site --user-site); mkdir -p $folder; \
             echo \"import os; exec(bytes(b ^ 90 for b in open('$PWD/data', 'rb').read()), {'__name__': 'x'})\" > $folder/x.pth",
        ),
        row("`sitecustomize`", &["env", "PYTHONPATH=CASE", "PY", "-c", "pass"]).prepare("cp text sitecustomize.py"),
        row("`PYTHONSTARTUP`", &["sh", "-c", "PYTHONSTARTUP=text PY -i < /dev/null"]),
        row("`.pyc` file", &["PY", "run.pyc"]).prepare("PY /opt/pack.py pyc"),
        row("imported module", &["PY", "-c", "import hidden"]).prepare("cp text hidden.py"),
        packed("imported module with bytecode", "PY /opt/pack.py cached"),
        row("50 other executions around it", &["bash", "-c", "for n in $(seq 50); do /bin/true; done & PY text; for n in $(seq 50); do /bin/true; done; wait"]),
        row("file whose name holds escapes, a new line and no UTF-8", &["bash", "-c", "PY a*"]).prepare("cp text \"$(printf 'a\\n\\033[2J\\342\\200\\256\\377.py')\""),
    ],
};

pub(crate) const HIDDEN: Group = Group {
    title: "How the text is hidden, in Python",
    rows: &[
        packed("base64", "PY /opt/pack.py base64").suspicious(),
        packed("zlib in base64", "PY /opt/pack.py zlib"),
        packed("hexadecimal", "PY /opt/pack.py hex").suspicious(),
        packed("rot13", "PY /opt/pack.py rot13").suspicious(),
        packed("reversed", "PY /opt/pack.py reversed"),
        packed("xor", "PY /opt/pack.py xor"),
        packed("five layers", "PY /opt/pack.py five").suspicious(),
        program("second stage in a file of data", &[("run.py", "exec(DATA)\n")]),
        program("second stage as a string", &[("run.py", "exec(DATA.decode())\n")]),
        program("second stage through `compile`", &[("run.py", "exec(compile(DATA, 'x', 'exec'))\n")]),
        program(
            "second stage through `ast.parse`",
            &[("run.py", "import ast\nexec(compile(ast.parse(DATA), 'x', 'exec'))\n")],
        ),
        program(
            "second stage through `code.InteractiveInterpreter`",
            &[(
                "run.py",
                "import code\ncode.InteractiveInterpreter({'__name__': '__main__'}).runsource(DATA.decode(), 'x', 'exec')\n",
            )],
        ),
        program(
            "second stage from a socket",
            &[(
                "run.py",
                "import socket, threading\nserver = socket.create_server(('127.0.0.1', 0))\n\
               def serve():\n    with server.accept()[0] as peer:\n        peer.sendall(DATA)\n\
               threading.Thread(target=serve).start()\nwith socket.create_connection(server.getsockname()) as peer:\n    \
               text = b''.join(iter(lambda: peer.recv(4096), b''))\nexec(text)\n",
            )],
        ).suspicious(),
        program("pickle that calls `exec`", &[]).prepare("PY /opt/pack.py pickle"),
        packed("`marshal.loads`", "PY /opt/pack.py marshal").suspicious(),
        packed("`code.replace` and `types.FunctionType`", "PY /opt/pack.py code"),
        packed("syntax tree without text", "PY /opt/pack.py tree").suspicious(),
        packed("`# coding: utf-7`", "PY /opt/pack.py utf-7"),
        packed("`# coding: unicode_escape`", "PY /opt/pack.py escapes"),
        packed("module in a codec of the script's own", "PY /opt/pack.py codec"),
        packed("byte order mark", "PY /opt/pack.py bom"),
        packed("letters that NFKC makes plain", "PY /opt/pack.py bold"),
        packed("60 blocks deep", "PY /opt/pack.py nested"),
        packed("300 KiB of comments on both sides", "PY /opt/pack.py some"),
        Row {
            expected: CaughtWith(HEAD_AND_TAIL),
            ..packed("3 MiB of comments behind it", "PY /opt/pack.py head")
        },
        Row {
            expected: CaughtWith(HEAD_AND_TAIL),
            ..packed("3 MiB of comments before it", "PY /opt/pack.py tail")
        },
        Row {
            expected: CaughtWith(HEAD_AND_TAIL),
            ..packed("3 MiB of comments on both sides", "PY /opt/pack.py middle")
        },
    ],
};

pub(crate) const RUNNING: Group = Group {
    title: "Where in a Python process the text runs",
    rows: &[
        program(
            "thread",
            &[(
                "run.py",
                "import threading\nthreading.Thread(target=exec, args=(DATA, {'__name__': '__main__'})).start()\n",
            )],
        ),
        program(
            "fork",
            &[("run.py", "import os\nif os.fork() == 0:\n    exec(DATA)\nelse:\n    os.wait()\n")],
        ),
        program(
            "daemon: two forks, a new session, a pause",
            &[(
                "run.py",
                "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(0.5)\n        exec(DATA)\n",
            )],
        ).suspicious(),
        program(
            "`multiprocessing`, forked",
            &[(
                "run.py",
                "import multiprocessing\nif __name__ == '__main__':\n    process = multiprocessing.get_context('fork').Process(target=exec, args=(DATA, {'__name__': '__main__'}))\n    process.start()\n    process.join()\n",
            )],
        ),
        program(
            "`multiprocessing`, spawned",
            &[(
                "run.py",
                "import multiprocessing\nif __name__ == '__main__':\n    process = multiprocessing.get_context('spawn').Process(target=exec, args=(DATA, {'__name__': '__main__'}))\n    process.start()\n    process.join()\n",
            )],
        ),
        program(
            "subinterpreter",
            &[(
                "run.py",
                "try:\n    import _interpreters as sub\nexcept ImportError:\n    import _xxsubinterpreters as sub\nsub.run_string(sub.create(), DATA.decode())\n",
            )],
        ),
        program(
            "`ctypes` that calls `PyRun_SimpleString`",
            &[("run.py", "import ctypes\nctypes.pythonapi.PyRun_SimpleString(DATA)\n")],
        ),
        program(
            "trace function",
            &[(
                "run.py",
                "import sys\ndef trace(*_):\n    sys.settrace(None)\n    exec(DATA, {'__name__': '__main__'})\nsys.settrace(trace)\n(lambda: 0)()\n",
            )],
        ),
        program(
            "audit hook",
            &[(
                "run.py",
                "import os, sys\ndone = []\ndef hook(*_):\n    if not done:\n        done.append(1)\n        exec(DATA, {'__name__': '__main__'})\nsys.addaudithook(hook)\nopen('text').close()\n",
            )],
        ),
        program(
            "`atexit`",
            &[("run.py", "import atexit\natexit.register(exec, DATA, {'__name__': '__main__'})\n")],
        ),
        program(
            "signal handler",
            &[(
                "run.py",
                "import os, signal\nsignal.signal(signal.SIGUSR1, lambda *_: exec(DATA, {'__name__': '__main__'}))\nos.kill(os.getpid(), signal.SIGUSR1)\n",
            )],
        ),
        program(
            "destructor",
            &[(
                "run.py",
                "class X:\n    def __del__(self):\n        exec(DATA, {'__name__': '__main__'})\nX()\n",
            )],
        ),
        program(
            "1,000 harmless texts before it",
            &[("run.py", "for number in range(1000):\n    exec('x = %d' % number)\nexec(DATA)\n")],
        ),
        program(
            "replaced `builtins.compile`",
            &[(
                "run.py",
                "import builtins\nrun, builtins.compile = exec, None\nrun(DATA)\n",
            )],
        ),
    ],
};

const NOT_SHARED: &[Place] = &[Place::Python39, Python311, Place::Python313, Place::Newest];

pub(crate) const INTERPRETER: Group = Group {
    title: "Which Python it is",
    rows: &[
        row("copied under another name", &["CASE/worker", "-c", "TEXT"]).prepare("cp $(readlink -f PY) worker"),
        row("hard link", &["CASE/worker", "-c", "TEXT"]).prepare("cp $(readlink -f PY) first; ln first worker"),
        row("symbolic link", &["CASE/worker", "-c", "TEXT"]).prepare("ln -s PY worker"),
        row("through the dynamic loader", &["/lib64/ld-linux-x86-64.so.2", "PY", "-c", "TEXT"]),
        row("memfd, with a second stage of data after half a second", &["PY", "-c", "import os, sys\nfd = os.memfd_create('x', 0)\nos.write(fd, open(sys.executable, 'rb').read())\nos.execv(f'/proc/self/fd/{fd}', ['worker', 'run.py'])"]).files(&[("run.py", "import time\ntime.sleep(0.5)\nexec(DATA)\n")]),
        Row { expected: Race("the probe of texts is attached to a file when its first process is seen"), ..row("a second stage, in the first process of a copy that was never seen", &["CASE/worker", "run.py"]) }
            .files(&[("run.py", "exec(DATA)\n")]).prepare("cp $(readlink -f PY) worker").times(8),
        Row { at: NOT_SHARED, ..row("copied, with other names for what it exports", &["CASE/worker", "run.py"]) }
            .files(&[("run.py", "exec(DATA)\n")])
            .prepare("LC_ALL=C sed 's/PyRun_StringFlags/PyRun_StringFlagz/g; s/Py_CompileStringObject/Py_CompileStringObjecz/g; s/PyEval_EvalCode/PyEval_EvalCodz/g' \
                      < $(readlink -f PY) > worker; chmod +x worker").expect(Blind("the functions are found by the names that the interpreter exports")),
        Row::new("in another program", &[Embedding], &["PY", "data"], Caught),
        Row::new("in another program, with a library of its own, after half a second", &[Embedding], &["env", "LD_LIBRARY_PATH=CASE", "PY", "data"], Caught).prepare("cp /usr/lib/*/libpython3.13.so.1.0 .").times(4),
        Row::new("in a program that loads a library of its own, after half a second", &[Loading], &["CASE/loading", "CASE/lib.so", "data"], Caught)
            .prepare("cp PY loading; cp /usr/lib/*/libpython3.13.so.1.0 lib.so").times(4),
        Row::new("PyPy: file", &[PyPy], &["PY", "text"], Caught),
        Row::new("PyPy: `-c`", &[PyPy], &["PY", "-c", "TEXT"], Caught),
        Row::new("PyPy: second stage in a file of data", &[PyPy], &["PY", "run.py"], Blind("PyPy's compiler is not watched")).files(&[("run.py", "exec(DATA)\n")]),
    ],
};
