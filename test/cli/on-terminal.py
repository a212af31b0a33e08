"""Runs a command with some of its streams on a terminal of its own and prints what came out as JSON.

    on-terminal.py '{"argv": [...], "terminal": ["stdin", "stdout", "stderr"], "input": "", "after": "", "columns": 80}'

`steps` may stand for `input` and `after`: each {"after": "", "input": "", "columns": 0, "signal": 0} is taken once its `after`
shows in what came since the step before; then the terminal is resized, the input typed, the signal sent, as far as given.

Streams that are not on the terminal: stdin is empty, stdout and stderr are pipes. `input` is typed once `after` shows on
the terminal, or the process sleeps if `after` is empty; "\\u0003" is Ctrl-C. The terminal passes bytes on as they are:
it turns no "\\n" into "\\r\\n". All output in the answer is latin-1, one character a byte. With "moments": true the answer has also
what came to the terminal piece by piece, each with the seconds since the start.
"""
import fcntl
import json
import os
import pty
import selectors
import subprocess
import sys
import termios
import time

request = json.loads(sys.argv[1])
names = request["terminal"]
master, slave = pty.openpty()
termios.tcsetwinsize(slave, (24, request.get("columns", 80)))
attributes = termios.tcgetattr(slave)
attributes[1] &= ~termios.OPOST
attributes[3] &= ~termios.ECHO
termios.tcsetattr(slave, termios.TCSANOW, attributes)


def own_terminal():
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def place(name, otherwise):
    return slave if name in names else otherwise


child = subprocess.Popen(
    request["argv"],
    stdin=place("stdin", subprocess.DEVNULL),
    stdout=place("stdout", subprocess.PIPE),
    stderr=place("stderr", subprocess.PIPE),
    preexec_fn=own_terminal,
)
os.close(slave)

collected = {"terminal": b"", "stdout": b"", "stderr": b""}
files = {"terminal": master}
files.update({name: getattr(child, name).fileno() for name in ("stdout", "stderr") if getattr(child, name)})
selector = selectors.DefaultSelector()
for name, fd in files.items():
    selector.register(fd, selectors.EVENT_READ, name)
start = time.time()
steps = request.get("steps") or ([{"after": request.get("after", ""), "input": request["input"]}] if request.get("input") else [])
seen = 0
moments = []
ticks = None


def is_idle():
    """Does the process sleep, and has it used no time since the call before, half a second ago?"""
    global ticks
    state, *fields = open(f"/proc/{child.pid}/stat").read().rsplit(")")[1].split()
    before, ticks = ticks, fields[10:12]
    time.sleep(0.5)
    return before == ticks and state == "S"


while selector.get_map():
    for key, _ in selector.select(0.1):
        try:
            data = os.read(key.fd, 65536)
        except OSError:  # the terminal, when its last user is gone
            data = b""
        collected[key.data] += data
        if key.data == "terminal" and data:
            moments.append([round(time.time() - start, 4), data.decode("latin-1")])
        if not data:
            selector.unregister(key.fd)
    after = steps[0].get("after", "").encode() if steps else b""
    if steps and (after in collected["terminal"][seen:] if after else is_idle()):
        step = steps.pop(0)
        seen = collected["terminal"].index(after, seen) + len(after) if after else len(collected["terminal"])
        if step.get("columns"):
            termios.tcsetwinsize(master, (24, step["columns"]))
        if step.get("signal"):
            child.send_signal(step["signal"])
        text = step.get("input", "").encode()
        while text:  # a terminal takes no more at once
            text = text[os.write(master, text[:1024]):]
    if time.time() - start > 40:
        child.kill()
        break
child.wait()
times = {"moments": moments} if request.get("moments") else {}
print(json.dumps({"code": child.returncode, **times, **{name: data.decode("latin-1") for name, data in collected.items()}}))
