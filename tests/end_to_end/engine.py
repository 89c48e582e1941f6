#!/usr/bin/env python3
"""A container engine for tests: docker's command line, bubblewrap's wall, and the host's own system as the image."""
import json
import os
import signal
import stat
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
STATE = os.path.join(HERE, "containers")


def pid_of(name):
    with open(os.path.join(STATE, name)) as file:
        return int(file.read())


def forget(name):
    try:
        os.unlink(os.path.join(STATE, name))
    except FileNotFoundError:
        pass  # the other one of run and rm was first


def give_back(path):
    """bwrap knows one user only, ours: what was given to nobody comes back."""
    os.chown(path, os.getuid(), os.getgid())


def wall(options, environment, workdir):
    line = "bwrap --unshare-all --unshare-user --disable-userns --die-with-parent --cap-drop ALL".split()
    line += "--uid 65534 --gid 65534 --hostname prism --ro-bind /usr /usr".split()
    for path in ["/bin", "/sbin", "/lib", "/lib32", "/lib64"]:
        if os.path.islink(path):
            line += ["--symlink", os.readlink(path), path]
        elif os.path.exists(path):
            line += ["--ro-bind", path, path]
    line += "--proc /proc --dev /dev --ro-bind /proc/sys /proc/sys".split()
    size = options["--shm-size"][0]
    line += ["--size", size, "--tmpfs", "/dev/shm", "--size", size, "--tmpfs", "/tmp"]
    with open(os.path.join(HERE, "folders.json")) as file:
        for folder in json.load(file):
            if not folder.startswith("/usr"):
                line += ["--ro-bind", folder, folder]
    for mount in options["--mount"]:
        fields = dict(field.partition("=")[::2] for field in mount.split(","))
        source = fields["src"]
        if "readonly" not in fields:
            give_back(source)
        elif os.path.isdir(source):
            for entry in os.scandir(source):
                if stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode):
                    give_back(entry.path)
                    give_back(source)
        line += ["--ro-bind" if "readonly" in fields else "--bind", source, fields["dst"]]
    line += ["--remount-ro", "/dev", "--remount-ro", "/", "--clearenv", "--chdir", workdir]
    for variable in environment:
        line += ["--setenv", *variable.split("=", 1)]
    return line


def run(arguments):
    options = {}
    while arguments[0].startswith("--"):
        name, has_value, value = arguments.pop(0).partition("=")
        if name == "--workdir":
            value = arguments.pop(0)
        options.setdefault(name, []).append(value)
    image, inside = arguments[0], arguments[1:]
    assert "@sha256:" in image, image
    for needed in ["--network", "--read-only", "--cap-drop", "--security-opt", "--pids-limit", "--memory", "--rm"]:
        assert needed in options, needed
    line = wall(options, options.get("--env", []), options["--workdir"][0])
    there, here = os.pipe()
    line += ["--info-fd", str(here), "--", options["--entrypoint"][0], *inside]
    child = subprocess.Popen(line, pass_fds=[here])
    os.close(here)
    with open(there) as file:
        told = json.loads(file.read())
    place = os.path.join(STATE, options["--name"][0])
    with open(place, "w") as file:
        file.write(str(told["child-pid"]))
    status = child.wait()
    forget(options["--name"][0])
    return status if status >= 0 else 128 - status


def main():
    command, arguments = sys.argv[1], sys.argv[2:]
    os.makedirs(STATE, exist_ok=True)
    with open(os.path.join(HERE, "calls"), "a") as file:
        file.write(command + "\n")
    if command == "--version":
        print("Docker version 0.0.0, made for a test")
    elif command == "run":
        return run(arguments)
    elif command == "inspect":
        print(pid_of(arguments[-1]))
    elif command == "rm":
        os.kill(pid_of(arguments[-1]), signal.SIGKILL)
        forget(arguments[-1])
    elif command in ("pause", "unpause"):
        tree(pid_of(arguments[-1]), signal.SIGSTOP if command == "pause" else signal.SIGCONT)
    return 0


def tree(root, number):
    """The signal for all of a container, children of what is there by then included."""
    known = set()
    while True:
        found = {root}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/stat") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent in known | found:
                found.add(int(name))
        if found <= known:
            return
        known |= found
        for pid in known:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass


if __name__ == "__main__":
    sys.exit(main())
