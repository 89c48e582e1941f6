"""What systemd, bash and man say of packaging/ and of the generated pages: nothing is installed.

Each tool that is not on this machine is named; it is no failure. Exit code 1: something is wrong.
"""

import pathlib
import shutil
import subprocess
import sys
import tempfile

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
PRISM = REPOSITORY / "target/debug/prism"
# `systemd-analyze security`, in tenths: what runs need (docs/packaging.md) costs about 3.8.
MOST_EXPOSED = 40


def check(title, *command):
    """One command that must end with 0; whether it did."""
    if shutil.which(command[0]) is None:
        print(f"not here  {title}: {command[0]} is not installed")
        return True
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = (ran.stdout + ran.stderr).strip()
    if ran.returncode == 0:
        # What a tool prints without being asked is its verdict; a man page is not.
        verdict = said.splitlines()[-1].strip() if said and command[0] == "systemd-analyze" else "no complaint"
        print(f"ok        {title}: {verdict}")
        return True
    print(f"failed    {title}:\n{said}")
    return False


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        units = scratch / "units"
        units.mkdir()
        for unit in sorted((REPOSITORY / "packaging/systemd").iterdir()):
            # verify looks whether the program is there; the installed one need not be.
            text = unit.read_text().replace("/usr/bin/prism", str(PRISM))
            (units / unit.name).write_text(text)
        passed = [
            check(
                "systemd-analyze verify",
                "systemd-analyze",
                "verify",
                "--man=no",
                *map(str, sorted(units.iterdir())),
            )
        ]
        for service in sorted(units.glob("*.service")):
            passed.append(
                check(
                    f"systemd-analyze security {service.name}",
                    "systemd-analyze",
                    "security",
                    "--no-pager",
                    "--offline=true",
                    f"--threshold={MOST_EXPOSED}",
                    str(service),
                )
            )
        for what in ("man", "completions"):
            passed.append(check(f"prism generate {what}", str(PRISM), "generate", what, str(scratch / what)))
        passed.append(check("bash completions", "bash", "-n", str(scratch / "completions/prism.bash")))
        for page in sorted((scratch / "man").glob("*.1")):
            passed.append(check(f"man {page.name}", "man", "--warnings", "--local-file", str(page)))
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
