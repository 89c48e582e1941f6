"""Tries every way out that we know of, says which of them worked, and then learns honestly."""
import ctypes
import os
import socket
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from architecture import build_model

TARGETS = {}  # filled in by the test
LIBC = ctypes.CDLL(None, use_errno=True)
NUMBERS = {  # of system calls: x86_64, aarch64
    "add_key": (248, 217), "keyctl": (250, 219), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "fsopen": (430, 430), "open_tree": (428, 428), "kexec_load": (246, 104),
    "process_vm_readv": (310, 270), "pidfd_open": (434, 434),
}


def call(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def syscall(name, *arguments):
    return call(LIBC.syscall(NUMBERS[name][os.uname().machine == "aarch64"], *arguments))


def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        client.connect(address)


def send(family, address):
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.sendto(b"\x00\x01", address)


def write(path):
    with open(path, "w") as file:
        file.write("written by a submission")


def read(path):
    with open(path, "rb") as file:
        file.read(16)


def filled(path):
    """A filesystem in memory without a limit of ours."""
    with open(path, "wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    os.unlink(path)


def keys_of_the_operator():
    found = syscall("keyctl", 11, -3, None, 0)  # read the session keyring
    if found == 0:
        raise OSError("an empty keyring")


def foreign_processes():
    for name in filter(str.isdigit, os.listdir("/proc")):
        with open(f"/proc/{name}/cmdline", "rb") as file:
            command = file.read()
        if b"prism-referee" in command or b"cargo" in command or b"end_to_end" in command:
            return
    raise OSError("none but its own")


def root_by_su():
    done = subprocess.run(["su", "-c", "id -u"], stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
    if done.stdout.strip() != b"0":
        raise OSError("su did not work")


def set_user_id_root():
    path = TARGETS["artifacts"] + "/suid"
    write(path)
    os.chmod(path, 0o4755)
    try:
        if os.stat(path).st_uid == 0:
            return
        os.chown(path, 0, 0)
    finally:
        os.unlink(path)


def through_a_link(target):
    path = TARGETS["artifacts"] + "/link"
    os.symlink(target, path)
    try:
        read(path)
    finally:
        os.unlink(path)


def attempts():
    ipv4, ipv6, unix = socket.AF_INET, socket.AF_INET6, socket.AF_UNIX
    yield "tcp4", lambda: connect(ipv4, ("127.0.0.1", TARGETS["port4"]))
    yield "tcp6", lambda: connect(ipv6, ("::1", TARGETS["port6"]))
    yield "tcp4 outside", lambda: connect(ipv4, ("192.0.2.1", 9))
    yield "tcp6 outside", lambda: connect(ipv6, ("2001:db8::1", 9))
    yield "udp4 outside", lambda: send(ipv4, ("192.0.2.1", 53))
    yield "udp6 outside", lambda: send(ipv6, ("2001:db8::1", 53))
    yield "dns", lambda: socket.getaddrinfo("example.com", 80)
    yield "raw socket", lambda: socket.socket(ipv4, socket.SOCK_RAW, 1)
    yield "packet socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    yield "abstract socket", lambda: connect(unix, "\0" + TARGETS["abstract"])
    yield "path socket", lambda: connect(unix, TARGETS["socket"])
    for place in ["/", "/usr/", "/etc/", "/dev/", "/sys/", "/prism/", "/prism/project/", "/prism/runner/",
                  "/prism/tokenizers/", "/prism/data/", "/prism/socket/", "/proc/1/", "/run/", "/var/tmp/",
                  TARGETS["root"] + "/", TARGETS["other"] + "/"]:
        yield "write " + place, lambda: write(place + "prism-was-here")
    for place in ["/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/prism/project/architecture.py",
                  "/prism/runner/runner.py", "/etc/passwd", TARGETS["marker"]]:
        yield "write " + place, lambda: write(place)
    for place in ["/etc/shadow", "/proc/kcore", "/dev/mem", "/dev/kmsg", "/proc/1/root" + TARGETS["marker"],
                  TARGETS["marker"], TARGETS["val"], TARGETS["train"], TARGETS["secret"],
                  TARGETS["other"] + "/submission.zip"]:
        yield "read " + place, lambda: read(place)
        yield "link to " + place, lambda: through_a_link(place)
    yield "list outbox", lambda: os.listdir(TARGETS["root"] + "/outbox")
    yield "hard link", lambda: os.link("/prism/project/architecture.py", TARGETS["artifacts"] + "/hard")
    yield "memory in /dev", lambda: filled("/dev/filled")
    yield "processes of others", foreign_processes
    yield "ptrace", lambda: call(LIBC.ptrace(16, TARGETS["pid"], 0, 0))
    yield "memory of others", lambda: read(f"/proc/{TARGETS['pid']}/mem")
    yield "signal to others", lambda: os.kill(TARGETS["pid"], 0)
    yield "keys", keys_of_the_operator
    yield "mount", lambda: call(LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, None))
    yield "user namespace", lambda: call(LIBC.unshare(0x10000000))
    yield "mount namespace", lambda: call(LIBC.unshare(0x00020000))
    yield "chroot", lambda: os.chroot("/tmp")
    yield "device", lambda: os.mknod("/tmp/device", 0o60600, os.makedev(8, 0))
    yield "setuid", lambda: os.setuid(0)
    yield "setgroups", lambda: os.setgroups([0])
    yield "su", root_by_su
    yield "set-user-id file of root", set_user_id_root
    yield "hostname", lambda: socket.sethostname("other")
    yield "clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time())
    yield "kernel programs", lambda: syscall("bpf", 0, ctypes.create_string_buffer(128), 128)
    yield "kernel image", lambda: syscall("kexec_load", 0, 0, None, 0)
    yield "new filesystem", lambda: syscall("fsopen", b"tmpfs", 0)


def leave_a_process_behind():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            code = "import time; time.sleep(900)  # " + TARGETS["left_behind"]
            os.execv(sys.executable, [sys.executable, "-c", code])
        os._exit(0)


def train(ctx):
    TARGETS["artifacts"] = ctx.artifacts_dir
    for name, attempt in attempts():
        try:
            attempt()
            print("ESCAPED", name, flush=True)
        except Exception as error:
            print("held", name, "|", error, flush=True)
    leave_a_process_behind()
    os.symlink(TARGETS["root"], ctx.artifacts_dir + "/root")
    os.symlink(TARGETS["val"], ctx.artifacts_dir + "/val")
    model = build_model(ctx)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for batch in ctx.iter_train_batches(model, batch_size=4, seq_len=64, tokenizer="bytes"):
        loss = F.cross_entropy(model(batch.tokens).flatten(0, 1), batch.targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
